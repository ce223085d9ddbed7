"""Bad input: options of test, demo and export that do not fit the model or each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import centernet
from centernet.errors import ConfigError
from centernet.imaging.io import write_image

CELLS = 256  # of the heatmap for the model's 64x64 pixels


@pytest.fixture(scope="session")
def decoded(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model exported with its decoding inside, for ten detections."""
    from centernet.experiment import export

    path = tmp_path_factory.mktemp("decoded") / "decoded.onnx"
    return export.export(centernet.load(trained.model).assembly, path, format="onnx", decode=True, k=10)


def test_more_detections_than_cells_are_refused_before_anything_is_written(trained: Any, refused: Any, tmp_path: Path) -> None:
    said = f"--K: found {CELLS + 1}, expected at most {CELLS}, the cells of the heatmap for an input of 64x64 pixels"
    model = ("--checkpoint", trained.model, "--extension_module", "cpu")
    assert said in refused("demo", *model, "--demo", trained.images, "-o", tmp_path / "out", "--K", CELLS + 1)
    assert said in refused("test", *model, "--data_dir", trained.data, "-o", tmp_path / "out", "--K", CELLS + 1)
    assert said in refused("export", trained.model, "--decode", "-o", tmp_path / "out", "--K", CELLS + 1)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=f"load: k: found {CELLS + 1}, expected at most {CELLS}"):
        centernet.load(trained.model, k=CELLS + 1)
    assert centernet.load(trained.model, k=CELLS).options.k == CELLS


def test_a_file_that_decodes_gives_no_more_detections_than_it_was_exported_for(
    decoded: Path, trained: Any, refused: Any, command: Any
) -> None:
    demo = ("demo", "--checkpoint", decoded, "--demo", trained.images, "--vis_thresh", 0)
    assert "--K: found 11, but the file was exported with --decode for 10; export it again with --K 11" in refused(*demo, "--K", 11)
    assert centernet.load(decoded).options.k == 10
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ten, three = (centernet.load(decoded, k=k).predict(image) for k in (10, 3))
    np.testing.assert_array_equal(three.boxes, ten.boxes[:3])


def test_maps_of_a_file_that_has_none_are_refused_before_anything_is_written(
    decoded: Path, trained: Any, refused: Any, tmp_path: Path
) -> None:
    for debug in (2, 3):
        said = refused("demo", "--checkpoint", decoded, "--demo", trained.images, "-o", tmp_path / "out", "--debug", debug)
        assert "--debug 2: the model was exported with --decode, without its maps; use --debug 1, or the parameters (.h5)" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--max-drop", "2"], "--max-drop 2: AP is measured on a data set only; give --data_dir DIR too"),
        (["--max-drop", "-1"], "--max-drop: expected a number from 0 on, found '-1'"),
        (["--images", "nope"], "--images nope: no such file or folder"),
        (["--images", "*.nope"], "--images *.nope: no image or video matches the pattern"),
        (["--format", "onnx", "--precision", "int8", "--calibration", "nope"], "--calibration nope: no such file or folder"),
    ],
)
def test_an_export_that_cannot_be_proved_as_typed_leaves_nothing(
    trained: Any, refused: Any, tmp_path: Path, typed: list[str], said: str
) -> None:
    if "int8" in typed:
        pytest.importorskip("nncf")
    assert said in refused("export", trained.model, "-o", tmp_path / "new" / "out", *typed)
    assert not (tmp_path / "new").exists()


def test_k_of_an_export_without_decoding_is_said_to_have_no_effect(trained: Any, command: Any, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((64, 64, 3), 90, np.uint8))
    ended = command("export", trained.model, "-o", tmp_path / "out", "--K", 50, "--images", tmp_path / "a.png")
    assert ended.code == 0, ended
    assert "--K 50: no effect without --decode; the raw heads hold every cell" in ended.out


def test_a_data_set_that_is_not_there_leaves_no_output_folder(trained: Any, refused: Any, tmp_path: Path) -> None:
    words = ("--checkpoint", trained.model, "--data_dir", tmp_path / "nope", "-o", tmp_path / "new", "--extension_module", "cpu")
    assert "nope: the data folder does not exist" in refused("test", *words)
    assert not (tmp_path / "new").exists()


def test_a_test_scale_at_which_images_are_too_large_is_said_with_the_image(
    trained: Any, refused: Any, command: Any, tmp_path: Path
) -> None:
    model = ("--checkpoint", trained.model, "--extension_module", "cpu", "--test_scales", "1,600")
    said = "an image of 64x64 pixels becomes 38400x38400 at test scale 600, which takes 4,423,680,000 bytes; expected at most 32766 pixels"
    one = refused("demo", *model, "--demo", trained.images / "0.png", "-o", tmp_path / "out")
    assert f"{trained.images}/0.png: {said}" in one
    assert said in refused("test", *model, "--data_dir", trained.data, "-o", tmp_path / "test")
    assert not (tmp_path / "test").exists()
    assert not (tmp_path / "out").exists()


def test_the_reference_soft_nms_is_said_to_have_no_effect_where_there_is_none(trained: Any, command: Any, tmp_path: Path) -> None:
    words = ("demo", "--checkpoint", trained.model, "--extension_module", "cpu", "--demo", trained.images / "0.png", "-o", tmp_path / "out")
    said = "--soft_nms_reference: no effect without --nms or several --test_scales"
    for more, is_said in (((), True), (("--nms",), False), (("--test_scales", "1,1.5"), False)):
        ended = command(*words, "--soft_nms_reference", *more)
        assert ended.code == 0, ended
        assert (said in ended.out) == is_said


def test_maps_that_do_not_show_what_was_found_are_said(trained: Any, command: Any, tmp_path: Path) -> None:
    words = ("demo", "--checkpoint", trained.model, "--extension_module", "cpu", "--demo", trained.images / "0.png", "-o", tmp_path / "out")
    for more, is_said in (((), False), (("--tile", 40), True), (("--test_scales", "0.5,1"), True)):
        ended = command(*words, "--debug", 2, *more)
        assert ended.code == 0, ended
        assert ("--debug 2: input and maps are those of the whole image at scale 1" in ended.out) == is_said
