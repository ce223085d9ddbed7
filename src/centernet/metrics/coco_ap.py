"""Average precision as COCO defines it, computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
from typing import TypedDict

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centernet.metrics.detection_store import DetectionCollector
from centernet.structures import Array


class ClassAP(TypedDict):
    """One class: AP over IoU 0.50:0.95 and at 0.50, in [0, 1]; -1 where the class has no ground truth."""

    AP: float
    AP50: float


class CocoResult(TypedDict):
    """COCO's twelve numbers, in [0, 1]; -1 where there is no ground truth to measure by."""

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    per_class: dict[str, ClassAP]


class CocoAP(DetectionCollector):
    """Collects detections and computes COCO's numbers (Lin et al. 2014, arXiv:1405.0312; cocodataset.org/#detection-eval).

    Crowd objects are ignored regions, as COCO has it; difficult ones are objects like others. Scores are not rounded.
    An image without detections counts with its objects missed.
    """

    def compute(self) -> CocoResult:
        """The twelve numbers over all images of the data set, and AP and AP50 of each class."""
        evaluation = self._accumulated()
        with _silence():
            evaluation.summarize()
        stats = [float(value) for value in evaluation.stats]
        # (IoU threshold, recall, class, area range, detections per image)
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        # pycocotools sorts the categories by id, which need not be the order of the classes
        places = np.argsort(np.argsort(self._classes.category_ids))
        per_class = {
            name: ClassAP(AP=_mean(precision[:, :, k]), AP50=_mean(precision[0, :, k]))
            for name, k in zip(self._classes.names, places, strict=True)
        }
        return CocoResult(
            AP=stats[0],
            AP50=stats[1],
            AP75=stats[2],
            APs=stats[3],
            APm=stats[4],
            APl=stats[5],
            AR1=stats[6],
            AR10=stats[7],
            AR100=stats[8],
            ARs=stats[9],
            ARm=stats[10],
            ARl=stats[11],
            per_class=per_class,
        )

    def overall(self) -> dict[str, float]:
        """AP and AP50 of `compute` alone, of objects of all sizes: several times as quick."""
        precision = self._accumulated(sizes=1).eval["precision"][:, :, :, 0, -1]
        return {"AP": _mean(precision), "AP50": _mean(precision[0])}

    def _accumulated(self, *, sizes: int = 4) -> COCOeval:
        """Precision and recall, for so many of COCO's ranges of areas: all, small, medium, large."""
        with _silence():
            evaluation = COCOeval(self._ground_truth(), self._detections(), "bbox")
            evaluation.params.imgIds = [int(i) for i in self._annotations.image_ids]
            evaluation.params.catIds = list(self._classes.category_ids)
            evaluation.params.areaRng = evaluation.params.areaRng[:sizes]
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:sizes]
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    def _ground_truth(self) -> COCO:
        annotations = self._annotations
        boxes = annotations.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        rows = zip(
            annotations.image_ids[annotations.image_index].tolist(),
            annotations.class_ids.tolist(),
            boxes.tolist(),
            annotations.areas.tolist(),
            annotations.is_crowd.tolist(),
            strict=True,
        )
        objects: list[dict[str, object]] = [
            {"image_id": image_id, "category_id": self._classes.category_ids[class_id], "bbox": box, "area": area, "iscrowd": int(crowd)}
            for image_id, class_id, box, area, crowd in rows
        ]
        return self._coco(objects)

    def _detections(self) -> COCO:
        areas: list[float] = []
        for _, detections in self._store:
            sides = detections.boxes[:, 2:].astype(np.float64) - detections.boxes[:, :2]
            areas += sides.prod(axis=1).tolist()
        results = self.detections_json()
        return self._coco([{**result, "area": area, "iscrowd": 0} for result, area in zip(results, areas, strict=True)])

    def _coco(self, objects: list[dict[str, object]]) -> COCO:
        """An in-memory data set of these images and classes; object ids start at 1, since COCOeval takes 0 for 'none'."""
        coco = COCO()
        coco.dataset = {
            "images": [{"id": int(image_id)} for image_id in self._annotations.image_ids],
            "categories": [{"id": i, "name": name} for i, name in zip(self._classes.category_ids, self._classes.names, strict=True)],
            "annotations": [{**o, "id": number} for number, o in enumerate(objects, start=1)],
        }
        coco.createIndex()
        return coco


def _silence() -> contextlib.AbstractContextManager[object]:
    """pycocotools reports its progress by print."""
    return contextlib.redirect_stdout(io.StringIO())


def _mean(precision: Array) -> float:
    """The mean of what was measured; -1, as COCO has it, where nothing was."""
    measured = precision[precision > -1]
    return float(measured.mean()) if measured.size else -1.0
