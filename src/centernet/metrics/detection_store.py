"""Detections of a data set's images by index, kept and sent between processes as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from centernet.structures import Annotations, Array, ClassTable, Detections


class DetectionStore:
    """Detections by image index; an image counts once, no matter how often it arrives from other processes."""

    def __init__(self, num_images: int) -> None:
        self._num_images = num_images
        self._found: dict[int, Detections] = {}

    def add(self, image_index: int, detections: Detections) -> None:
        """Keep one image's detections, boxes xyxy in pixels of the original image.

        Raises:
            ValueError: the index is not in [0, num_images), or was added before.
        """
        if not 0 <= image_index < self._num_images:
            raise ValueError(f"image index is {image_index}, expected 0 to {self._num_images - 1}")
        if image_index in self._found:
            raise ValueError(f"image {image_index} was given twice")
        self._found[int(image_index)] = detections

    def __iter__(self) -> Iterator[tuple[int, Detections]]:
        """(image index, detections), ascending."""
        return ((index, self._found[index]) for index in sorted(self._found))

    def arrays(self) -> dict[str, Array]:
        """image_index: (n,) int64, ascending. counts: (n,) int64, detections of each. boxes (M, 4), scores (M,) float32,
        class_ids (M,) int64: those of all images, one after the other."""
        indices = sorted(self._found)
        found = [Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0)), *(self._found[i] for i in indices)]
        return {
            "image_index": np.asarray(indices, np.int64),
            "counts": np.asarray([len(d) for d in found[1:]], np.int64),
            "boxes": np.concatenate([d.boxes for d in found]),
            "scores": np.concatenate([d.scores for d in found]),
            "class_ids": np.concatenate([d.class_ids for d in found]),
        }

    def merge(self, states: Sequence[Mapping[str, Array]]) -> None:
        """Take over the `arrays` of other processes; an image that is here already is replaced."""
        for state in states:
            stops = np.cumsum(state["counts"])
            for index, stop, count in zip(state["image_index"].tolist(), stops, state["counts"], strict=True):
                part = slice(stop - count, stop)
                self._found[index] = Detections(state["boxes"][part], state["scores"][part], state["class_ids"][part])

    def of_class(self, class_id: int) -> tuple[Array, Array, Array]:
        """image_index (n,) int64, scores (n,) float32, boxes (n, 4) float32 of all detections of a class, best first."""
        found = self.arrays()
        image_index = np.repeat(found["image_index"], found["counts"])
        chosen = np.flatnonzero(found["class_ids"] == class_id)
        chosen = chosen[np.argsort(-found["scores"][chosen], kind="stable")]
        return image_index[chosen], found["scores"][chosen], found["boxes"][chosen]

    def coco_results(self, image_ids: Array, category_ids: Sequence[int]) -> list[dict[str, object]]:
        """The plain COCO result list: original image and category ids, boxes as x, y, width, height, nothing rounded."""
        results: list[dict[str, object]] = []
        for index, detections in self:
            boxes = detections.boxes.astype(np.float64)
            boxes[:, 2:] -= boxes[:, :2]
            rows = zip(detections.class_ids.tolist(), boxes.tolist(), detections.scores.tolist(), strict=True)
            results.extend(
                {"image_id": int(image_ids[index]), "category_id": category_ids[class_id], "bbox": box, "score": score}
                for class_id, box, score in rows
            )
        return results


class DetectionCollector:
    """What every metric does before it computes: collect the detections of a data set's images, on any number of processes."""

    def __init__(self, annotations: Annotations, classes: ClassTable) -> None:
        self._annotations = annotations
        self._classes = classes
        self._store = DetectionStore(len(annotations))

    def update(self, image_index: int, detections: Detections) -> None:
        """Add one image's detections: boxes xyxy in pixels of the original image, scores in [0, 1].

        Raises:
            ValueError: the image is not one of the data set's, or was given before.
        """
        self._store.add(image_index, detections)

    def state(self) -> dict[str, Array]:
        """All that was collected, as `DetectionStore.arrays`."""
        return self._store.arrays()

    def merge(self, states: Sequence[Mapping[str, Array]]) -> None:
        """Take over what other processes collected."""
        self._store.merge(states)

    def detections_json(self) -> list[dict[str, object]]:
        """The plain COCO result list, nothing rounded."""
        return self._store.coco_results(self._annotations.image_ids, self._classes.category_ids)
