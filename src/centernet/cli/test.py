"""`centernet test`: average precision of a model file, or of every checkpoint of a training."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centernet.cli import machine, official, parsing
from centernet.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from centernet.experiment.detector import Detector
    from centernet.experiment.explain.explanation import Explanation
    from centernet.experiment.schema import ExperimentConfig

DESCRIPTION = """Measure average precision.

  centernet test --data_dir DIR --checkpoint FILE.h5
  centernet test --data_dir DIR --checkpoint FILE.h5 --explain
  centernet test --data_dir DIR --checkpoint_dir DIR     every params_N.h5, in order of N

Writes results.json (numbers and how they were measured) and detections.json (COCO's result list); with --explain also
explain.html, a page on what the average precision loses and why, and its numbers, explain.json. Under mpirun the images are
shared among the processes."""


def main(typed: Sequence[str], *, program: str) -> int:
    """Measure, print and write."""
    parser = parsing.make_parser("test", DESCRIPTION, program=program)
    arguments = parsing.parse(parser, "test", typed)
    given = vars(arguments)
    if ("checkpoint" in given) == ("checkpoint_dir" in given):
        raise ConfigError("give one of --checkpoint FILE and --checkpoint_dir DIR")
    if "checkpoint_dir" in given and "explain" in given:
        raise ConfigError("--explain is about one model; give --checkpoint FILE instead of --checkpoint_dir")
    if "checkpoint" in given:
        _Test(arguments).one(machine.checkpoint(arguments))
    else:
        _Test(arguments).many(given["checkpoint_dir"])
    return 0


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """(N, path) of every params_N.h5 below a folder, in order of N; WeightsError if there is none."""
    named = [(re.fullmatch(r"params_(\d+)", path.stem), path) for path in folder.rglob("params_*.h5")]
    found = sorted((int(match.group(1)), path) for match, path in named if match)
    if not found:
        raise WeightsError(f"{folder}: no params_N.h5 in it" if folder.is_dir() else f"{folder}: no such folder")
    return found


class _Test:
    """The typed options, and the processes that share the images."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from centernet.experiment.processes import join

        self.arguments = arguments
        self.processes = join()

    def one(self, path: Path) -> None:
        """One model file; results go to the output folder."""
        from centernet.experiment import report
        from centernet.experiment.output import default_folder, output_folder

        with self.processes.ending_all():
            detector, config = self._open(path)
            if self.processes.rank:
                self._measure(path, detector, config)
                return
            # Before the measuring: whether there can be a folder must be known first.
            with output_folder(vars(self.arguments).get("output") or default_folder(detector.description.experiment)) as folder:
                results, detections, explanation = self._measure(path, detector, config)
                files = [
                    report.write_json(folder / "results.json", results),
                    report.write_json(folder / "detections.json", detections),
                ]
                tables = [report.table(results)]
                if explanation is not None:
                    from centernet.experiment.explain import page

                    tables.append(page.table(explanation))
                    files += page.write(explanation, folder)
            print("\n".join([*(f"\n{table}" for table in tables), "", *(f"wrote {file}" for file in files)]))

    def many(self, folder: Path) -> None:
        """Every checkpoint of a folder, into which the series and its plot go."""
        from centernet.experiment import report
        from centernet.experiment.output import make_folder

        with self.processes.ending_all():
            points, checkpoints = [], numbered(folder)
            make_folder(folder)  # as above
            for number, path in checkpoints:
                results, *_ = self._measure(path, *self._open(path))
                points.append((number, results["AP"]))
                if not self.processes.rank:
                    print(f"{path}: AP {results['AP']:.4f}")
            if not self.processes.rank:
                for file in report.write_series(folder, points):
                    print(f"wrote {file}")

    def _open(self, path: Path) -> tuple[Detector, ExperimentConfig]:
        from centernet.experiment.data_folder import with_data_folder

        detector, config = machine.open_detector(
            path,
            self.arguments,
            with_maps="explain" in vars(self.arguments),
            precision="float32",
            threads=self.processes.threads_each,
            performance="throughput",
        )
        machine.check_k(self.arguments, detector)
        return detector, with_data_folder(config, training=official.training_of(self.arguments))

    def _measure(
        self, path: Path, detector: Detector, config: ExperimentConfig
    ) -> tuple[dict[str, Any], list[dict[str, object]], Explanation | None]:
        from centernet.experiment import evaluate, report
        from centernet.experiment.explain import explanation as explanations

        def announce(protocol: dict[str, Any]) -> None:
            if not self.processes.rank:
                print(f"{path}: {report.protocol_line(protocol)}")

        explanation: Explanation | None = None
        communicator = self.processes.communicator
        if "explain" in vars(self.arguments):
            results, detections, explanation = explanations.measure(detector, config.data, communicator, announce=announce)
        else:
            results, detections = evaluate.measure(detector, config.data, communicator, announce=announce)
        results = {**results, "model": str(path)}
        return results, detections, explanation and replace(explanation, results=results)
