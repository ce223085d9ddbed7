"""Explain the AP: measure a detector as `centernet test` does and, in the same pass, find out what it loses and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.engine.communicator import Communicator
from centernet.errors import ConfigError
from centernet.experiment import evaluate
from centernet.experiment.detector import Detector
from centernet.experiment.explain.findings import Findings, find
from centernet.experiment.explain.oracles import EVERYTHING, ExplainingMetric, predict
from centernet.experiment.schema import DataConfig
from centernet.metrics.detection_errors import Judgement, Kind, judge
from centernet.metrics.detection_store import DetectionStore
from centernet.metrics.operating_points import mendable
from centernet.structures import Detections
from centernet.tasks.base import Metric

CLASSES = "classes"  # what is perfect where every box has the class of the object it is on
NO_MAPS = "the model file gives detections only (it was exported with --decode), so its maps cannot be replaced; use the parameters (.h5)"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """results: what `results.json` holds. perfect: AP and AP50 in [0, 1] by what is perfect, as far as it can be known.

    not_known: why there is no more of it; empty where all is known. ignored: a sentence on objects that need not be found.
    """

    results: Mapping[str, Any]
    perfect: Mapping[str, Mapping[str, float]]
    not_known: str
    ignored: str
    findings: Findings
    judgement: Judgement
    dataset: DetectionDataset


def check(detector: Detector) -> None:
    """ConfigError where a detector was opened without the maps it could give out."""
    if detector.could_give_maps and not detector.options.with_maps:
        raise ConfigError("explain: the detector was opened without its maps; open it with centernet.load(..., with_maps=True)")


def measure(
    detector: Detector, data: DataConfig, communicator: Communicator, *, announce: Callable[[dict[str, Any]], None] = lambda protocol: None
) -> tuple[dict[str, Any], list[dict[str, object]], Explanation | None]:
    """As `evaluate.measure`, the network run once for each image; and, on rank 0, the explanation.

    Raises:
        ConfigError: as `check`. DataError: the data set cannot be read, or has other classes than the model.
    """
    check(detector)
    dataset = evaluate.validation_split(detector, data)
    make = partial(evaluate.metric_for, detector.assembly.task, dataset, data)
    metric = ExplainingMetric(make)
    counts_difficult = evaluate.protocol_of(data) != "voc"
    results, detections = evaluate.measure_split(
        detector,
        # Samples hold the objects that must be found, which are what perfect maps are of.
        replace(dataset, keep_crowd=False, keep_difficult=counts_difficult),
        data,
        communicator,
        metric=metric,
        predict=partial(predict, detector) if detector.options.with_maps else None,
        announce=announce,
    )
    if communicator.rank:
        return results, detections, None
    judgement = _judged(metric.plain, dataset, counts_difficult=counts_difficult)
    of_maps = dict(metric.perfect)
    last = {EVERYTHING: of_maps.pop(EVERYTHING)} if of_maps else {}
    metrics = {**of_maps, CLASSES: with_classes(judgement, make()), **last}
    explanation = Explanation(
        results=results,
        perfect={name: one.overall() for name, one in metrics.items()},
        not_known="" if detector.options.with_maps else NO_MAPS,
        ignored=f"{'Crowds' if counts_difficult else 'Crowds and difficult objects'} need not be found: detections on them do not count.",
        findings=find(judgement, dataset),
        judgement=judgement,
        dataset=dataset,
    )
    return results, detections, explanation


def _judged(metric: Metric, dataset: DetectionDataset, *, counts_difficult: bool) -> Judgement:
    store = DetectionStore(len(dataset))
    store.merge([metric.state()])
    difficult = dataset.annotations.is_difficult
    return judge(store, dataset.annotations, need_not_be_found=difficult & (not counts_difficult))


def with_classes(judgement: Judgement, metric: Metric) -> Metric:
    """The metric, told of detections none of which is confused: the best on each object that is not found otherwise has its class."""
    mended = mendable(judgement, Kind.CONFUSED)
    keep = np.flatnonzero((judgement.kinds != Kind.CONFUSED) | mended)
    class_ids = judgement.class_ids.copy()
    class_ids[mended] = judgement.truth_class_ids[judgement.objects[mended]]
    by_image = keep[np.argsort(judgement.image_index[keep], kind="stable")]
    images, starts = np.unique(judgement.image_index[by_image], return_index=True)
    for image, rows in zip(images.tolist(), np.split(by_image, starts[1:])[: len(images)], strict=True):
        metric.update(image, Detections(judgement.boxes[rows], judgement.scores[rows], class_ids[rows]))
    return metric
