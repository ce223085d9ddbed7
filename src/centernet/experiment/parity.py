"""Whether an exported file says what its network says: the same images through both, in every runtime that is installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.errors import DeviceError
from centernet.experiment import model_files
from centernet.experiment.accuracy import AveragePrecision, average_precision
from centernet.experiment.agreement import PRESENT, Tolerance, candidates, nearest_differences
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.export import ExportOptions, FilePrecision
from centernet.experiment.inference_graph import Machine, PrecisionChoice, Runtime
from centernet.experiment.schema import DataConfig
from centernet.structures import Array, Detections, Grid
from centernet.weights.layout import convert
from centernet.weights.match import assign

# Of eight bits AP is the judge, `Evidence.max_drop`; without it what they leave of a network that works is within FLOOR.
TOLERANCES: dict[FilePrecision, Tolerance] = {
    "float32": Tolerance(maps=1e-3, boxes=0.05, scores=1e-3, apart=0.0, lowest=PRESENT),
    "float16": Tolerance(maps=0.5, boxes=2.0, scores=0.03, apart=0.05, lowest=0.3),
    "bfloat16": Tolerance(maps=4.0, boxes=16.0, scores=0.15, apart=0.1, lowest=0.3),
    "int8": Tolerance(maps=math.inf, boxes=math.inf, scores=math.inf, apart=1.0, lowest=0.3),
}
# Of networks with random weights boxes moved by 9 pixels, scores by 0.2 and maps by 1.5; of one that was trained scores by 0.03.
FLOOR = Tolerance(maps=8.0, boxes=16.0, scores=0.4, apart=0.2, lowest=0.3)

NUM_NOISE = 2  # images


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a file is judged by.

    names, images: (H, W, 3) uint8 BGR. dataset, data: the validation split and its configuration; None: no AP.
    max_drop: AP points (hundredths) that the file may lose.
    """

    names: tuple[str, ...]
    images: tuple[Array, ...]
    dataset: DetectionDataset | None = None
    data: DataConfig | None = None
    max_drop: float = 1.0


class Expected(NamedTuple):
    """What the network itself says of an image: its best detections, its maps, and all that it might have answered (`candidates`)."""

    best: Detections
    maps: dict[str, Array]
    possible: Detections


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest differences of one runtime, as in `Tolerance`; not_run: why there are none.

    compared: detections looked at, on both sides; apart: those of them that the other side has further away, or not.
    """

    runtime: str
    input_size: tuple[int, int]
    maps: float | None = None
    boxes: float = 0.0
    scores: float = 0.0
    compared: int = 0
    apart: int = 0
    not_run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What came out; `faults` are empty where the file may be used. limits: instead of those of the precision."""

    reference: str
    precision: FilePrecision
    images: tuple[str, ...]
    differences: tuple[Difference, ...]
    ap: AveragePrecision | None
    max_drop: float
    limits: Tolerance | None = None

    @property
    def tolerance(self) -> Tolerance:
        return self.limits or TOLERANCES[self.precision]

    @property
    def faults(self) -> list[str]:
        """What is above tolerance, in words."""
        found = []
        for row in self.differences:
            for name in ("maps", "scores"):
                value, allowed = getattr(row, name), getattr(self.tolerance, name)
                if value is not None and not value <= allowed:
                    found.append(f"{row.runtime}: {name} differ by {value:.3g}, allowed {allowed:g}")
            if row.not_run is None and row.maps is None and not row.compared:
                found.append(
                    f"{row.runtime}: nothing could be compared: in none of {len(self.images)} images the network finds anything with a "
                    f"score of {PRESENT:g}; is it trained? (--images names others, and without --decode the maps are compared)"
                )
            if row.apart > self.tolerance.apart * row.compared:
                found.append(
                    f"{row.runtime}: {row.apart} of {row.compared} boxes are not there or off by more than {self.tolerance.boxes:g} pixels "
                    f"(largest {row.boxes:.3g}), allowed {self.tolerance.apart:.0%}"
                )
        if found and self.limits is not None:
            found.append("without a validation set only that can be judged: --data_dir lets AP decide (--max-drop)")
        return found + ([] if self.ap is None else self.ap.faults(self.max_drop))

    @property
    def warnings(self) -> list[str]:
        """What a file without faults is not proved to be, in words."""
        found = []
        if self.precision == "int8" and self.ap is None:
            found.append("int8: not proved without a data set; give --data_dir DIR, whose validation split measures AP (--max-drop)")
        if all(row.not_run for row in self.differences):
            found.append("not compared: no runtime here runs the file")
        return found

    def as_tree(self) -> dict[str, Any]:
        """For a JSON file; `passed` is null where nothing here runs the file."""
        tree = asdict(self)
        del tree["limits"]
        passed = None if all(row.not_run for row in self.differences) and self.ap is None else not self.faults
        return {**tree, "tolerance": asdict(self.tolerance), "faults": self.faults, "warnings": self.warnings, "passed": passed}


def check(assembly: Assembly, path: Path, options: ExportOptions, evidence: Evidence, *, known_as: Path | None = None) -> Parity:
    """Run the network in NNabla and the file in everything that reads it, and compare.

    Args:
        assembly: the network with the parameters that were exported. path: the file. options: how it was exported.
        known_as: what to call the file, where it lies elsewhere as yet.
    """
    twin = runnable(assembly)
    sizes = [assembly.description.input_size]
    if options.dynamic:
        unit = assembly.network.input_multiple
        sizes.append((sizes[0][0] + unit, sizes[0][1] + 2 * unit))
    limits = FLOOR if options.precision == "int8" and evidence.dataset is None else None
    tolerance = limits or TOLERANCES[options.precision]
    names, rows = evidence.names, []
    for size in sizes:
        reference = detector(twin, Machine(runtime="nnabla", extension="cpu"), replace(_how(options), input_size=size))
        images = evidence.images
        expected = [_expected(reference, image, tolerance) for image in images]
        if not any(len(one.possible) for one in expected):
            noise = _noise(size)
            images, names = (*images, *noise), (*evidence.names, *(f"noise {i}" for i in range(len(noise))))
            expected += [_expected(reference, image, tolerance) for image in noise]
        for runtime, precision in _ways(path, options):
            row = _of_file(path, options, _machine(runtime, precision), size, images, expected, tolerance)
            rows.append(replace(row, not_run=row.not_run and row.not_run.replace(str(path), str(known_as or path))))
    return Parity(
        reference=reference.session.summary,
        precision=options.precision,
        images=names,
        differences=tuple(rows),
        ap=_average_precision(twin, path, options, evidence),
        max_drop=evidence.max_drop,
        limits=limits,
    )


def _how(options: ExportOptions) -> Options:
    return Options(k=options.k, max_detections=max(options.k, Options.max_detections), with_maps=True)


def _of_file(
    path: Path,
    options: ExportOptions,
    machine: Machine,
    size: tuple[int, int],
    images: Sequence[Array],
    expected: Sequence[Expected],
    tolerance: Tolerance,
) -> Difference:
    """The file on one machine, at one size of its input, against what the network says of the same images."""
    how = replace(_how(options), with_maps=not options.decode, input_size=size if options.dynamic else None)
    try:
        found = model_files.load(path, machine=machine, options=how)
    except DeviceError as error:
        return Difference(runtime=f"{machine.runtime}, {machine.precision}", input_size=size, not_run=str(error))
    answers = [_answer(found, image, has_maps=not options.decode) for image in images]
    return _compared(found.session.summary, size, expected, answers, tolerance)


def runnable(assembly: Assembly) -> Assembly:
    """The same network as any machine runs it: NCHW with three channels."""
    own = replace(assembly.description, layout="nchw", input_channels=3)
    if own == assembly.description:
        return assembly
    twin = from_description(own, source="the network")
    parameters = {name: np.asarray(variable.d) for name, variable in assembly.network.parameters().items()}
    assign(convert(parameters, layout=own.layout, channels=own.input_channels), twin.network.parameters(), what="the network")
    return twin


def table(parity: Parity) -> str:
    """The report as lines of text."""
    width = max(len(row.runtime) for row in parity.differences)
    lines = [
        f"compared with {parity.reference} on {len(parity.images)} images ({', '.join(parity.images)}), largest differences:",
        f"{'':<{width}}  {'input':<9}  {'maps':>8}  {'boxes':>8}  {'scores':>8}  apart",
    ]
    for row in parity.differences:
        start = f"{row.runtime:<{width}}  {'x'.join(map(str, row.input_size)):<9}  "
        numbers = "  ".join(f"{'-' if value is None else f'{value:.2g}':>8}" for value in (row.maps, row.boxes, row.scores))
        lines.append(start + (f"not run: {row.not_run}" if row.not_run else f"{numbers}  {row.apart} of {row.compared}"))
    tolerance = parity.tolerance
    if math.isinf(tolerance.maps):
        lines.append(f"allowed: whatever keeps AP, which may fall by {parity.max_drop:g} points (--max-drop)")
    else:
        limits = "  ".join(f"{value:>8g}" for value in (tolerance.maps, tolerance.boxes, tolerance.scores))
        lines.append(f"{'allowed':<{width}}  {'':<9}  {limits}  {tolerance.apart:.0%}")
    if parity.ap is None:
        lines.append("AP: not measured; give a validation set with --data_dir")
    else:
        lines += parity.ap.lines(parity.max_drop)
    lines += [f"warning: {text}" for text in parity.warnings]
    return "\n".join(lines)


def _ways(path: Path, options: ExportOptions) -> list[tuple[Runtime, PrecisionChoice]]:
    ways: list[tuple[Runtime, PrecisionChoice]] = [(runtime, "float32") for runtime in model_files.RUNTIMES[path.suffix]]
    return ways + ([("openvino", "bfloat16")] if options.precision == "bfloat16" else [])


def _machine(runtime: Runtime, precision: PrecisionChoice) -> Machine:
    return Machine(runtime=runtime, precision=precision, extension="cpu" if runtime != "nnabla" else "auto")


def _answer(source: Detector, image: Array, *, has_maps: bool = True) -> tuple[Detections, dict[str, Array]]:
    """What is detected, in input pixels, and the maps."""
    inspection = source.inspect(image)
    return source.decoded(inspection), source.maps(inspection) if has_maps else {}


def _expected(reference: Detector, image: Array, tolerance: Tolerance) -> Expected:
    """What the network answers, and what an equal one may."""
    inspection = reference.inspect(image)
    raw, own = reference.raw_maps(inspection), reference.assembly
    grid = Grid(*inspection.fitted.size, own.description.stride)
    return Expected(reference.decoded(inspection), reference.maps(inspection), candidates(own.task, raw, tolerance, grid=grid))


def _noise(size: tuple[int, int]) -> tuple[Array, ...]:
    """Pictures on which a network that finds nothing elsewhere may find something."""
    return tuple(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) for seed in range(NUM_NOISE))


def _compared(
    runtime: str,
    size: tuple[int, int],
    expected: Sequence[Expected],
    found: Sequence[tuple[Detections, dict[str, Array]]],
    tolerance: Tolerance,
) -> Difference:
    maps: list[float] = []
    boxes, scores, compared, apart = 0.0, 0.0, 0, 0
    for want, (have, have_maps) in zip(expected, found, strict=True):
        maps += [float(abs(have_maps[name] - want.maps[name]).max()) for name in have_maps]
        for one, other, is_complete in ((want.best, have, False), (have, want.possible, True)):
            box, score, number, lost = nearest_differences(one, other, tolerance, is_complete=is_complete)
            boxes, scores, compared, apart = max(boxes, box), max(scores, score), compared + number, apart + lost
    largest = float(np.max(maps)) if maps else None  # of `max` one that is not a number can be lost
    return Difference(runtime=runtime, input_size=size, maps=largest, boxes=boxes, scores=scores, compared=compared, apart=apart)


def _average_precision(twin: Assembly, path: Path, options: ExportOptions, evidence: Evidence) -> AveragePrecision | None:
    if evidence.dataset is None or evidence.data is None:
        return None
    # First the file as it is meant to be run; bfloat16 in that arithmetic where the CPU has it.
    ways = sorted(_ways(path, options), key=lambda way: way[1] != "bfloat16")
    machines = [_machine(runtime, precision) for runtime, precision in ways]
    return average_precision(twin, path, machines, k=options.k, dataset=evidence.dataset, data=evidence.data)
