"""Mistakes in image files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.data.inspection import files
from centernet.data.inspection.problems import Offender, Problem
from centernet.imaging.io import write_image

Make = Callable[..., DetectionDataset]


def found(datasets: Mapping[str, DetectionDataset], *, decode: bool = True) -> dict[str, Problem]:
    return {problem.code: problem for problem in files.problems(datasets, files.look(datasets, decode=decode))}


def test_sound_files_have_no_problem(make: Make) -> None:
    assert found({"train": make(["a.jpg", "b.png"]), "val": make(["c.bmp"])}) == {}


def test_missing_and_broken_files_are_errors_with_their_reason(make: Make, tmp_path: Path) -> None:
    dataset = make(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.jpg").write_bytes(b"junk")
    (tmp_path / "c.jpg").write_bytes((tmp_path / "c.jpg").read_bytes()[:-100])
    problems = found({"train": dataset}, decode=False)
    assert (problems["missing-images"].count, problems["broken-images"].count) == (1, 2)
    assert {problem.severity for problem in problems.values()} == {"error"}
    assert problems["missing-images"].examples == (f"{tmp_path / 'a.jpg'}: no such image file",)
    assert "cut off" in problems["broken-images"].examples[1]


def test_damage_inside_of_a_file_is_found_by_decoding(make: Make, tmp_path: Path) -> None:
    dataset = make(["a.png"])
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[60:-60] = bytes(len(data) - 120)
    (tmp_path / "a.png").write_bytes(data)
    assert found({"train": dataset}, decode=False) == {}
    assert list(found({"train": dataset})) == ["broken-images"]


def test_blank_images_are_found_by_decoding(make: Make, tmp_path: Path) -> None:
    dataset = make(["a.png", "b.png"])
    write_image(tmp_path / "b.png", np.full((48, 64, 3), 7, np.uint8))
    problem = found({"train": dataset})["blank-images"]
    assert (problem.severity, problem.count, problem.offenders) == ("warning", 1, (Offender("train", 1),))


def test_annotated_sizes_that_are_wrong_are_errors_and_turned_ones_are_told_apart(make: Make) -> None:
    objects = [(0, 0, (1, 1, 5, 5)), (1, 0, (1, 1, 5, 5))]
    problem = found({"train": make(["a.png", "b.png"], objects, sizes=(64, 48))})["other-image-sizes"]
    assert (problem.severity, problem.count) == ("error", 2)
    assert "EXIF" in problem.cure
    assert problem.examples[0].endswith("a.png: 64x48 annotated, 48x64 read")
    assert problem.offenders == (Offender("train", 0, (0,)), Offender("train", 1, (1,)))
    problem = found({"train": make(["a.png"], objects[:1], sizes=(24, 32))})["other-image-sizes"]
    assert "another size" in problem.cure
    assert found({"train": make(["a.png"], sizes=(0, 0))}) == {}  # the annotations do not say


def test_copies_across_splits_are_errors_and_inside_of_one_warnings(make: Make, tmp_path: Path) -> None:
    train, val = make(["a.jpg", "b.jpg", "c.jpg"]), make(["d.jpg", "e.jpg"])
    for name in ("c.jpg", "d.jpg"):
        shutil.copy(tmp_path / "a.jpg", tmp_path / name)
    problems = found({"train": train, "val": val})
    across, inside = problems["copies-across-splits"], problems["copies"]
    assert (across.severity, across.split, across.count, across.total) == ("error", "both", 1, 2)
    assert across.examples == (f"{tmp_path / 'd.jpg'} is {tmp_path / 'a.jpg'}",)
    assert across.offenders == (Offender("train", 0), Offender("val", 0))
    assert (inside.severity, inside.split, inside.count) == ("warning", "train", 1)
    assert inside.offenders == (Offender("train", 0), Offender("train", 2))


def test_files_that_only_begin_and_end_alike_are_no_copies(make: Make, tmp_path: Path) -> None:
    dataset = make(["a.bmp", "b.bmp"])
    image = np.zeros((300, 400, 3), np.uint8)
    write_image(tmp_path / "a.bmp", image)
    image[100, 100] = 255
    write_image(tmp_path / "b.bmp", image)
    assert "copies" not in found({"train": dataset})


def test_every_image_is_tracked_in_order(make: Make) -> None:
    seen = []

    def track(images: object) -> object:
        for one in images:  # type: ignore[attr-defined]
            seen.append(one.glance.size)
            yield one

    looked = files.look({"train": make([f"{i}.png" for i in range(200)]), "val": make(["x.png"])}, decode=False, track=track)  # type: ignore[arg-type]
    assert len(seen) == 201
    assert {split: len(images) for split, images in looked.items()} == {"train": 200, "val": 1}
    assert files.sizes(looked["val"]).tolist() == [[48, 64]]
