"""Bad input: data sets and pictures. Every mistake ends with exit code 2 and one line that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIGS = Path(__file__).resolve().parents[3] / "cfg"
Tree = dict[str, Any]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree["annotations"][2].update(category_id=99), "category id 99 is not declared in 'categories'; declared: 3, 7"),
        (lambda tree: tree["annotations"][2].update(image_id=99), "(id 2): image id 99 is not declared in 'images'"),
        (lambda tree: tree["annotations"][2].update(bbox=[1, 2]), "(id 2): 'bbox' must be [x, y, width, height], found [1, 2]"),
        (lambda tree: (tree["images"].clear(), tree["annotations"].clear()), "the data set is empty: it lists no image"),
        (lambda tree: tree["annotations"].clear(), "none of its 4 images has an object, so there is nothing to learn"),
        (lambda tree: tree["images"].append(tree["images"][0]), "images[4]: image id 0 occurs twice"),
        (lambda tree: tree.pop("images"), "not a COCO-format annotation file: 'images' is missing"),
    ],
)
def test_a_mistake_in_the_annotations_is_named(project: Any, refused: Any, change: Callable[[Tree], object], said: str) -> None:
    project.rewrite_annotations(change)
    line = refused("train", *project.train)
    assert str(project.annotations) in line
    assert said in line
    assert not (project.folder / "new").exists()  # nothing was begun


def test_missing_folders_and_files_are_named(project: Any, refused: Any) -> None:
    assert "nowhere: the data folder does not exist; give the folder that holds the data set with --data_dir" in refused(
        "train", *project.train, "--data_dir", "nowhere"
    )
    assert "data set 'coco': its folder is not given; use --data_dir DIR" in refused("train", "--train-config", project.config)
    shutil.move(project.images, project.folder / "elsewhere")
    assert f"{project.images}: the image folder of {project.annotations} does not exist" in refused("train", *project.train)
    project.annotations.unlink()
    assert f"{project.annotations}: the annotation file does not exist" in refused("train", *project.train)


@pytest.mark.parametrize("text", ["", '{"images": [', "[1]"])
def test_annotations_that_are_no_json_are_named(project: Any, refused: Any, text: str) -> None:
    project.annotations.write_text(text)
    line = refused("train", *project.train)
    assert str(project.annotations) in line
    assert "not valid JSON at character" in line


@pytest.mark.parametrize("config", ["resnet_18_coco_fp.yaml", "dlav0_34_pascal_mp.yaml"])
def test_a_data_folder_of_another_data_set_is_named(project: Any, refused: Any, config: str) -> None:
    layout = ("--set", "train.precision.channel_last=false")  # a CPU has no other
    line = refused("train", "--train-config", CONFIGS / config, "--data_dir", project.data, "--extension_module", "cpu", *layout)
    assert "the annotation file does not exist" in line
    assert "--data_dir" in line


def test_a_class_that_the_data_does_not_have_is_named(project: Any, refused: Any) -> None:
    project.rewrite_config("name: coco\n", "name: coco\n    classes: [cat, cow]\n")
    assert "class 'cow' is not among its categories; known: cat, dog" in refused("train", *project.train)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "no such image file"),
        (lambda path: path.write_text("hello"), "not an image that can be decoded (begins with b'hello')"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "the file is cut off"),
    ],
)
def test_a_bad_image_stops_training_and_test_with_its_name(project: Any, refused: Any, damage: Callable[[Path], object], said: str) -> None:
    damage(project.images / "2.png")
    expected = f"{project.images / '2.png'}: {said}"
    assert expected in refused("train", *project.train)
    assert expected in refused("test", "--checkpoint", project.model, "--data_dir", project.data, "--extension_module", "cpu")


def test_data_of_other_classes_than_the_model_is_refused(project: Any, refused: Any) -> None:
    project.rewrite_annotations(lambda tree: tree["categories"][0].update(name="cow"))
    line = refused("test", "--checkpoint", project.model, "--data_dir", project.data)
    assert "the model knows 2 classes (dog, cat), the data set has 2 (dog, cow)" in line
    assert "data.dataset.classes" in line


def test_an_empty_data_set_cannot_be_tested(project: Any, refused: Any) -> None:
    project.rewrite_annotations(lambda tree: (tree["images"].clear(), tree["annotations"].clear()))
    assert "the data set is empty" in refused("test", "--checkpoint", project.model, "--data_dir", project.data)


def test_the_demo_needs_something_to_look_at(project: Any, refused: Any, tmp_path: Path) -> None:
    model = ("--checkpoint", project.model)
    assert "what to look at? Give --demo IMAGE, FOLDER, 'PATTERN', VIDEO or webcam" in refused("demo", *model)
    assert "--demo nowhere: no such file or folder" in refused("demo", *model, "--demo", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("demo", *model, "--demo", tmp_path / "empty")
    assert f"{project.config}: not an image that can be decoded" in refused("demo", *model, "--demo", project.config)
    (tmp_path / "film.mp4").write_text("no film")
    assert "film.mp4: no frame can be decoded; expected a video" in refused("demo", *model, "--demo", tmp_path / "film.mp4")


def test_a_misspelt_folder_is_not_drawn_into_by_a_test(project: Any, refused: Any) -> None:
    """The shapes draw themselves where they are missing, but only for training."""
    missing = project.folder / "nowhere"
    line = refused("test", "--checkpoint", project.model, "--data_dir", missing)
    assert f"{missing}: the data folder does not exist" in line
    assert not missing.exists()
