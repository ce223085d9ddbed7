from __future__ import annotations

import numpy as np
import pytest

from centernet.structures import Array, Detections, Grid
from centernet.tasks.triplet.decode import (
    decode_triplets,
    in_pixels,
    inside_central_region,
    matching_centers,
    mirrored,
    read_decoded,
)
from centernet.tasks.triplet.targets import CORNERS, POINTS

GRID = Grid(63, 96)  # 16 x 24 cells


def maps_of(batch: int = 1, classes: int = 3, cells: tuple[int, int] = GRID.cells, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    maps = {f"{point}_heat": rng.normal(-1, 1, (batch, classes, *cells)) for point in POINTS}
    maps |= {f"{point}_tag": rng.normal(size=(batch, 1, *cells)) for point in CORNERS}
    maps |= {f"{point}_regr": rng.random((batch, 2, *cells)) for point in POINTS}
    return {name: array.astype(np.float32) for name, array in maps.items()}


def decode(maps: dict[str, Array], *, grid: Grid = GRID, k: int = 20, corners: int = 30, flipped: bool = False) -> list[Detections]:
    return decode_triplets(maps, k=k, grid=grid, corners=corners, ae_threshold=0.5, flipped=flipped)


def empty(classes: int = 2, cells: tuple[int, int] = GRID.cells) -> dict[str, Array]:
    maps = {name: np.zeros_like(array) for name, array in maps_of(1, classes, cells).items()}
    return {name: array - 9 if name.endswith("heat") else array for name, array in maps.items()}


def put(maps: dict[str, Array], point: str, x: float, y: float, *, class_id: int = 0, logit: float = 3.0, tag: float = 0.0) -> None:
    """A keypoint at (x, y) in cells."""
    maps[f"{point}_heat"][0, class_id, int(y), int(x)] = logit
    maps[f"{point}_regr"][0, :, int(y), int(x)] = x % 1, y % 1
    if point in CORNERS:
        maps[f"{point}_tag"][0, 0, int(y), int(x)] = tag


def slow_keypoints(maps: dict[str, Array], point: str, image: int, limit: int) -> list[tuple[float, float, float, int, float]]:
    """(score, x, y, class, tag) of the best peaks, cell by cell."""
    heatmap, found = maps[f"{point}_heat"][image], []
    for class_id, y, x in np.ndindex(*heatmap.shape):
        value = float(heatmap[class_id, y, x])
        if value >= heatmap[class_id, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max():
            dx, dy = maps[f"{point}_regr"][image, :, y, x].tolist()
            tag = float(maps[f"{point}_tag"][image, 0, y, x]) if point in CORNERS else 0.0
            found.append((1 / (1 + np.exp(-value)), x + dx, y + dy, class_id, tag))
    return sorted(found, reverse=True)[:limit]


def slow_decode(maps: dict[str, Array], image: int, grid: Grid, corners: int) -> list[list[float]]:
    """[x1, y1, x2, y2, score, class], pair by pair and centre by centre."""
    (tl, br, ct), rows = (slow_keypoints(maps, point, image, corners) for point in POINTS), []
    across, down = grid.width / grid.cells[1], grid.height / grid.cells[0]
    for first in tl:
        for second in br:
            if first[3] != second[3] or abs(first[4] - second[4]) > 0.5 or second[1] < first[1] or second[2] < first[2]:
                continue
            x1, y1, x2, y2 = first[1] * across, first[2] * down, second[1] * across, second[2] * down
            part = 3 if (x2 - x1) * (y2 - y1) <= 22500 else 5
            middle = (part - 1) / 2 / part
            for score, x, y, class_id, _ in ct:
                is_across = x1 + middle * (x2 - x1) < x * across < x2 - middle * (x2 - x1)
                if class_id == first[3] and is_across and y1 + middle * (y2 - y1) < y * down < y2 - middle * (y2 - y1):
                    rows.append([x1, y1, x2, y2, (first[0] + second[0] + score) / 3, class_id])
                    break
    return sorted(rows, key=lambda row: -row[4])


@pytest.mark.parametrize("grid", [GRID, Grid(511, 255)])
def test_decoding_equals_its_slow_version(grid: Grid) -> None:
    maps = maps_of(2, 3, grid.cells)
    for image, found in enumerate(decode(maps, grid=grid, corners=110)):
        expected = np.asarray(slow_decode(maps, image, grid, 110))
        assert len(expected) > 3
        np.testing.assert_allclose(found.boxes, expected[:, :4], atol=1e-3)
        np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-6)
        np.testing.assert_array_equal(found.class_ids, expected[:, 5])


def test_an_object_is_two_corners_and_a_centre() -> None:
    maps = empty()
    put(maps, "tl", 2.5, 3.25, class_id=1, tag=0.7, logit=1.0)
    put(maps, "br", 12.5, 9.25, class_id=1, tag=1.1, logit=2.0)
    put(maps, "ct", 7.5, 6.25, class_id=1, logit=3.0)
    (found,) = decode(maps)
    found = found.above(0.1)
    np.testing.assert_allclose(found.boxes, [[2.5 * 4, 3.25 * 63 / 16, 12.5 * 4, 9.25 * 63 / 16]])
    np.testing.assert_allclose(found.scores, [(1 / (1 + np.exp(-1)) + 1 / (1 + np.exp(-2)) + 1 / (1 + np.exp(-3))) / 3], rtol=1e-6)
    assert found.class_ids.tolist() == [1]
    np.testing.assert_allclose(found.corner_scores, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))]], rtol=1e-6)


@pytest.mark.parametrize(
    ("corner", "how"),
    [
        ("br", {"class_id": 1}),
        ("br", {"tag": 0.51}),
        ("tl", {"x": 13.0}),
        ("tl", {"y": 12.0}),
        ("ct", {"class_id": 1}),
        ("ct", {"x": 5.0}),  # in the box, not in its middle third
        ("ct", {"y": 10.0}),
    ],
)
def test_what_does_not_belong_together_is_no_object(corner: str, how: dict[str, float]) -> None:
    places = {"tl": {"x": 2.0, "y": 3.0}, "br": {"x": 12.0, "y": 9.0}, "ct": {"x": 7.0, "y": 6.0}}
    whole, broken = empty(), empty()
    for point, place in places.items():
        put(whole, point, **place)
        put(broken, point, **{**place, **(how if point == corner else {})})
    assert len(decode(whole)[0].above(0.9)) == 1
    assert len(decode(broken)[0].above(0.9)) == 0


def test_the_central_region_of_a_small_box_is_a_third_of_it_and_of_a_large_one_a_fifth() -> None:
    boxes = np.array([[0, 0, 150, 150], [0, 0, 151, 150]], float)
    points = np.array([[50.5, 50.5], [99.5, 99.5], [50, 75], [60.5, 60.5], [90, 75], [59, 75], [75, 91]], float)
    assert inside_central_region(boxes, points).tolist() == [
        [True, True, False, True, True, True, True],
        [False, False, False, True, True, False, False],
    ]


def test_the_first_centre_in_the_region_counts_not_the_nearest() -> None:
    boxes, points = np.array([[0, 0, 90, 90], [0, 0, 9, 9]], float), np.array([[80, 45], [55, 45], [45, 45]], float)
    assert matching_centers(boxes, np.array([0, 0]), points, np.array([0, 0, 0])).tolist() == [1, -1]
    assert matching_centers(boxes, np.array([0, 0]), points, np.array([0, 1, 0])).tolist() == [2, -1]
    assert matching_centers(boxes, np.array([0, 0]), points[:0], np.zeros(0)).tolist() == [-1, -1]


def test_a_mirrored_box_is_where_it_was_when_mirrored_again() -> None:
    boxes = np.array([[1, 2, 5, 7.5]])
    assert mirrored(boxes, 24).tolist() == [[19, 2, 23, 7.5]]
    assert mirrored(mirrored(boxes, 24), 24).tolist() == boxes.tolist()
    assert mirrored(boxes[:, :2], 24).tolist() == [[23, 2]]


def test_cells_become_pixels_by_the_ratio_of_both_sizes() -> None:
    np.testing.assert_allclose(in_pixels(np.array([[128.0, 64.0, 0, 32]]), Grid(255, 511)), [[511, 255, 0, 127.5]])


def test_the_mirror_image_finds_what_the_image_misses() -> None:
    """A pair of one view counts with a centre of the other."""
    plain, mirror = empty(), empty()
    put(plain, "ct", 7.0, 6.0)
    columns = GRID.cells[1]
    put(mirror, "tl", columns - 12.25, 3.0, tag=2.0)
    put(mirror, "br", columns - 2.25, 9.0, tag=2.0)
    (found,) = decode({name: np.concatenate([plain[name], mirror[name]]) for name in plain}, flipped=True)
    np.testing.assert_allclose(found.above(0.5).boxes, [[2.25 * 4, 3 * 63 / 16, 12.25 * 4, 9 * 63 / 16]])


def test_both_views_are_read_each_by_itself_and_an_own_centre_comes_first() -> None:
    maps = empty()
    for point, x, y in (("tl", 2.0, 3.0), ("br", 12.0, 9.0), ("ct", 7.0, 6.0)):
        put(maps, point, x, y, logit=0.0 if point == "ct" else 3.0)
    mirror = empty()
    for point, x, y in (("tl", 12.0, 3.0), ("br", 22.0, 9.0), ("ct", 17.0, 6.0)):
        put(mirror, point, x, y)
    (found,) = decode({name: np.concatenate([maps[name], mirror[name]]) for name in maps}, flipped=True)
    found = found.above(0.5)
    np.testing.assert_allclose(found.boxes[0], found.boxes[1])
    np.testing.assert_allclose(found.scores, (2 / (1 + np.exp(-3)) + 0.5) / 3, rtol=1e-6)


def test_an_image_without_peaks_has_no_objects() -> None:
    (found,) = decode({name: np.full_like(array, np.nan) for name, array in maps_of().items()})
    assert len(found) == 0


def test_maps_that_do_not_belong_together_are_refused() -> None:
    maps = maps_of()
    for name, shape in (("tl_tag", (1, 2, 16, 24)), ("ct_regr", (1, 2, 16, 23)), ("br_heat", (1, 4, 16, 24))):
        with pytest.raises(ValueError, match="do not belong together"):
            decode({**maps, name: np.zeros(shape, np.float32)})
    with pytest.raises(ValueError, match="mirror"):
        decode(maps_of(3), flipped=True)


def test_the_inputs_are_not_modified() -> None:
    maps = maps_of(2)
    before = {name: array.copy() for name, array in maps.items()}
    decode(maps, flipped=True)
    assert all((maps[name] == before[name]).all() for name in maps)


def test_what_scored_nothing_is_not_read() -> None:
    arrays = {"boxes": np.ones((1, 3, 4)), "scores": np.array([[0.5, 0.25, 0]]), "class_ids": np.full((1, 3), 1.9999999)}
    (found,) = read_decoded({**arrays, "corner_scores": np.ones((1, 3, 2))})
    assert (found.scores.tolist(), found.class_ids.tolist()) == ([0.5, 0.25], [2, 2])
