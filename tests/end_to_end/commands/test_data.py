"""`data show`: what is said and written, and that a data set may still have to be drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from centernet.imaging.io import read_image, write_image

Command = Callable[..., Any]


def test_sheets_of_samples_and_targets_are_written_and_named(centernet: Command, make_config: Callable[..., Path], tmp_path: Path) -> None:
    config = make_config(tmp_path / "tiny.yaml")
    words = ("--data_dir", tmp_path / "shapes", "--samples", 3, "--epoch", 2, "--set", "data.augment.flip=1")
    ended = centernet("data", "show", config, "-o", "out", *words)
    files = [Path("out") / name for name in ("samples_1.png", "heatmap_1.png")]
    assert ended.out.splitlines() == [
        "the first 3 training samples of epoch 2, input 64x64",
        *(f"wrote {path}" for path in files),
    ]
    samples, targets = (read_image(path) for path in files)
    assert samples.shape == targets.shape
    assert (samples != targets).any()


def test_an_image_that_is_left_out_is_said(centernet: Command, make_config: Callable[..., Path], tmp_path: Path) -> None:
    config, data = make_config(tmp_path / "tiny.yaml"), tmp_path / "shapes"
    words = ("show", config, "--data_dir", data, "-o", "out", "--samples", 12)
    centernet("data", *words)
    next((data / "train").glob("*.jpg")).write_bytes(b"not a picture")
    assert centernet("data", *words, "--set", "data.on_bad_image=skip").err.startswith("skipped: ")
    assert centernet("data", *words, code=2).err.startswith("error: ")


def test_a_missing_folder_and_a_wrong_key_are_one_line(centernet: Command, make_config: Callable[..., Path], tmp_path: Path) -> None:
    config = make_config(tmp_path / "tiny.yaml")
    ended = centernet("data", "show", config, "-o", "out", code=2)
    assert ended.err == ("error: data set 'shapes': its folder is not given; use --data_dir DIR, or data.root in the configuration\n")
    assert not (tmp_path / "out").exists()
    ended = centernet("data", "show", config, "--set", "data.augment.flop=1", code=2)
    assert "data.augment.flop: unknown key; did you mean 'flip'?" in ended.err


def test_a_folder_of_images_and_text_files_is_trained_on_without_a_line_of_yaml(centernet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "my cats"
    for number in range(10):
        image = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        write_image(folder / f"{number}.jpg", image)
        (folder / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (folder / "classes.txt").write_text("cat\n")
    said = centernet("data", "init", folder).out.splitlines()
    assert said[0] == f"{folder}: YOLO text files; split made here: 8 and 2 images, 20% of every class held out, seed 317"
    assert said[2:5] == ["        train  val", "images      8    2", "cat         8    2"]
    assert f"wrote {folder / 'centernet' / 'val.json'}" in said
    assert "wrote my cats.yaml" in said
    small = ("data.input_size=[64,64]", "model.backbone.width=0.125", "model.neck.width=0.125", "model.head.hidden_channels=8")
    words = [word for setting in (*small, "train.epochs=1", "data.workers=0") for word in ("--set", setting)]
    assert "nothing is wrong" not in centernet("data", "check", "my cats.yaml").out  # eight objects are few
    centernet("train", "--train-config", "my cats.yaml", "-o", "out", *words)
    assert (tmp_path / "out" / "checkpoints" / "params_best.h5").is_file()
