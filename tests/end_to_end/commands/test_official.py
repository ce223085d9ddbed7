"""The official system's commands as its users type them, made small by `--set`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from centernet.data.datasets import shapes

Command = Callable[..., Any]
SMALL = (
    *("--set", "data.dataset={name: shapes, num_train: 8, num_val: 4, image_size: 64}", "--input_res", 64),
    *("--set", "model.backbone.width=0.125", "--set", "model.neck.width=0.125", "--head_conv", 8),
    *("--set", "model.pretrained_model_dir=null"),
)
TRAIN = (
    "ctdet --arch resdcn_18 --batch_size 4 --master_batch 15 --lr 1.25e-4 --lr_step 90,120 --num_workers 1 --exp_id X --gpus 0,1 "
    "--val_intervals 1 --print_iter 1 --hide_data_time --not_cuda_benchmark"
)


def words(text: str) -> list[str]:
    """As a shell splits it."""
    return text.split()


@pytest.mark.slow
def test_training_resuming_and_testing_by_the_experiments_name(centernet: Command, tmp_path: Path) -> None:
    data = tmp_path / "shapes"
    first = centernet("train", *words(TRAIN), "--num_epochs", 1, "--data_dir", data, *SMALL)
    folder = tmp_path / "exp" / "ctdet" / "X"
    assert "--batch_size 4: over all processes" in first.err
    assert "--master_batch, --not_cuda_benchmark, --hide_data_time, --print_iter: no effect on 'train'" in first.err
    assert "global batch 4, rate 0.000125" in first.out
    assert sorted(path.name for path in (folder / "checkpoints").glob("params_[0-9]*.h5")) == ["params_0.h5"]
    centernet("train", *words(TRAIN), "--num_epochs", 2, "--data_dir", data, *SMALL, "--resume")
    assert (folder / "checkpoints" / "params_1.h5").is_file()
    tested = centernet("test", *words("ctdet --exp_id X --arch resdcn_18 --keep_res --resume --K 20 --data_dir"), data)
    assert "params_1.h5" in tested.out
    protocol = json.loads((folder / "results.json").read_text())["protocol"]
    assert protocol["input_size"] == "image's own, padded to a multiple of 32"
    assert list((tmp_path / "exp").iterdir()) == [tmp_path / "exp" / "ctdet"]


@pytest.fixture
def official_layout(tmp_path: Path) -> Path:
    """`data/coco` in the current folder, with rendered shapes in it."""
    folder = tmp_path / "data" / "coco"
    shapes.render(folder, shapes.Config(num_train=8, num_val=4, image_size=64))
    for split in ("train", "val"):
        (folder / split).rename(folder / f"{split}2017")
        (folder / "annotations" / f"{split}.json").rename(folder / "annotations" / f"instances_{split}2017.json")
    return folder


def test_data_in_the_official_layout_need_no_option(centernet: Command, official_layout: Path, tmp_path: Path) -> None:
    small = [*SMALL[2:], "--num_workers", 0]
    first = centernet("train", *words(TRAIN), "--num_epochs", 1, *small)
    taken = "data: data/coco, the official system's layout in the current folder; --data_dir names another"
    assert taken in first.err.splitlines()
    assert "--gpus 0,1: one process uses one GPU at most, GPU 0; --processes 2 (or mpirun -n 2) uses all" in first.err.splitlines()
    assert "learning rate 0.000125\n" in first.err
    tested = centernet("test", *words("ctdet --exp_id X --arch resdcn_18 --keep_res --resume"))
    assert "data: data/coco, as exp/ctdet/X/config.yaml says; --data_dir names another" in tested.err.splitlines()
    official_layout.rename(tmp_path / "elsewhere")
    refused = centernet("test", *words("ctdet --exp_id X --arch resdcn_18 --keep_res --resume"), code=2)
    assert "data set 'coco': its folder is not given; use --data_dir DIR" in refused.err


def test_a_model_file_that_describes_itself_says_which_network_a_training_starts_with(centernet: Command, tiny: Any) -> None:
    small = words("--batch_size 4 --num_workers 0 --num_epochs 1 --set data.augment=null --set train.validate_ap=false")
    ended = centernet("train", "--load_model", tiny.lively, "--data_dir", tiny.data, "-o", "out", *small)
    assert "ctdet: resnet + deconv + conv, " in ended.out
    assert f"{tiny.lively}: " in ended.out
    assert Path("out/checkpoints/params_0.h5").is_file()


def test_a_training_that_is_not_there_leaves_nothing(centernet: Command, tmp_path: Path) -> None:
    missing = centernet("test", *words("ctdet --exp_id X --arch resdcn_18 --keep_res --resume"), code=2)
    assert missing.err.startswith("error: exp/ctdet/X: no model in it")
    refused = centernet("train", *words("ctdet --exp_id X --arch dla_34 --not_reg_offset --trainval"), code=2)
    assert [line.split(":")[0] for line in refused.err.removeprefix("error: ").splitlines()] == ["--not_reg_offset", "--trainval"]
    centernet("train", *words("ctdet --exp_id X --arch hourglass --input_res 500 --data_dir nowhere --dataset coco"), code=2)
    assert list(tmp_path.iterdir()) == []
