"""JSON Lines and COCO's list, complete whenever writing ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from centernet.errors import OutputError
from centernet.experiment.demo_records import LINES, RESULTS, Records, image_ids
from centernet.structures import Detections

FOUND = Detections([[1, 2, 11, 22], [0, 0, 5, 5]], [0.75, 0.5], [1, 0], ("cat", "Hündin"))


def write(folder: Path, *, rounds: int = 2) -> None:
    with Records(folder, category_ids=(7, 3)) as records:
        for number in range(rounds):
            records.add({"image": f"{number}.jpg"}, (20, 30), FOUND, image_id=number + 10, track_ids=np.array([4, 0]) if number else None)


def test_every_image_has_a_line_and_every_detection_a_result(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / LINES).read_text(encoding="utf-8")
    first, second = map(json.loads, text.splitlines())
    assert "Hündin" in text
    assert first == {
        "image": "0.jpg",
        "image_id": 10,
        "width": 30,
        "height": 20,
        "detections": [
            {"class_name": "Hündin", "class_id": 1, "score": 0.75, "box": [1, 2, 11, 22]},
            {"class_name": "cat", "class_id": 0, "score": 0.5, "box": [0, 0, 5, 5]},
        ],
    }
    assert [found["track_id"] for found in second["detections"]] == [4, None]
    results = json.loads((tmp_path / RESULTS).read_text())
    assert results[0] == {"image_id": 10, "category_id": 3, "bbox": [1, 2, 10, 20], "score": 0.75}
    assert [(r["image_id"], r["category_id"]) for r in results] == [(10, 3), (10, 7), (11, 3), (11, 7)]


def test_nothing_found_is_an_empty_list(tmp_path: Path) -> None:
    write(tmp_path, rounds=0)
    assert json.loads((tmp_path / RESULTS).read_text()) == []
    assert (tmp_path / LINES).read_text() == ""


def test_an_earlier_runs_files_are_overwritten(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, rounds=1)
    assert len(json.loads((tmp_path / RESULTS).read_text())) == 2


def test_lines_can_be_read_while_more_are_written_and_an_error_leaves_complete_files(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Records(tmp_path, category_ids=(7, 3)) as records:
            records.add({}, (1, 1), FOUND, image_id=1)
            assert len((tmp_path / LINES).read_text().splitlines()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(json.loads((tmp_path / RESULTS).read_text())) == 2


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / RESULTS).mkdir()
    with pytest.raises(OutputError, match=r"detections\.json: cannot be written"), Records(tmp_path, category_ids=(7, 3)):
        pass


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), []),
        (("a", "b"), [1, 2]),
        (("000139", "000285"), [139, 285]),
        (("7", "007"), [1, 2]),
        (("7", "x"), [1, 2]),
        (("²", "3"), [1, 2]),
    ],
)
def test_images_named_by_numbers_have_these_as_ids(names: tuple[str, ...], expected: list[int]) -> None:
    assert image_ids([Path("folder") / f"{name}.jpg" for name in names]) == expected


def test_an_error_before_the_first_line_leaves_no_file(tmp_path: Path) -> None:
    def failed() -> None:
        with Records(tmp_path, category_ids=(7, 3)):
            raise KeyError

    with pytest.raises(KeyError):
        failed()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_earlier_runs_files_stay_where_the_next_fails_before_its_first_line(tmp_path: Path, error: type[BaseException]) -> None:
    write(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}

    def failed() -> None:
        with Records(tmp_path, category_ids=(7, 3)):
            raise error

    with pytest.raises(error):
        failed()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_an_error_takes_everything_back_that_was_written(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "a.jpg").write_text("old")
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}

    def failed() -> None:
        with Records(tmp_path, category_ids=(7, 3)) as records:
            records.add({}, (1, 1), FOUND, image_id=1)
            for name in ("a.jpg", "b.jpg"):
                records.files.begin(name).write_text("new")
            raise OutputError("the disk is full")

    with pytest.raises(OutputError, match="full"):
        failed()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
