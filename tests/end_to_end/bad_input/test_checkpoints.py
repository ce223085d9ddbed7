"""Bad input: PyTorch checkpoints. Every mistake ends with exit code 2 and one line that names the file, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.experiment.origin import network_of
from centernet.models.torch_names import torch_names

Write = Callable[[Path, object], None]


def everywhere(project: Any, path: Path | str) -> list[tuple[object, ...]]:
    """The commands that take a checkpoint."""
    return [
        ("convert", path, "out.h5"),
        ("train", *project.train, "--load_model", path),
        ("test", "--load_model", path, "--data_dir", project.data, "-o", "out"),
        ("demo", "--load_model", path, "--demo", project.images, "-o", "out"),
        ("export", path, "-o", "out.onnx"),
    ]


def assert_nothing_is_written(folder: Path) -> None:
    assert not [found.name for found in folder.iterdir() if found.name.startswith("out")]


def test_a_missing_checkpoint_is_named(trained: Any, refused: Any, tmp_path: Path) -> None:
    for name in ("gone.pth", "gone.safetensors"):
        for typed in everywhere(trained, name):
            assert f"{name}: no such checkpoint" in refused(*typed)
    assert_nothing_is_written(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "text", "cut"])
def test_what_is_no_checkpoint_or_cut_off_is_named(
    trained: Any, refused: Any, tmp_path: Path, write_torch: Write, tensor: Any, kind: str
) -> None:
    path = tmp_path / "model.pth"
    write_torch(path, {"conv1.weight": tensor(np.ones((64, 3, 7, 7), np.float32))})
    path.write_bytes({"empty": b"", "text": b"hello", "cut": path.read_bytes()[:-1000]}[kind])
    for typed in everywhere(trained, path):
        line = refused(*typed)
        assert f"{path}: not a PyTorch checkpoint, or a damaged one ({path.stat().st_size} bytes)" in line or kind == "cut"
    assert "model.pth: not a PyTorch checkpoint" in refused(
        "convert", path, "out.h5", "--arch", "res_18", "--dataset", "coco", "--allow-partial"
    )
    (tmp_path / "model.safetensors").write_bytes(path.read_bytes())
    assert "model.safetensors: not a safetensors file" in refused("convert", "model.safetensors", "out.h5")
    assert_nothing_is_written(tmp_path)


def test_a_pickle_that_wants_to_run_something_is_refused_with_what_it_tried(
    trained: Any, refused: Any, tmp_path: Path, write_torch: Write, tensor: Any, torch_name: Any
) -> None:
    evil = torch_name("os", "system", ("touch ran",))
    write_torch(tmp_path / "evil.pth", {"state_dict": {"conv1.weight": tensor(np.ones(3, np.float32))}, "epoch": evil})
    for typed in everywhere(trained, "evil.pth"):
        assert "evil.pth: refused: its pickle asks for 'os.system', and a state dict needs no code" in refused(*typed)
    assert not (tmp_path / "ran").exists()
    assert_nothing_is_written(tmp_path)


@pytest.mark.parametrize("write_torch", ["zip"], indirect=True)
def test_checkpoints_of_other_networks_and_tasks_are_told_from_each_other(
    trained: Any, refused: Any, tmp_path: Path, write_torch: Write, tensor: Any
) -> None:
    def save(name: str, heads: tuple[str, ...], only: str = "") -> None:
        keys = [key for key in torch_names(network_of("res_18")).values() if not key.startswith(only or "-")]
        state = {key: tensor(np.zeros((2, 2, 1, 1), np.float32)) for key in keys}
        state |= {f"{head}.{layer}.weight": tensor(np.zeros((2, 2, 1, 1), np.float32)) for head in heads for layer in (0, 2)}
        write_torch(tmp_path / name, {**state, **{f"{head}.2.bias": tensor(np.zeros(2, np.float32)) for head in heads}})

    look = ("--demo", trained.images, "-o", "out")
    save("two.pth", ("hm", "wh", "reg"))
    assert "does not say what its 2 classes are; name them: --dataset, --data_dir" in refused("demo", "--load_model", "two.pth", *look)
    line = refused("demo", "--load_model", "two.pth", *look, "--train-config", trained.config, "--data_dir", trained.data)
    assert "two.pth: not the weights of this network: the file is a res_18; 1" in line
    assert "conv1.weight (2, 2, 1, 1) instead of (8, 3, 7, 7), bn1.bias (2, 2, 1, 1) instead of (8,)" in line
    line = refused("train", *trained.train, "--arch", "res_34", "--load_model", "two.pth", "--set", "model.pretrained_model_dir=null")
    assert "--arch res_34 was typed" in line
    line = refused("demo", "--load_model", "two.pth", *look, "--arch", "res_34", "--dataset", "pascal")
    assert "two.pth: not the weights of this network: the file is a res_18, the network a res_34 (--arch)" in line
    save("imagenet.pth", (), only="deconv")
    assert "ImageNet's classifier and no detector" in refused("demo", "--load_model", "imagenet.pth", *look)
    save("corners.pth", ("hm_t", "hm_l"))
    assert "no detector by centre points" in refused("demo", "--load_model", "corners.pth", *look)
    write_torch(tmp_path / "odd.pth", {"encoder.weight": tensor(np.zeros(1, np.float32))})
    assert "odd.pth: is of no known network" in refused("demo", "--load_model", "odd.pth", *look)
    assert_nothing_is_written(tmp_path)


def test_options_for_checkpoints_have_no_meaning_for_parameter_files(trained: Any, refused: Any) -> None:
    line = refused("convert", trained.model, "out.h5", "--allow-partial", "--arch", "res_18")
    assert "--arch, --allow-partial: for PyTorch checkpoints" in line
    assert "--affine-to-conv: a checkpoint's classifier is left out" in refused("convert", "x.pth", "out.h5", "-a")
    assert "--classes: a name appears twice" in refused("convert", "x.pth", "out.h5", "--classes", "a,a")
    assert "out.txt: parameters are written as .h5" in refused("convert", "x.pth", "out.txt")
