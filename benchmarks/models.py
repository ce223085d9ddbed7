"""Every network that has a name, on a CPU: OpenVINO at 512x512, batch 1, each in a process of its own.

    python benchmarks/models.py [--arch NAME ...] [--write docs/models.md]

Claim: building the graph and loading the weights of the largest network takes at most 5 s.

Columns: median milliseconds of a run, from pixels to detections, in the precision that `demo` chooses by itself (bfloat16 with AMX)
and in float32; the process's peak memory until after the first of them, the libraries included; seconds to build the graph and load
the weights, and from there until OpenVINO is ready; the size of the parameter file. Weights are drawn: the time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import nnabla as nn
import numpy as np

from centernet.experiment import published
from centernet.experiment.assembly import from_description
from centernet.experiment.choice import Choice
from centernet.experiment.detector import Options, detector
from centernet.experiment.inference_graph import Machine, PrecisionChoice
from centernet.experiment.model_files import fill
from centernet.models.catalogue import Model, models
from centernet.weights.store import read_parameters, write_parameters
from report import Claim, environment, finish, print_load

SIDE = 512
RUNS, SECONDS, FEWEST = 15, 3.0, 5  # of one precision: so many runs, or as many as fit, but not fewer
MOST_SECONDS = 5.0  # for the graph and the weights
START, END = "<!-- table: benchmarks/models.py writes it -->", "<!-- end of the table -->"
TITLES = ("`--arch`", "parameters", "multiply-adds", "sides", "ms", "ms float32", "memory", "file", "AP, published")
MEASURED = slice(4, 8)  # of these columns


def make(name: str, path: Path) -> None:
    """A parameter file of the network, with drawn values."""
    description = published.describe(Choice(words={"arch": name, "dataset": "coco"}, input_size=(SIDE, SIDE)))
    assembly = from_description(description, source=name)
    values = {parameter: variable.d for parameter, variable in assembly.network.parameters().items()}
    write_parameters(path, values, description=description.to_tree())


def measure(name: str, path: Path) -> dict[str, Any]:
    """The columns of one network."""
    description = published.describe(Choice(words={"arch": name, "dataset": "coco"}, input_size=(SIDE, SIDE)))
    start = perf_counter()
    assembly = from_description(description, source=name)
    fill(assembly, read_parameters(path), what=path)
    assembly.network(nn.Variable(assembly.network.input_shape(1, SIDE, SIDE)))
    loaded = perf_counter() - start
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    found: dict[str, Any] = {"load_s": loaded, "file_mb": path.stat().st_size / 1e6}
    choices: tuple[PrecisionChoice, ...] = ("auto", "float32")
    for precision in choices:
        start = perf_counter()
        session = detector(assembly, Machine(runtime="openvino", extension="cpu", precision=precision), Options()).session
        session.run(pixels)
        found.setdefault("ready_s", perf_counter() - start)
        found.setdefault("precision", session.precision)
        if f"{session.precision}_ms" not in found:
            found[f"{session.precision}_ms"] = 1000 * median(_times(session, pixels))
        found.setdefault("memory_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    return found


def _times(session: Any, pixels: Any) -> list[float]:
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < RUNS and sum(times) < SECONDS):
        start = perf_counter()
        session.run(pixels)
        times.append(perf_counter() - start)
    return times


def in_own_process(name: str, folder: Path) -> dict[str, Any]:
    """What `measure` finds in a fresh process, with a file that another one made."""
    path = folder / f"{name}.h5"
    for step in ("make", "measure"):
        command = [sys.executable, __file__, "--step", step, name, str(path)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment())
    path.unlink()
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def cells(model: Model, found: Mapping[str, Any] | None, old: Sequence[str]) -> list[str]:
    """A row of the table; what was not measured this time stays as it was."""
    measured = list(old[MEASURED]) if old else ["-"] * (MEASURED.stop - MEASURED.start)
    if found is not None:
        times = [f"{found[f'{precision}_ms']:.1f}" for precision in (found["precision"], "float32")]
        measured = [*times, f"{found['memory_mb'] / 1e3:.2f} GB", f"{found['file_mb']:.0f} MB"]
    return [
        f"`{model.name}`",
        f"{model.parameters / 1e6:.1f} M",
        f"{model.multiply_adds / 1e9:.1f} G",
        model.input_sizes.removeprefix("multiples of "),
        *measured,
        f"{model.published.ap:.1f}" if model.published else "",
    ]


def table(results: Mapping[str, Mapping[str, Any]], old: str = "") -> str:
    """The table in Markdown; `old` is the one before."""
    lines = (line.strip("| ").split(" | ") for line in old.splitlines() if line.startswith("| `"))
    before = {cells[0].strip("`"): [cell.strip() for cell in cells] for cells in lines if cells[0] != TITLES[0]}
    rows = [cells(model, results.get(model.name), before.get(model.name, [])) for model in models()]
    return "\n".join(f"| {' | '.join(row)} |" for row in [TITLES, ["---"] * len(TITLES), *rows])


def write(path: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the table where the page has the old one."""
    page = path.read_text()
    old = page[page.index(START) + len(START) : page.index(END)]
    path.write_text(page.replace(f"{START}{old}{END}", f"{START}\n\n{table(results, old)}\n\n{END}"))


def main() -> int:
    """Measure, print a line for each, the table, and the claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", choices=[model.name for model in models()], metavar="NAME", help="only these")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step, name, path = arguments.step
        if step == "make":
            make(name, Path(path))
        else:
            print(json.dumps(measure(name, Path(path))))
        return 0
    print_load()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.arch or [model.name for model in models()]:
            found = results[name] = in_own_process(name, Path(folder))
            print(f"{name}: " + ", ".join(f"{key} {value if isinstance(value, str) else round(value, 3)}" for key, value in found.items()))
            sys.stdout.flush()
            if arguments.write:
                write(arguments.write, {name: found})
    print(table(results))
    largest = max((model for model in models() if model.name in results), key=lambda model: model.parameters)
    return finish(Claim(f"graph and weights of {largest.name}", results[largest.name]["load_s"], MOST_SECONDS, "s", at_least=False))


if __name__ == "__main__":
    sys.exit(main())
