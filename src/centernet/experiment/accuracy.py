"""AP of a network, and of the file it was exported to in every runtime that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from centernet.data.datasets.base import DetectionDataset
from centernet.errors import DeviceError
from centernet.experiment import evaluate, model_files
from centernet.experiment.assembly import Assembly
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.inference_graph import Machine
from centernet.experiment.processes import join
from centernet.experiment.schema import DataConfig

LONGEST = 600.0  # seconds that AP in one runtime more may take


@dataclass(frozen=True, kw_only=True)
class RuntimePrecision:
    """AP in [0, 1] of the file in one more runtime; not_measured: why there is none."""

    runtime: str
    after: float | None = None
    not_measured: str | None = None


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """AP in [0, 1] of the network and of the file, and what ran them; images: how many of the validation split.

    others: the file in the other runtimes that read it.
    """

    metric: str
    images: int
    before: float
    before_runtime: str
    after: float
    after_runtime: str
    others: tuple[RuntimePrecision, ...] = ()

    @property
    def drop(self) -> float:
        """AP points lost."""
        return 100 * (self.before - self.after)

    def faults(self, max_drop: float) -> list[str]:
        """In which runtimes more AP points are lost than may be, in words."""
        found = []
        for start, after in [("", self.after), *((f"{row.runtime}: ", row.after) for row in self.others if row.after is not None)]:
            drop = 100 * (self.before - after)
            if not drop <= max_drop:
                found.append(f"{start}AP falls by {drop:.2f} points, from {self.before:.4f} to {after:.4f}; --max-drop is {max_drop:g}")
        return found

    def lines(self, max_drop: float) -> list[str]:
        """For the report."""
        lines = [
            f"AP ({self.metric}, {self.images} images): {self.before:.4f} with {self.before_runtime}; "
            f"{self.after:.4f} with {self.after_runtime}",
            f"AP changes by {round(-self.drop, 2) + 0.0:+.2f} points, may fall by {max_drop:g}",
        ]
        for row in self.others:
            if row.after is None:
                lines.append(f"AP with {row.runtime}: not measured: {row.not_measured}")
            else:
                lines.append(f"AP with {row.runtime}: {row.after:.4f}, {round(100 * (row.after - self.before), 2) + 0.0:+.2f} points")
        return lines


def average_precision(
    network: Assembly,
    path: Path,
    machines: Sequence[Machine],
    *,
    k: int,
    dataset: DetectionDataset,
    data: DataConfig,
    longest: float = LONGEST,
) -> AveragePrecision:
    """Measure the network, and the file as the first of the machines that can runs it; then as the others do, if that is quick.

    Args:
        network: as it can be run here. path: the file it was exported to. machines: what reads the file, best first.
        k: detections per image. dataset, data: the validation split and its configuration.
        longest: seconds that each of the other machines may take; one that would take longer is not measured.

    Raises:
        DeviceError: no machine can run the file.
    """
    how = Options(k=k, batch_size=8)

    def measure(source: Detector) -> float:
        metric = evaluate.metric_for(network.task, dataset, data)
        return float(evaluate.evaluate(source, dataset, metric, join().communicator, on_bad_image=data.on_bad_image)["AP"])

    before, opened = detector(network, Machine(precision="float32", extension="cpu"), how), _opened(path, machines, how)
    after = next(opened)
    assert isinstance(after, Detector), "or it has raised"
    rows = {"before": measure(before), "after": measure(after)}
    others = []
    for found in opened:
        if isinstance(found, RuntimePrecision):
            others.append(found)
            continue
        seconds = _seconds(found, dataset) * len(dataset)
        name = found.session.summary
        if seconds <= longest:
            others.append(RuntimePrecision(runtime=name, after=measure(found)))
        else:
            others.append(RuntimePrecision(runtime=name, not_measured=f"{len(dataset)} images would take about {seconds / 60:.0f} minutes"))
    return AveragePrecision(
        metric=evaluate.protocol_of(data),
        images=len(dataset),
        before_runtime=before.session.summary,
        after_runtime=after.session.summary,
        others=tuple(others),
        **rows,
    )


def _opened(path: Path, machines: Sequence[Machine], how: Options) -> Iterator[Detector | RuntimePrecision]:
    """The file on every machine, first one that can run it; DeviceError where none can."""
    failed: list[DeviceError] = []
    has_run = False
    for machine in machines:
        try:
            found = model_files.load(path, machine=machine, options=how)
        except DeviceError as error:
            failed.append(error)
            if has_run:
                yield RuntimePrecision(runtime=f"{machine.runtime}, {machine.precision}", not_measured=str(error))
            continue
        has_run = True
        yield found
    if not has_run:
        raise failed[-1]


def _seconds(source: Detector, dataset: DetectionDataset) -> float:
    """For one image."""
    image = dataset.sample(0).image
    source.predict_batch([image])  # compiles
    start = perf_counter()
    source.predict_batch([image])
    return perf_counter() - start
