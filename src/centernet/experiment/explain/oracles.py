"""What the network would have found, had it known one thing perfectly: parts of its answer replaced by the task's perfect ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from centernet.experiment.detector import Detector
from centernet.geometry.affine import transform_boxes
from centernet.inference.preprocess import FittedImage, to_image
from centernet.structures import Array, Detections, Grid, Sample
from centernet.tasks.base import Metric

EVERYTHING = "everything"  # all parts perfect at once: what decoding and the grid allow


@dataclass(frozen=True)
class Explained(Detections):
    """What was found in one image, and `perfect`: what would have been, by what is perfect."""

    perfect: Mapping[str, Detections] = field(default_factory=dict)


class ExplainingMetric:
    """The metric of a data set, and one of the same kind for everything that was made perfect."""

    def __init__(self, make: Callable[[], Metric]) -> None:
        """
        Args:
            make: an empty metric of the data set.
        """
        self._make = make
        self.plain = make()
        self.perfect: dict[str, Metric] = {}

    def update(self, image_index: int, detections: Detections) -> None:
        """Add one image's detections, boxes in pixels of the original image."""
        self.plain.update(image_index, detections)
        for name, found in detections.perfect.items() if isinstance(detections, Explained) else ():
            self._of(name).update(image_index, found)

    def state(self) -> dict[str, Array]:
        """All that was collected, `PART/NAME` for each array of each metric; the plain one's part is empty."""
        metrics = {"": self.plain, **self.perfect}
        return {f"{part}/{name}": array for part, metric in metrics.items() for name, array in metric.state().items()}

    def merge(self, states: Sequence[Mapping[str, Array]]) -> None:
        """Take over what other processes collected."""
        for state in states:
            parts: dict[str, dict[str, Array]] = {}
            for key, array in state.items():
                part, _, name = key.rpartition("/")
                parts.setdefault(part, {})[name] = array
            for part, arrays in parts.items():
                (self._of(part) if part else self.plain).merge([arrays])

    def compute(self) -> Mapping[str, Any]:
        """The plain numbers."""
        return self.plain.compute()

    def overall(self) -> Mapping[str, float]:
        """The plain AP and AP50."""
        return self.plain.overall()

    def detections_json(self) -> list[dict[str, object]]:
        """The plain detections."""
        return self.plain.detections_json()

    def _of(self, name: str) -> Metric:
        if name not in self.perfect:
            self.perfect[name] = self._make()
        return self.perfect[name]


def predict(detector: Detector, batch: Sequence[Sample]) -> list[Detections]:
    """What the detector finds in images, and what it would have found; each image goes through the network once.

    At several test scales, or with the mirror image, the parts are replaced in all of the views.

    Args:
        detector: gives its maps out.
        batch: images of any sizes with the objects that are to be found, in pixels of the image.
    """
    parts: list[dict[str, list[Detections]]] = [{} for _ in batch]

    def watch(members: Sequence[int], fitted: Sequence[FittedImage], outputs: dict[str, Array]) -> None:
        found = _answers(detector, [batch[i] for i in members], fitted, outputs)
        for name, of_images in found.items():
            for i, image, detections in zip(members, fitted, of_images, strict=True):
                parts[i].setdefault(name, []).append(to_image(detections, image))

    plain = detector.predict_batch([sample.image for sample in batch], watch=watch)
    return [
        Explained(
            found.boxes,
            found.scores,
            found.class_ids,
            found.class_names,
            {name: detector.finish(views) for name, views in of_image.items()},
        )
        for found, of_image in zip(plain, parts, strict=True)
    ]


def _answers(
    detector: Detector, samples: Sequence[Sample], fitted: Sequence[FittedImage], outputs: Mapping[str, Array]
) -> dict[str, list[Detections]]:
    """What is found in images of one network input size, in its pixels, by what is perfect."""
    task, flipped = detector.assembly.task, detector.options.flip_test
    grid = Grid(*fitted[0].size, detector.description.stride)
    own = detector.head_maps(outputs)
    seen = [_in_input(sample, image) for sample, image in zip(samples, fitted, strict=True)]
    views = [_with_everything(task.oracles(sample, grid)) for sample in [*seen, *(map(_mirrored, seen) if flipped else ())]]
    found = {}
    for name, heads in views[0].items():
        replaced = {head: np.concatenate([view[name][head] for view in views]) for head in heads}
        found[name] = task.decode({**own, **replaced}, k=min(detector.options.k, grid.num_cells), grid=grid, flipped=flipped)
    return found


def _with_everything(perfect: Mapping[str, Mapping[str, Array]]) -> dict[str, Mapping[str, Array]]:
    return {**perfect, EVERYTHING: {head: maps for part in perfect.values() for head, maps in part.items()}}


def _in_input(sample: Sample, fitted: FittedImage) -> Sample:
    """What the network sees of an image, with its objects."""
    boxes = transform_boxes(sample.boxes * fitted.scale, fitted.matrix)
    return Sample(image=fitted.warped, boxes=boxes, class_ids=sample.class_ids, name=sample.name)


def _mirrored(sample: Sample) -> Sample:
    """The image with left and right exchanged, and so its objects."""
    boxes = sample.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1]) + np.array([1, 0, 1, 0]) * sample.image.shape[1]
    return Sample(image=sample.image[:, ::-1], boxes=boxes, class_ids=sample.class_ids, name=sample.name)
