from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centernet.metrics.detection_errors import WRONG, Judgement, Kind, judge, judge_image
from centernet.structures import Annotations, Array, Detections

OBJECT = [0.0, 0.0, 10.0, 10.0]


def one(
    box: list[float], class_id: int = 0, *, truth: list[list[float]] | None = None, classes: tuple[int, ...] = (0,), **flags: bool
) -> Kind:
    """What a single detection is; `truth` are objects of `classes`, by default one."""
    objects = np.array([OBJECT] if truth is None else truth, float).reshape(-1, 4)
    kinds, _ = judge_image(
        np.array([box], np.float32),
        np.array([class_id]),
        truth_boxes=objects,
        truth_class_ids=np.array(classes[: len(objects)]),
        is_crowd=np.full(len(objects), flags.get("crowd", False)),
        need_not_be_found=np.full(len(objects), flags.get("difficult", False)),
    )
    return Kind(kinds[0])


@pytest.mark.parametrize(
    ("box", "class_id", "kind"),
    [
        ([0, 0, 10, 10], 0, Kind.RIGHT),
        ([0, 0, 10, 5], 0, Kind.RIGHT),  # IoU exactly 0.5
        ([0, 0, 10, 4.9], 0, Kind.MISPLACED),
        ([0, 0, 10, 1], 0, Kind.MISPLACED),  # IoU exactly 0.1
        ([0, 0, 10, 0.9], 0, Kind.BACKGROUND),
        ([50, 50, 60, 60], 0, Kind.BACKGROUND),
        ([0, 0, 10, 10], 1, Kind.CONFUSED),
        ([0, 0, 10, 4.9], 1, Kind.CONFUSED_AND_MISPLACED),
        ([0, 0, 10, 0.9], 1, Kind.BACKGROUND),
    ],
)
def test_each_kind_by_hand(box: list[float], class_id: int, kind: Kind) -> None:
    assert one(box, class_id) == kind


def test_without_objects_everything_is_background() -> None:
    assert one([0, 0, 5, 5], truth=[]) == Kind.BACKGROUND


def test_what_lies_on_a_crowd_or_a_difficult_object_of_its_class_is_ignored() -> None:
    assert one([2, 2, 4, 4], crowd=True) == Kind.IGNORED  # its own area counts, not that of the crowd
    assert one([2, 2, 4, 4], difficult=True) == Kind.BACKGROUND
    assert one(OBJECT, difficult=True) == Kind.IGNORED
    assert one(OBJECT, 1, crowd=True) == one(OBJECT, 1, difficult=True) == Kind.BACKGROUND  # nobody asked for it


def judged(detections: list[list[float]], truth: list[list[float]], *, crowd: tuple[int, ...] = ()) -> Judgement:
    """detections: [image, class, score, x1, y1, x2, y2]; truth: [image, class, x1, y1, x2, y2], sorted by image."""
    found, objects = np.array(detections, float).reshape(-1, 7), np.array(truth, float).reshape(-1, 6)
    table = annotations(objects, crowd=crowd)
    per_image = [(i, Detections(rows[:, 3:], rows[:, 2], rows[:, 1])) for i in range(len(table)) for rows in [found[found[:, 0] == i]]]
    return judge(per_image, table, need_not_be_found=np.zeros(len(objects), bool))


def annotations(objects: Array, *, crowd: tuple[int, ...] = (), num_images: int = 3) -> Annotations:
    flags = np.zeros(len(objects), bool)
    flags[list(crowd)] = True
    boxes = objects[:, 2:]
    return Annotations(
        image_ids=np.arange(num_images),
        image_sizes=np.full((num_images, 2), 100),
        file_names=[f"{i}.jpg" for i in range(num_images)],
        image_index=objects[:, 0].astype(int),
        boxes=boxes,
        class_ids=objects[:, 1].astype(int),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        is_crowd=flags,
        is_difficult=np.zeros(len(objects), bool),
    )


def test_the_second_detection_of_an_object_is_a_duplicate_whichever_comes_first() -> None:
    found = judged([[0, 0, 0.5, *OBJECT], [0, 0, 0.9, 0, 0, 10, 9]], [[0, 0, *OBJECT]])
    assert found.kinds.tolist() == [Kind.RIGHT, Kind.DUPLICATE]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.objects.tolist() == [0, 0]


def test_the_better_of_two_detections_leaves_the_object_that_it_does_not_overlap_most_to_the_other() -> None:
    truth = [[0, 0, 0, 0, 10, 10], [0, 0, 2, 0, 12, 10]]
    found = judged([[0, 0, 0.9, 0, 0, 10, 10], [0, 0, 0.8, 0, 0, 10, 10]], truth)
    assert found.kinds.tolist() == [Kind.RIGHT, Kind.RIGHT]
    assert found.objects.tolist() == [0, 1]


def test_objects_are_those_of_the_own_image() -> None:
    found = judged([[1, 0, 0.9, *OBJECT], [2, 0, 0.8, *OBJECT]], [[0, 0, *OBJECT], [2, 0, *OBJECT]])
    assert found.kinds.tolist() == [Kind.BACKGROUND, Kind.RIGHT]
    assert found.objects.tolist() == [-1, 1]
    assert found.found().tolist() == [False, True]
    assert found.missed().tolist() == [True, False]


def test_an_object_that_was_meant_by_a_misplaced_or_confused_detection_is_not_missed_unless_that_is_hidden() -> None:
    truth = [[0, 0, *OBJECT], [1, 0, *OBJECT], [2, 0, *OBJECT]]
    found = judged([[0, 0, 0.9, 0, 0, 10, 4], [1, 1, 0.8, *OBJECT], [2, 1, 0.7, 0, 0, 10, 4]], truth)
    assert found.kinds.tolist() == [Kind.MISPLACED, Kind.CONFUSED, Kind.CONFUSED_AND_MISPLACED]
    assert found.missed().tolist() == [False, False, True]
    assert found.missed(found.scores > 0.85).tolist() == [False, True, True]


def test_crowds_are_neither_found_nor_missed_nor_counted() -> None:
    found = judged([[0, 0, 0.9, 20, 20, 30, 30]], [[0, 0, *OBJECT], [0, 0, 0, 0, 50, 50]], crowd=(1,))
    assert found.kinds.tolist() == [Kind.IGNORED]
    assert found.missed().tolist() == [True, False]
    assert found.num_objects(2).tolist() == [1, 0]


BOXES = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])
TRUTH = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), BOXES), max_size=8).map(
    lambda rows: sorted([i, c, *box] for i, c, box in rows)
)
FOUND = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 99), BOXES), max_size=12).map(
    lambda rows: [[i, c, s / 100, *box] for i, c, s, box in rows]
)


@given(FOUND, TRUTH, st.integers(0, 100))
def test_every_detection_is_one_thing_and_every_object_found_meant_or_missed(
    detections: list[list[float]], truth: list[list[float]], percent: int
) -> None:
    found = judged(detections, truth)
    shown = found.scores >= percent / 100
    counts = {kind: int((found.kinds[shown] == kind).sum()) for kind in Kind}
    assert sum(counts.values()) == shown.sum()
    is_found, is_missed = found.found(shown), found.missed(shown)
    assert is_found.sum() == counts[Kind.RIGHT]  # each finds one object, and no two the same
    assert not (is_found & is_missed).any()
    concerned = (found.kinds != Kind.BACKGROUND) & (found.kinds != Kind.IGNORED)
    assert (found.objects[concerned] >= 0).all()
    assert (found.objects[~concerned] == -1).all()
    assert (found.truth_image_index[found.objects[concerned]] == found.image_index[concerned]).all()
    right = found.kinds == Kind.RIGHT
    assert (found.truth_class_ids[found.objects[right]] == found.class_ids[right]).all()
    confused = found.kinds == Kind.CONFUSED
    assert (found.truth_class_ids[found.objects[confused]] != found.class_ids[confused]).all()


@given(TRUTH)
def test_the_objects_themselves_are_right_and_nothing_is_missed(truth: list[list[float]]) -> None:
    found = judged([[row[0], row[1], 0.9, *row[2:]] for row in truth], truth)
    assert (found.kinds == Kind.RIGHT).all()
    assert found.found().all()
    assert not found.missed().any()


def coco(truth: Array, **rows: Array) -> COCO:
    """An in-memory data set of these boxes, xyxy, and their columns."""
    found = COCO()
    columns = {name: column.tolist() for name, column in rows.items()}
    boxes = np.concatenate([truth[:, :2], truth[:, 2:] - truth[:, :2]], axis=1)
    found.dataset = {
        "images": [{"id": 0}],
        "categories": [{"id": c} for c in range(3)],
        "annotations": [
            {
                "id": i + 1,
                "image_id": 0,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                **{name: column[i] for name, column in columns.items()},
            }
            for i, box in enumerate(boxes.tolist())
        ],
    }
    found.createIndex()
    return found


@pytest.mark.parametrize("seed", range(8))
def test_right_and_ignored_are_what_pycocotools_matches_at_an_overlap_of_one_half(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(seed)

    def boxes(number: int) -> Array:
        corners = rng.uniform(0, 30, (number, 2))
        return np.concatenate([corners, corners + rng.uniform(10, 25, (number, 2))], axis=1)

    truth, found = boxes(12), boxes(40)
    truth_ids, found_ids, is_crowd = rng.integers(0, 3, 12), rng.integers(0, 3, 40), rng.random(12) < 0.2
    scores = np.sort(rng.random(40))[::-1]
    evaluation = COCOeval(
        coco(truth, category_id=truth_ids, iscrowd=is_crowd.astype(int)), coco(found, category_id=found_ids, score=scores), "bbox"
    )
    evaluation.evaluate()
    expected = np.full(40, "wrong", dtype="U9")
    for cell in evaluation.evalImgs[:: len(evaluation.params.areaRng)]:  # of each class, all sizes
        rows = np.array(cell["dtIds"] if cell else [], int) - 1
        if len(rows):
            expected[rows] = np.where(cell["dtIgnore"][0], "ignored", np.where(cell["dtMatches"][0] > 0, "right", "wrong"))
    kinds, _ = judge_image(
        found, found_ids, truth_boxes=truth, truth_class_ids=truth_ids, is_crowd=is_crowd, need_not_be_found=np.zeros(12, bool)
    )
    own = np.where(kinds == Kind.IGNORED, "ignored", np.where(kinds == Kind.RIGHT, "right", "wrong"))
    assert own.tolist() == expected.tolist()
    assert {"right", "wrong"} <= set(own.tolist())


def test_the_wrong_kinds_are_all_but_right_and_ignored() -> None:
    assert set(WRONG) == set(Kind) - {Kind.RIGHT, Kind.IGNORED}
