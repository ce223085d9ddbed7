"""Tables joined, cut and written, read back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.data.coco_json import read_coco_json
from centernet.data.foreign.builder import TableBuilder
from centernet.data.foreign.table_parts import chosen, coco_json, joined, same_categories, with_sorted_categories
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError


def table(*objects: tuple[str, str], declared: tuple[str, ...] = ()) -> AnnotationTable:
    """(image, category) of each object; its box says which it is."""
    builder = TableBuilder("x")
    builder.declare(declared)
    for number, (name, category) in enumerate(objects):
        image = builder.image(name, (40, 60))
        if category:
            builder.object(image, category, [number, 0, number + 5, 10], is_crowd=number == 0, is_difficult=number == 1)
    return builder.table()


def content(one: AnnotationTable) -> set[tuple[str, str, float]]:
    names = [one.file_names[image] for image in one.image_index]
    categories = [one.category_names[category] for category in one.category_of]
    return set(zip(names, categories, one.boxes[:, 0].tolist(), strict=True))


ONE = table(("b.jpg", "dog"), ("a.jpg", "cat"), ("b.jpg", "cat"), ("empty.jpg", ""))
OTHER = table(("c.jpg", "cow"), ("d.jpg", "cat"))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(coco_json(ONE))
    read = read_coco_json(tmp_path / "x.json")
    for name in ("image_ids", "image_sizes", "image_index", "boxes", "category_of", "areas", "is_crowd", "is_difficult", "category_ids"):
        np.testing.assert_array_equal(getattr(read, name), getattr(ONE, name), name)
    assert (list(read.file_names), list(read.category_names)) == (list(ONE.file_names), list(ONE.category_names))


def test_tables_are_joined_by_the_names_of_categories() -> None:
    both = joined([ONE, OTHER])
    assert content(both) == content(ONE) | content(OTHER)
    assert list(both.category_names) == ["dog", "cat", "cow"]
    assert len(set(both.image_ids.tolist())) == 5


def test_categories_that_agree_keep_their_ids() -> None:
    assert same_categories([ONE, ONE])[1] is ONE
    assert [list(one.category_names) for one in same_categories([ONE, OTHER])] == [["dog", "cat", "cow"]] * 2


def test_chosen_images_bring_their_objects() -> None:
    part = chosen(ONE, np.array([0, 2]))
    assert list(part.file_names) == ["b.jpg", "empty.jpg"]
    assert content(part) == {("b.jpg", "dog", 0.0), ("b.jpg", "cat", 2.0)}


def test_sorted_categories_are_the_same_objects() -> None:
    one = with_sorted_categories(ONE)
    assert list(one.category_names) == ["cat", "dog"]
    assert content(one) == content(ONE)


def test_a_box_that_is_not_finite_is_a_mistake() -> None:
    builder = TableBuilder("x")
    builder.object(builder.image("a.jpg"), "cat", [0, 0, float("inf"), 1])
    with pytest.raises(DataError, match=r"a\.jpg: 'cat': the box is not finite"):
        builder.table()
