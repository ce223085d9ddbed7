from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centernet.metrics.coco_ap import CocoAP
from centernet.structures import Annotations, Array, ClassTable, Detections

CLASSES = ClassTable(("cat", "dog", "owl"), (17, 3, 90))
NUMBERS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def annotations_of(rows: list[list[float]], num_images: int, crowd: set[int] | None = None) -> Annotations:
    """rows: [image, class, x1, y1, x2, y2]."""
    table = np.asarray(rows, float).reshape(-1, 6)
    boxes = table[:, 2:]
    return Annotations(
        image_ids=np.arange(num_images) * 7 + 1000,
        image_sizes=np.full((num_images, 2), 300),
        file_names=[f"{i}.jpg" for i in range(num_images)],
        image_index=table[:, 0].astype(np.int32),
        boxes=boxes,
        class_ids=table[:, 1].astype(np.int32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        is_crowd=np.isin(np.arange(len(table)), list(crowd or ())),
        is_difficult=np.zeros(len(table), bool),
    )


def random_case(seed: int = 0) -> tuple[Annotations, list[Detections]]:
    rng = np.random.default_rng(seed)
    rows, found = [], []
    for image in range(8):
        boxes = rng.uniform(0, 150, (5, 2)).repeat(2, 0).reshape(5, 4)
        boxes[:, 2:] += rng.uniform(8, 140, (5, 2))
        class_ids = rng.integers(0, 2, 5)
        rows += [[image, c, *box] for c, box in zip(class_ids, boxes, strict=True)]
        noisy = np.concatenate([boxes + rng.normal(0, 6, (5, 4)), boxes[:3] + 40])
        found.append(Detections(noisy, rng.random(8), np.concatenate([class_ids, class_ids[:3]])))
    return annotations_of(rows, 8, crowd={3, 11}), found


def metric_of(annotations: Annotations, found: list[Detections]) -> CocoAP:
    metric = CocoAP(annotations, CLASSES)
    for image, detections in enumerate(found):
        metric.update(image, detections)
    return metric


def pycocotools_from_files(folder: Path, annotations: Annotations, results: list[dict[str, object]]) -> Array:
    """The usual way: an annotation file, a result file, `loadRes`."""
    objects = []
    for i, (image, class_id, box) in enumerate(zip(annotations.image_index, annotations.class_ids, annotations.boxes, strict=True)):
        xywh = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
        ids = {"id": i + 1, "image_id": int(annotations.image_ids[image]), "category_id": CLASSES.category_ids[class_id]}
        objects.append({**ids, "bbox": xywh, "area": xywh[2] * xywh[3], "iscrowd": int(annotations.is_crowd[i])})
    tree = {"images": [{"id": int(i)} for i in annotations.image_ids], "annotations": objects}
    tree["categories"] = [{"id": i, "name": n} for i, n in zip(CLASSES.category_ids, CLASSES.names, strict=True)]
    (folder / "truth.json").write_text(json.dumps(tree))
    (folder / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


def test_the_twelve_numbers_are_those_of_pycocotools_reading_files(tmp_path: Path) -> None:
    annotations, found = random_case()
    metric = metric_of(annotations, found)
    result = metric.compute()
    expected = pycocotools_from_files(tmp_path, annotations, metric.detections_json())
    np.testing.assert_array_equal([result[name] for name in NUMBERS], expected)  # type: ignore[literal-required]
    assert 0.05 < result["AP"] < 0.95


def test_the_mean_over_classes_with_objects_is_the_total() -> None:
    result = metric_of(*random_case()).compute()
    assert list(result["per_class"]) == list(CLASSES.names)
    assert result["per_class"]["owl"] == {"AP": -1, "AP50": -1}
    for number in ("AP", "AP50"):
        mean = np.mean([result["per_class"][name][number] for name in ("cat", "dog")])  # type: ignore[literal-required]
        assert mean == pytest.approx(result[number])  # type: ignore[literal-required]


def test_ap_and_ap50_alone_are_those_of_all_numbers() -> None:
    for metric in (metric_of(*random_case()), metric_of(annotations_of([], 1), [])):
        everything = metric.compute()
        assert metric.overall() == {"AP": everything["AP"], "AP50": everything["AP50"]}


def test_the_table_comes_in_the_order_of_the_classes_not_of_their_ids() -> None:
    annotations = annotations_of([[0, 0, 0, 0, 50, 50], [0, 1, 100, 100, 150, 150]], 1)
    found = Detections(np.asarray([[0, 0, 50, 50]]), np.asarray([0.9]), np.asarray([0]))
    per_class = metric_of(annotations, [found]).compute()["per_class"]
    assert per_class["cat"]["AP"] == pytest.approx(1)
    assert per_class["dog"]["AP"] == 0


def test_nothing_found_is_zero_and_nothing_to_find_is_minus_one() -> None:
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    assert metric_of(annotations_of([[0, 0, 0, 0, 50, 50]], 1), [nothing]).compute()["AP"] == 0
    assert metric_of(annotations_of([], 1), [nothing]).compute()["AP"] == -1


def test_an_image_without_an_answer_counts_with_its_objects_missed() -> None:
    annotations = annotations_of([[image, 0, 0, 0, 50, 50] for image in range(2)], 2)
    found = Detections(np.asarray([[0, 0, 50, 50]]), np.asarray([0.9]), np.asarray([0]))
    assert metric_of(annotations, [found]).compute()["AR100"] == pytest.approx(0.5)


def test_a_crowd_need_not_be_found() -> None:
    annotations = annotations_of([[0, 0, 0, 0, 50, 50], [0, 0, 100, 100, 200, 200]], 1, crowd={1})
    found = Detections(np.asarray([[100, 100, 150, 150], [0, 0, 50, 50]]), np.asarray([0.9, 0.5]), np.asarray([0, 0]))
    assert metric_of(annotations, [found]).compute()["AP"] == pytest.approx(1)


def test_scores_are_not_rounded() -> None:
    annotations = annotations_of([[0, 0, 0, 0, 50, 50]], 1)
    wrong_then_right = np.asarray([[100, 100, 150, 150], [0, 0, 50, 50]])
    close = Detections(wrong_then_right, np.asarray([0.12341, 0.12344]), np.asarray([0, 0]))
    assert metric_of(annotations, [close]).compute()["AP"] == pytest.approx(1)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    metric_of(*random_case()).compute()
    assert capfd.readouterr() == ("", "")


def test_shares_of_several_processes_give_the_numbers_of_one() -> None:
    annotations, found = random_case()
    whole = metric_of(annotations, found)
    shares = [CocoAP(annotations, CLASSES) for _ in range(3)]
    for image, detections in enumerate(found):
        shares[image % 3].update(image, detections)
    shares[0].merge([share.state() for share in shares])
    assert shares[0].compute() == whole.compute()
    assert shares[0].detections_json() == whole.detections_json()
    with pytest.raises(ValueError, match="given twice"):
        whole.update(0, found[0])
