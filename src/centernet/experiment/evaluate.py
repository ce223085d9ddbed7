"""Measure a detector on a data set, the images shared among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from centernet import plugins
from centernet.data.datasets.base import DetectionDataset, data_folder
from centernet.data.reader import read_ahead
from centernet.data.sampler import evaluation_shard
from centernet.engine.communicator import Communicator
from centernet.engine.evaluation import Predict
from centernet.engine.evaluation import evaluate as run
from centernet.engine.progress import ROWS, terminal_width
from centernet.errors import DataError, first_of
from centernet.experiment import report
from centernet.experiment.assembly import open_split
from centernet.experiment.detector import Detector
from centernet.experiment.schema import DataConfig
from centernet.inference.parallel import in_order
from centernet.structures import ClassTable, Detections, Sample
from centernet.tasks.base import Metric, MetricProtocol, Task

# How a data set is scored: as its makers do. Data sets not named here as COCO.
PROTOCOLS: dict[str, MetricProtocol] = {"voc": "voc"}


def protocol_of(data: DataConfig) -> MetricProtocol:
    """The metric that was asked for, else the one the data set's makers use."""
    return data.metric or PROTOCOLS.get(plugins.name_of(data.dataset), "coco")


def metric_for(task: Task, dataset: DetectionDataset, data: DataConfig) -> Metric:
    """An empty metric for one split."""
    return task.metric(
        dataset.annotations, protocol=protocol_of(data), classes=dataset.classes, inclusive_boxes=dataset.has_inclusive_boxes
    )


def check_classes(found: ClassTable, expected: ClassTable, *, source: str) -> None:
    """DataError where a data set's classes are not those a model was trained for."""
    if found.names != expected.names:
        raise DataError(
            f"{source}: the model knows {len(expected)} classes ({first_of(expected.names, 4)}), "
            f"the data set has {len(found)} ({first_of(found.names, 4)}); "
            "use the data set it was trained for, or list the classes in data.dataset.classes in the model's order"
        )


def measure(
    detector: Detector, data: DataConfig, communicator: Communicator, *, announce: Callable[[dict[str, Any]], None] = lambda protocol: None
) -> tuple[dict[str, Any], list[dict[str, object]]]:
    """What `results.json` and `detections.json` hold: the numbers on a validation split and how they came about, all detections.

    Args:
        detector: each process has its own. announce: told the protocol before the measuring begins.

    Raises:
        DataError: the data set cannot be read, or has other classes than the model.
    """
    dataset = validation_split(detector, data)
    metric = metric_for(detector.assembly.task, dataset, data)
    return measure_split(detector, dataset, data, communicator, metric=metric, announce=announce)


def validation_split(detector: Detector, data: DataConfig) -> DetectionDataset:
    """What a detector is measured on; DataError where it cannot be read, or has other classes than the model."""
    if data.root is not None:
        data_folder(Path(data.root).expanduser())  # a data set that draws itself must not do so for a misspelt folder
    dataset = open_split(data, "val")
    check_classes(dataset.classes, detector.description.classes, source=str(data.root))
    return dataset


def measure_split(
    detector: Detector,
    dataset: DetectionDataset,
    data: DataConfig,
    communicator: Communicator,
    *,
    metric: Metric,
    predict: Predict | None = None,
    announce: Callable[[dict[str, Any]], None] = lambda protocol: None,
) -> tuple[dict[str, Any], list[dict[str, object]]]:
    """As `measure`, on an open split.

    Args:
        metric: empty; holds all detections afterwards.
        predict: see `evaluate`.
    """
    protocol = report.protocol_text(detector, metric=protocol_of(data), num_images=len(dataset))
    announce(protocol)
    numbers = evaluate(
        detector, dataset, metric, communicator, predict=predict, on_bad_image=data.on_bad_image, sample_seconds=data.sample_seconds
    )
    return {**numbers, "protocol": protocol}, metric.detections_json()


def evaluate(
    detector: Detector,
    dataset: DetectionDataset,
    metric: Metric,
    communicator: Communicator,
    *,
    predict: Predict | None = None,
    on_bad_image: Literal["stop", "skip"] = "stop",
    sample_seconds: float | None = 120.0,
    is_shown: bool = True,
) -> dict[str, Any]:
    """The metric's numbers over the whole data set, the same on every process and for any number of them; collective.

    Args:
        detector: each process has its own.
        metric: empty; holds all detections afterwards (`detections_json`).
        predict: what asks the detector, and may tell the metric more than its detections; None: the detector itself.
        on_bad_image, sample_seconds: see `read_ahead`.
        is_shown: whether rank 0 draws a progress bar.
    """
    shard = evaluation_shard(len(dataset), rank=communicator.rank, size=communicator.size)
    ahead = 2 * detector.batch_size + 4
    samples = read_ahead(dataset, shard, on_bad_image=on_bad_image, sample_seconds=sample_seconds, ahead=ahead)
    shown = _progress(samples, total=len(shard), is_shown=is_shown and communicator.rank == 0)

    def plainly(batch: list[Sample]) -> list[Detections]:
        return detector.predict_batch([sample.image for sample in batch])

    in_turn = partial(in_order, parallel=detector.session.parallel_runs)
    return run(
        predict or plainly,
        shown,
        metric=metric,
        communicator=communicator,
        batch_size=detector.batch_size,
        in_turn=in_turn,
        sample_seconds=sample_seconds,
    )


def _progress(samples: Iterable[tuple[int, Sample]], *, total: int, is_shown: bool) -> Iterator[tuple[int, Sample]]:
    width = terminal_width()
    watched = is_shown and width is not None
    yield from tqdm(
        samples, total=total, desc="test", unit="image", disable=not watched, leave=False, mininterval=0.5, ncols=width, nrows=ROWS
    )
