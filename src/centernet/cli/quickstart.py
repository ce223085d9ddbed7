"""`centernet quickstart`: from nothing to a trained, measured, drawn and exported detector, with the ordinary commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from centernet.cli.parsing import Parser
from centernet.cli.values import positive
from centernet.errors import CenterNetError, OutputError

if TYPE_CHECKING:
    from centernet.experiment.detector import Detector

DESCRIPTION = """Render a data set of shapes, train a small detector on all cores, test it on images it has never seen, draw what it
finds and export it. Minutes on two cores, no GPU, no download."""

MOST_PROCESSES = 4
SHEET_IMAGES = 8


class StepError(CenterNetError):
    """A step of the quickstart failed; it has said why."""


def main(typed: Sequence[str], *, program: str) -> int:
    """Run all steps and report."""
    parser = Parser(prog=program, description=DESCRIPTION)
    parser.add_argument("--config", type=Path, default=Path("cfg/quickstart.yaml"), help="experiment as YAML (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("exp/quickstart"), help="output folder (default: %(default)s)")
    parser.add_argument("--data_dir", type=Path, default=Path("data/shapes"), help="where to render to (default: %(default)s)")
    parser.add_argument("--processes", type=positive, default=None, help="training processes (default: one per core, at most 4)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set any configuration key")
    arguments = parser.parse_args(typed)
    started = perf_counter()
    steps = _Steps(arguments.config, arguments.data_dir, arguments.output, arguments.set)
    steps.render()
    steps.train(arguments.processes or num_processes(len(os.sched_getaffinity(0)), steps.experiment.train.global_batch_size))
    results = steps.test()
    files = [*steps.draw(), *steps.export()]
    _report(results, files, arguments.output, seconds=perf_counter() - started)
    return 0


def num_processes(num_cores: int, global_batch: int | None) -> int:
    """As many as there are cores, at most `MOST_PROCESSES`, and so that each gets an equal share of the batch."""
    most = min(num_cores, MOST_PROCESSES)
    return next(count for count in range(most, 0, -1) if global_batch is None or global_batch % count == 0)


class _Steps:
    """The commands, and where their files are."""

    def __init__(self, config: Path, data: Path, output: Path, assignments: Sequence[str]) -> None:
        from centernet.experiment import choice

        self.config, self.data, self.output, self.assignments = config, data, output, assignments
        self.experiment = choice.experiment(choice.Choice(yaml=config, keys={"data.root": str(data)}, assignments=assignments))

    @property
    def model(self) -> Path:
        """The best model by AP."""
        return self.output / "checkpoints" / "params_best.h5"

    @cached_property
    def detector(self) -> Detector:
        """The best model, opened once for drawing and exporting."""
        from centernet.experiment.model_files import load

        return load(self.model)

    def render(self) -> None:
        """Both splits on disk; a finished rendering is kept."""
        from centernet.experiment.assembly import open_split

        began = _say("1/5 render the data")
        splits = [open_split(self.experiment.data, split) for split in ("train", "val")]
        print(f"{self.data}: {len(splits[0])} images to train, {len(splits[1])} to test ({perf_counter() - began:.0f} s)", flush=True)

    def train(self, processes: int) -> None:
        """The ordinary training command."""
        _say(f"2/5 train with {processes} process(es)")
        overrides = [word for assignment in self.assignments for word in ("--set", assignment)]
        command = ["train", "--train-config", str(self.config), "--data_dir", str(self.data), "-o", str(self.output), *overrides]
        _run([sys.executable, "-m", "centernet", *command, "--processes", str(processes)])

    def test(self) -> dict[str, Any]:
        """AP on the held-out split."""
        _say("3/5 test")
        import json

        _run(
            [
                sys.executable,
                "-m",
                "centernet",
                "test",
                "--checkpoint",
                str(self.model),
                "--data_dir",
                str(self.data),
                "-o",
                str(self.output),
            ]
        )
        results: dict[str, Any] = json.loads((self.output / "results.json").read_text())
        return results

    def draw(self) -> list[Path]:
        """Ground truth beside detections."""
        _say("4/5 draw")
        from centernet.experiment.sheet import contact_sheet

        sheet = contact_sheet(self.detector, self.experiment.data, self.output / "contact_sheet.png", num_images=SHEET_IMAGES)
        print(sheet, flush=True)
        return [sheet, self.output / "curves.png"]

    def export(self) -> list[Path]:
        """Raw heads, and with decoding inside, as .nnp and as .onnx; each compared with the network on images it has never seen."""
        _say("5/5 export")
        from centernet.experiment.delivery import Material, deliver
        from centernet.experiment.export import ExportOptions

        # AP was measured one step ago; NNabla would take a minute for it.
        material = Material(data=self.experiment.data, measures_ap=False)
        files = {
            self.output / "quickstart.nnp": ExportOptions(format="nnp"),
            self.output / "quickstart_decoded.nnp": ExportOptions(format="nnp", decode=True),
            self.output / "quickstart_decoded.onnx": ExportOptions(format="onnx", decode=True),
        }
        for path, options in files.items():
            deliver(self.detector.assembly, path, options, material)
            print(f"wrote {path}", flush=True)
        return list(files)


def _run(command: Sequence[str]) -> None:
    """Run one command with its output on ours; a failure ends the quickstart, Ctrl-C reaches the command too."""
    code = subprocess.run(command, check=False).returncode
    if code:
        raise StepError(f"this step failed with exit code {code}: {' '.join(command)}")


def _say(title: str) -> float:
    print(f"\n== {title}", flush=True)
    return perf_counter()


def _report(results: dict[str, Any], files: Sequence[Path], output: Path, *, seconds: float) -> None:
    from centernet.experiment import report

    table = report.table(results)
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise OutputError(f"{missing[0]}: was not written")
    made = sorted(path for path in output.rglob("*") if path.is_file())
    results |= {"seconds": round(seconds, 1), "files": [str(path) for path in made]}
    report.write_json(output / "results.json", results)
    print(f"\n{table}\n\n{seconds:.0f} s in all. Look at {files[0]}; all files:")
    print("\n".join(f"  {path}" for path in made))
