from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from centernet.data.datasets import shapes
from centernet.data.rendering import OUTLINES
from centernet.errors import DataError, OutputError

SMALL = shapes.Config(num_train=6, num_val=3, image_size=48)


def _bytes(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_opening_renders_jpeg_files_and_coco_json(tmp_path: Path) -> None:
    dataset = shapes.open_split(SMALL, tmp_path / "shapes", "train")
    assert len(dataset) == 6
    assert dataset.classes.names == tuple(OUTLINES)
    sample = dataset.sample(0)
    assert sample.image.shape == (48, 48, 3)
    assert len(sample.boxes) > 0
    assert (dataset.annotations.image_sizes == 48).all()
    assert len(shapes.open_split(SMALL, tmp_path / "shapes", "val")) == 3
    tree = json.loads((tmp_path / "shapes" / "annotations" / "val.json").read_text())
    assert set(tree) == {"images", "annotations", "categories"}
    assert [path.name for path in sorted(tmp_path.iterdir()) if path.is_dir() and not path.name.startswith("xdg")] == ["shapes"]


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    shapes.render(tmp_path / "a", SMALL)
    shapes.render(tmp_path / "b", SMALL)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    shapes.render(tmp_path / "c", shapes.Config(num_train=6, num_val=3, image_size=48, seed=1))
    assert _bytes(tmp_path / "a")["train/000001.jpg"] != _bytes(tmp_path / "c")["train/000001.jpg"]


def test_training_and_held_out_images_differ_and_more_images_leave_the_first_as_they_were(tmp_path: Path) -> None:
    shapes.render(tmp_path / "a", SMALL)
    shapes.render(tmp_path / "b", shapes.Config(num_train=8, num_val=3, image_size=48))
    few, many = _bytes(tmp_path / "a"), _bytes(tmp_path / "b")
    assert few["train/000001.jpg"] != few["val/000001.jpg"]
    assert all(many[name] == content for name, content in few.items() if name.endswith(".jpg"))


def test_a_complete_folder_is_left_alone_and_other_settings_replace_it(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    shapes.open_split(SMALL, root, "train")
    before = (root / "train" / "000001.jpg").stat().st_mtime_ns
    shapes.open_split(SMALL, root, "val")
    assert (root / "train" / "000001.jpg").stat().st_mtime_ns == before
    assert len(shapes.open_split(shapes.Config(num_train=2, num_val=1, image_size=48), root, "train")) == 2
    assert len(list((root / "train").iterdir())) == 2


def test_other_normalisation_does_not_render_again(tmp_path: Path) -> None:
    shapes.open_split(SMALL, tmp_path / "shapes", "train")
    other = shapes.Config(num_train=6, num_val=3, image_size=48, mean=(0, 0, 0))
    before = (tmp_path / "shapes" / "shapes.json").stat().st_mtime_ns
    assert shapes.open_split(other, tmp_path / "shapes", "train").normalization.mean == (0, 0, 0)
    assert (tmp_path / "shapes" / "shapes.json").stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="precious: the folder holds other files than rendered shapes"):
        shapes.open_split(SMALL, tmp_path / "precious", "train")
    assert _bytes(tmp_path / "precious") == {"thesis.tex": b"years of work"}
    (tmp_path / "empty").mkdir()
    assert len(shapes.open_split(SMALL, tmp_path / "empty", "train")) == 6


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/shapes: the rendered data set cannot be written"):
        shapes.open_split(SMALL, tmp_path / "file" / "shapes", "train")


def test_an_interrupted_rendering_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert total == 9
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shapes.render(tmp_path / "shapes", SMALL, stop)
    assert not (tmp_path / "shapes").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "xdg"] == [], "but for the cache's own folder"


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    shapes.render(tmp_path / "shapes", SMALL, lambda done, total: seen.append((done, total)))
    assert seen == [(i, 9) for i in range(1, 10)]


def _open(root: Path, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait()
    assert len(shapes.open_split(SMALL, root, "train")) == 6


def test_several_processes_may_open_it_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_open, args=(tmp_path / "shapes", barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_boxes_agree_with_the_categories_and_images_in_the_file(tmp_path: Path) -> None:
    dataset = shapes.open_split(shapes.Config(num_train=20, num_val=1, image_size=64, min_objects=2), tmp_path / "shapes", "train")
    annotations = dataset.annotations
    assert np.bincount(annotations.image_index, minlength=20).max() <= 4
    assert (annotations.boxes[:, 2:] <= 64).all()
    np.testing.assert_allclose(annotations.areas, np.prod(annotations.boxes[:, 2:] - annotations.boxes[:, :2], axis=1))


@pytest.mark.parametrize("text", ['{"num_train": 0}', '{"min_objects": 5}', '{"image_size": 8}', '{"seed": -1}', '{"color": 1}'])
def test_impossible_settings_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(shapes.Config).validate_json(text, strict=True)
