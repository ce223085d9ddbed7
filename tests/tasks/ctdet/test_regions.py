from __future__ import annotations

import math

import numpy as np
import pytest

from centernet.structures import Array, ClassTable, Grid, Sample
from centernet.tasks.ctdet import build
from centernet.tasks.ctdet.config import BoxesConfig, Config, Place
from centernet.tasks.ctdet.regions import Region, draw_regions

GRID = Grid(64, 96, 4)  # 16 x 24 cells
LARGE = Region((2.0, 3.0, 12.0, 9.0), (7, 6), (3, 2), 1000.0)
SMALL = Region((8.0, 4.0, 11.0, 8.0), (9, 6), (1, 1), 200.0)


def drawn(*regions: Region, at: Place) -> tuple[Array, dict[str, Array]]:
    weights = np.zeros(GRID.cells, np.float32)
    values = {name: np.zeros((channels, *GRID.cells), np.float32) for name, channels in (("size", 2), ("offset", 2), ("ltrb", 4))}
    draw_regions(weights, values, regions, at=at)  # type: ignore[arg-type]
    return weights, values


def test_every_cell_of_a_region_says_the_whole_box() -> None:
    weights, values = drawn(LARGE, at="3x3")
    assert np.argwhere(weights).tolist() == [[y, x] for y in range(4, 9) for x in range(4, 11)]
    assert set(weights.ravel()) == {0, 1}
    for y, x in np.argwhere(weights):
        assert values["size"][:, y, x].tolist() == [10, 6]
        assert (values["offset"][:, y, x] + [x, y]).tolist() == [7, 6]
        left, top, right, bottom = values["ltrb"][:, y, x]
        assert (x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom) == LARGE.box
    assert not any(maps[:, weights == 0].any() for maps in values.values())


def test_an_object_counts_with_the_logarithm_of_its_area_wherever_it_lies() -> None:
    at_the_edge = Region((0.0, 0.0, 8.0, 6.0), (0, 1), (3, 2), 500.0)
    for region in (LARGE, at_the_edge):
        weights, _ = drawn(region, at="gaussian")
        assert weights.sum() == pytest.approx(math.log(region.area), rel=1e-5)
        x, y = region.cell
        assert weights[y, x] == weights.max()


@pytest.mark.parametrize("at", ["3x3", "gaussian"])
def test_the_smaller_object_has_the_cells_where_two_meet(at: Place) -> None:
    one, values = drawn(LARGE, SMALL, at=at)
    other, same = drawn(SMALL, LARGE, at=at)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(values["size"], same["size"])
    assert (values["size"][:, 5:8, 8:11].reshape(2, -1).T == [3, 4]).all()


def test_with_the_heatmap_a_cell_belongs_to_its_highest_peak() -> None:
    weights, values = drawn(LARGE, SMALL, at="heatmap")
    alone = [drawn(region, at="heatmap")[0] for region in (LARGE, SMALL)]
    np.testing.assert_array_equal(weights, np.maximum(*alone))
    assert (values["size"][0] == np.where(weights == 0, 0, np.where(alone[1] >= alone[0], 3, 10))).all()


def encoder(at: Place, form: str) -> object:
    return build(Config(boxes=BoxesConfig(at=at, form=form)), ClassTable(("a", "b"))).encode  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["size", "ltrb"])
@pytest.mark.parametrize("at", ["center", "3x3", "gaussian", "heatmap"])
def test_memory_of_earlier_targets_gives_the_same_as_new(at: Place, form: str) -> None:
    encode, rng = encoder(at, form), np.random.default_rng(3)
    out: dict[str, Array] | None = None
    for count in (3, 0, 5, 1):
        corner = rng.uniform(-10, 80, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(-2, 40, (count, 2))], axis=1)
        sample = Sample(image=np.zeros((64, 96, 3), np.uint8), boxes=boxes, class_ids=rng.integers(0, 2, count))
        new = encode(sample, GRID)  # type: ignore[operator]
        out = encode(sample, GRID, out=out)  # type: ignore[operator]
        assert new.keys() == out.keys()
        for name, array in new.items():
            np.testing.assert_array_equal(out[name], array, err_msg=name)


def test_offsets_stay_at_the_centres_where_the_heatmap_weights_sizes() -> None:
    sample = Sample(image=np.zeros((64, 96, 3), np.uint8), boxes=[[8, 8, 40, 41]], class_ids=[1])
    targets = encoder("heatmap", "size")(sample, GRID)  # type: ignore[operator]
    assert targets["offset"].shape == (128, 2)
    assert targets["size"].shape == (2, *GRID.cells)
    np.testing.assert_array_equal(targets["weights"], targets["heatmap"].max(axis=0))
    assert targets["total_weight"] == pytest.approx(targets["weights"].sum())


def test_distances_are_from_the_middle_of_the_cell() -> None:
    sample = Sample(image=np.zeros((64, 96, 3), np.uint8), boxes=[[10, 20, 31, 42]], class_ids=[0])
    targets = encoder("center", "ltrb")(sample, GRID)  # type: ignore[operator]
    # cells: 2.5..7.75 across, 5..10.5 down; the middle of the centre's cell is (5.5, 7.5)
    assert targets["ltrb"][0].tolist() == [3, 2.5, 2.25, 3]
    assert not targets["ltrb"][1:].any()
