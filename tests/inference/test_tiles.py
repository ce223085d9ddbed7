"""Tiles cover the image, and what they see becomes every object once and whole.

A perfect detector on drawn rectangles stands in for a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from centernet.inference.tiles import Tiling, detect_in_tiles, merge_tiles, tile_windows
from centernet.structures import Array, Detections

SMALLEST = 6  # pixels of a box's side below which the stand-in sees nothing
TILING = Tiling(tile=100, overlap=40)
Detect = Callable[[Sequence[Array]], list[Detections]]


def detections(rows: Sequence[Sequence[float]], names: tuple[str, ...] = ()) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), names)


def scene(image_hw: tuple[int, int], boxes: Sequence[Sequence[int]]) -> Array:
    """Object number i is a rectangle of blue level i + 1, of class i % 2, the last on top."""
    image = np.zeros((*image_hw, 3), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, 0] = i + 1
    return image


def boxes_of_levels(images: Sequence[Array], *, largest: float = np.inf, noise: float = 0.0) -> list[Detections]:
    """What a perfect detector sees: around each level's pixels; a piece scores as high as a whole; nothing above `largest`."""
    rng = np.random.default_rng(len(images))
    found = []
    for image in images:
        rows = []
        for level in np.unique(image[..., 0])[1:]:
            y, x = np.nonzero(image[..., 0] == level)
            box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
            if min(box[2:] - box[:2]) >= SMALLEST and max(box[2:] - box[:2]) <= largest:
                rows.append([*(box + rng.uniform(-noise, noise, 4)), rng.uniform(0.5, 1), (level - 1) % 2])
        found.append(detections(rows))
    return found


def assert_found(found: Detections, boxes: Sequence[Sequence[int]], *, atol: float = 1e-4) -> None:
    expected = np.array([[*box, i % 2] for i, box in enumerate(boxes)], float).reshape(-1, 5)
    rows = np.concatenate([found.boxes, found.class_ids[:, None]], axis=1)
    assert len(rows) == len(expected), rows
    distance = np.abs(rows[:, None] - expected[None]).max(axis=2)
    assert (distance.min(axis=0) <= atol).all(), expected[distance.min(axis=0) > atol]
    assert len(set(distance.argmin(axis=0))) == len(expected)
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("image_hw", [(100, 100), (60, 250), (101, 161), (500, 733)])
def test_tiles_cover_the_image_and_overlap_enough(image_hw: tuple[int, int]) -> None:
    windows = tile_windows(image_hw, TILING)
    covered = np.zeros(image_hw, int)
    for x1, y1, x2, y2 in windows:
        assert (y2 - y1, x2 - x1) == (min(100, image_hw[0]), min(100, image_hw[1]))
        covered[y1:y2, x1:x2] += 1
    assert covered.min() == 1 or len(windows) == 1
    for axis in (0, 1):
        starts = np.unique(windows[:, axis])
        assert (np.diff(starts) <= 60).all()
    # Any box no larger than the overlap is whole in some tile.
    width = image_hw[1]
    for x in range(0, max(width - 40, 0), 7):
        assert ((windows[:, 0] <= x) & (x + 40 <= windows[:, 2])).any()


@pytest.mark.parametrize(("tile", "overlap"), [(100, 100), (100, -1), (0, 0)])
def test_an_overlap_as_large_as_the_tile_is_refused(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= overlap < tile"):
        Tiling(tile=tile, overlap=overlap)


def test_an_image_no_larger_than_a_tile_is_detected_in_as_it_is() -> None:
    image, given = scene((90, 100), [(10, 10, 40, 40)]), []

    def detect(images: Sequence[Array]) -> list[Detections]:
        given.extend(images)
        return boxes_of_levels(images)

    assert_found(detect_in_tiles(detect, image, TILING), [(10, 10, 40, 40)])
    assert len(given) == 1
    assert given[0] is image


@pytest.mark.parametrize("shift", range(0, 60, 3))
def test_a_small_object_is_found_once_and_whole_wherever_the_seams_are(shift: int) -> None:
    boxes = [(20 + 2 * shift, 30 + shift, 50 + 2 * shift, 56 + shift)]
    assert_found(detect_in_tiles(boxes_of_levels, scene((220, 260), boxes), TILING), boxes)


def test_neighbours_of_one_class_on_a_seam_both_stay() -> None:
    boxes = [(58, 20, 74, 40), (0, 0, 1, 1), (76, 22, 96, 42), (0, 0, 1, 1), (98, 20, 112, 44)]  # every second one too small to be seen
    expected = [boxes[0], (0, 0, 0, 0), boxes[2], (0, 0, 0, 0), boxes[4]]
    found = detect_in_tiles(boxes_of_levels, scene((90, 200), boxes), TILING)
    np.testing.assert_allclose(found.boxes[np.argsort(found.boxes[:, 0])], [expected[i] for i in (0, 2, 4)], atol=1e-4)


@pytest.mark.parametrize("largest", [np.inf, 101], ids=["seen in the whole image", "joined from pieces"])
@pytest.mark.parametrize(
    "box",
    [(30, 20, 180, 70), (20, 30, 70, 200), (40, 40, 190, 190), (10, 10, 250, 90), (100, 5, 140, 215)],
    ids=["wide", "high", "on four tiles", "over the whole width", "over the whole height"],
)
def test_an_object_larger_than_the_overlap_is_found_once_and_whole(box: tuple[int, int, int, int], largest: float) -> None:
    def detect(images: Sequence[Array]) -> list[Detections]:
        return boxes_of_levels(images, largest=largest)

    assert_found(detect_in_tiles(detect, scene((220, 260), [box]), TILING), [box])


@pytest.mark.parametrize("seed", range(12))
def test_a_crowded_image_seen_in_tiles_holds_the_same_objects_as_seen_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taken, boxes = np.zeros((400, 520), bool), []
    for _ in range(60):
        width, height = rng.integers(8, 150, 2) if rng.random() < 0.2 else rng.integers(8, 36, 2)
        x, y = rng.integers(0, 520 - width), rng.integers(0, 400 - height)
        if not taken[y : y + height, x : x + width].any():
            taken[y : y + height, x : x + width] = True
            boxes.append((x, y, x + width, y + height))

    def detect(images: Sequence[Array]) -> list[Detections]:
        return boxes_of_levels(images, noise=1.5)

    found = detect_in_tiles(detect, scene((400, 520), boxes), TILING, batch_size=5)
    assert_found(found, boxes, atol=4)


def test_a_piece_that_looks_like_another_class_is_dropped_where_the_whole_is_known() -> None:
    windows = tile_windows((100, 160), TILING)
    assert windows.tolist() == [[0, 0, 100, 100], [60, 0, 160, 100]]
    whole = detections([[10, 10, 150, 90, 0.8, 0]])
    pieces = [detections([[10, 10, 100, 90, 0.9, 1]]), detections([[0, 11, 91, 90, 0.7, 0]])]
    assert_found(merge_tiles(pieces, windows, whole, (100, 160), TILING), [(10, 10, 150, 90)])


def test_the_view_of_the_whole_image_says_nothing_of_what_a_tile_saw_in_full() -> None:
    windows = tile_windows((100, 160), TILING)
    merged = merge_tiles([detections([]), detections([])], windows, detections([[20, 20, 80, 36, 0.9, 0]]), (100, 160), TILING)
    assert len(merged) == 0


def test_a_piece_stays_unless_another_tile_saw_the_place_in_full() -> None:
    windows = tile_windows((100, 160), TILING)
    long, short = [30, 20, 100, 60, 0.6, 0], [80, 70, 100, 90, 0.6, 0]
    merged = merge_tiles([detections([long, short]), detections([])], windows, detections([]), (100, 160), TILING)
    np.testing.assert_array_equal(merged.boxes, [long[:4]])


def test_a_group_of_whole_objects_is_not_one_large_object() -> None:
    windows = tile_windows((100, 160), TILING)
    rows = [[x, y, x + 20, y + 20, 0.5, 0] for x, y in ((10, 30), (40, 30), (10, 60))]
    group, thing = [5, 5, 150, 95, 0.9, 0], [6, 5, 150, 95, 0.9, 1]
    merged = merge_tiles([detections(rows), detections([])], windows, detections([group, thing]), (100, 160), TILING)
    assert len(merged) == 4
    assert merged.class_ids.tolist() == [1, 0, 0, 0]
    merged = merge_tiles([detections(rows[:2]), detections([])], windows, detections([group]), (100, 160), TILING)
    assert len(merged) == 3, "two may be in the background of a third"


def test_a_coarse_network_may_end_a_cut_box_farther_from_the_seam() -> None:
    windows = tile_windows((100, 160), TILING)
    pieces = [detections([[30, 20, 86, 60, 0.6, 0]]), detections([[12, 20, 70, 60, 0.7, 0]])]
    coarse = Tiling(tile=100, overlap=40, cell=12)
    assert len(merge_tiles(pieces, windows, detections([]), (100, 160), TILING)) == 2
    np.testing.assert_array_equal(merge_tiles(pieces, windows, detections([]), (100, 160), coarse).boxes, [[30, 20, 130, 60]])


def test_what_one_tile_sees_in_one_place_is_left_alone() -> None:
    """Two objects one behind the other are the network's finding, not a seam's."""
    windows = tile_windows((100, 160), TILING)
    pair = detections([[5, 20, 45, 60, 0.9, 0], [7, 21, 46, 62, 0.8, 0]])
    assert len(merge_tiles([pair, detections([])], windows, detections([]), (100, 160), TILING)) == 2


def test_parts_and_tiles_must_belong_together() -> None:
    with pytest.raises(ValueError, match="1 parts for 2 tiles"):
        merge_tiles([detections([])], tile_windows((100, 160), TILING), detections([]), (100, 160), TILING)


def test_only_scores_from_the_threshold_and_the_table_of_names_are_kept() -> None:
    windows = tile_windows((100, 160), TILING)

    def detect(images: Sequence[Array]) -> list[Detections]:
        return [detections([[20, 20, 40, 40, 0.9, 0], [60, 60, 80, 80, 0.2, 1]], ("a", "b")) for _ in images]

    found = detect_in_tiles(detect, np.zeros((100, 160, 3), np.uint8), TILING, threshold=0.5)
    assert len(windows) == 2
    assert found.class_names == ("a", "b")
    np.testing.assert_array_equal(found.scores, np.float32([0.9, 0.9]))


def test_what_holds_something_surer_is_a_group_seen_from_afar() -> None:
    """Whatever its class; but a large thing may hold small things that the network is less sure of."""
    windows = tile_windows((100, 160), TILING)
    small, giant = detections([[10, 30, 30, 50, 0.6, 0]]), [5, 5, 150, 95, 0.5, 1]
    merged = merge_tiles([small, detections([])], windows, detections([giant]), (100, 160), TILING)
    np.testing.assert_array_equal(merged.boxes, small.boxes)
    giant[4] = 0.7
    merged = merge_tiles([small, detections([])], windows, detections([giant]), (100, 160), TILING)
    np.testing.assert_array_equal(merged.boxes, [giant[:4], small.boxes[0]])


def test_an_object_that_tiles_join_is_not_something_inside_itself() -> None:
    windows = tile_windows((100, 160), TILING)
    pieces = [detections([[11, 10, 100, 90, 0.9, 0]]), detections([[0, 10, 89, 90, 0.9, 0]])]
    merged = merge_tiles(pieces, windows, detections([[10, 10, 150, 90, 0.5, 0]]), (100, 160), TILING)
    np.testing.assert_array_equal(merged.boxes, [[10, 10, 150, 90]])


@pytest.mark.parametrize("seed", range(10))
def test_an_object_cut_by_a_seam_appears_once_at_its_full_size(seed: int) -> None:
    """Of any size, anywhere, with tiles of any size and form; seen once, or again and in part with lower scores, as at several scales."""
    rng = np.random.default_rng(seed)
    for _ in range(6):
        tile = int(rng.integers(60, 130))
        tiling = Tiling(tile=tile, overlap=int(rng.integers(20, tile // 3 + 2)), aspect=rng.choice([1.0, 0.75]), repeats=True)
        image_hw = (int(rng.integers(tile, 4 * tile)), int(rng.integers(2 * tile, 4 * tile)))
        windows = tile_windows(image_hw, tiling)
        seam = windows[rng.integers(len(windows)), rng.choice([0, 2])]
        side = rng.integers(16, np.minimum(image_hw, 2 * tile))
        x = int(np.clip(seam - rng.integers(0, side[1] + 1), 0, image_hw[1] - side[1]))
        y = int(rng.integers(0, image_hw[0] - side[0] + 1))
        box = (x, y, x + int(side[1]), y + int(side[0]))

        def detect(images: Sequence[Array]) -> list[Detections]:
            return [_repeated(part) for part in boxes_of_levels(images)]

        assert_found(detect_in_tiles(detect, scene(image_hw, [box]), tiling), [box])


def _repeated(part: Detections) -> Detections:
    """Each box again, moved and narrower, with half and a third of its score."""
    size = part.boxes[:, 2:] - part.boxes[:, :2]
    moved = part.boxes + 0.05 * np.tile(size, 2)
    narrow = np.concatenate([part.boxes[:, :2] + 0.1 * size, part.boxes[:, 2:] - 0.1 * size], axis=1)
    boxes, scores = np.concatenate([part.boxes, moved, narrow]), np.concatenate([part.scores, part.scores / 2, part.scores / 3])
    return Detections(boxes, scores, np.tile(part.class_ids, 3))


def test_one_scale_may_find_two_objects_where_several_scales_repeat_one() -> None:
    windows = tile_windows((100, 160), TILING)
    pair = [
        detections([[5, 20, 45, 60, 0.9, 0], [7, 21, 46, 62, 0.8, 0], [8, 22, 34, 58, 0.7, 0], [5, 20, 45, 60, 0.6, 1]]),
        detections([]),
    ]
    several = Tiling(tile=100, overlap=40, repeats=True)
    assert len(merge_tiles(pair, windows, detections([]), (100, 160), TILING)) == 4
    np.testing.assert_array_equal(merge_tiles(pair, windows, detections([]), (100, 160), several).scores, np.float32([0.9, 0.6]))


def test_tiles_are_no_higher_than_what_the_network_sees_of_them() -> None:
    windows = tile_windows((300, 160), Tiling(tile=100, overlap=20, aspect=0.6))
    assert set((windows[:, 3] - windows[:, 1]).tolist()) == {60}
    assert (np.diff(np.unique(windows[:, 1])) <= 40).all()
    assert windows[:, 3].max() == 300
    assert Tiling(tile=100, overlap=70, aspect=0.6).height == 71, "they overlap as was asked for"
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        Tiling(tile=100, overlap=20, aspect=1.5)
