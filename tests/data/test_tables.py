from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.data.coco_json import read_coco_json
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError


@pytest.fixture
def table(tree: dict[str, Any], write_json: Callable[[object], Path]) -> AnnotationTable:
    return read_coco_json(write_json(tree))


def test_without_names_the_classes_are_the_categories_by_id(table: AnnotationTable) -> None:
    annotations, classes = table.select(None)
    assert classes.names == ("cat", "zebra")
    assert classes.category_ids == (5, 90)
    assert annotations.class_ids.tolist() == [0, 1, 0]
    assert annotations.of_image(1) == slice(1, 3)


def test_names_decide_the_order_of_the_class_ids(table: AnnotationTable) -> None:
    annotations, classes = table.select(["zebra", "cat"])
    assert classes.category_ids == (90, 5)
    assert annotations.class_ids.tolist() == [1, 0, 1]


def test_objects_of_classes_not_asked_for_are_left_out_and_counted(table: AnnotationTable, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        annotations, classes = table.select(["zebra"])
    assert len(classes) == 1
    assert len(annotations) == 2  # images without objects stay
    assert annotations.boxes.tolist() == [[1, 2, 11, 22]]
    assert annotations.is_crowd.tolist() == [True]
    assert annotations.of_image(0) == slice(0, 0)
    assert "2 of 3 objects are of other classes" in caplog.text


def test_a_class_that_is_not_declared_is_an_error_with_the_nearest_name(table: AnnotationTable) -> None:
    with pytest.raises(DataError, match=r"class 'zebbra' is not among its categories; did you mean 'zebra'\?"):
        table.select(["zebbra"])


def test_notes_are_said_each_time_the_classes_are_selected(table: AnnotationTable, caplog: pytest.LogCaptureFixture) -> None:
    table.select(None)
    assert caplog.messages == [f"{table.source}: 1 boxes have no area; they are never trained on"]


def test_arrays_hold_all_there_is(table: AnnotationTable) -> None:
    again = AnnotationTable.from_arrays(table.source, table.to_arrays())
    assert again.file_names == table.file_names
    assert again.notes == table.notes
    np.testing.assert_array_equal(again.boxes, table.boxes)


def test_no_image_and_no_category_are_errors(tree: dict[str, Any], write_json: Callable[[object], Path]) -> None:
    tree["annotations"] = []
    with pytest.raises(DataError, match="no category is declared"):
        read_coco_json(write_json(tree | {"categories": []})).select(None)
    with pytest.raises(DataError, match="the data set is empty: it lists no image"):
        read_coco_json(write_json(tree | {"images": []})).select(None)
