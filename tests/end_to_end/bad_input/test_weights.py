"""Bad input: model files. Every mistake ends with exit code 2 and one line that names the file."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

BIASED = "hm_final/conv/b"


def published(project: Any, *, num_classes: int | None = None) -> Path:
    """The project's model as a published file: without a description; optionally of another number of classes."""
    path = project.folder / "published.h5"
    shutil.copy(project.model, path)
    with h5py.File(path, "a") as file:
        del file.attrs["centernet"]
        if num_classes is not None:
            for name in ("hm_final/conv/W", BIASED):
                values, attributes = file[name][:1], dict(file[name].attrs)
                del file[name]
                file[name] = np.repeat(values, num_classes, axis=0)
                file[name].attrs.update(attributes)
    return path


def described(project: Any, **changes: object) -> Path:
    """The project's model with another description."""
    path = project.folder / "described.h5"
    shutil.copy(project.model, path)
    with h5py.File(path, "a") as file:
        file.attrs["centernet"] = json.dumps(json.loads(file.attrs["centernet"]) | changes)
    return path


def everywhere(project: Any, path: Path | str) -> list[tuple[object, ...]]:
    """The commands that take a parameter file."""
    return [
        ("train", *project.train, "--checkpoint", path),
        ("test", "--checkpoint", path, "--data_dir", project.data),
        ("demo", "--checkpoint", path, "--demo", project.images),
        ("export", "--checkpoint", path),
    ]


def test_a_missing_file_is_named_in_every_command(trained: Any, refused: Any) -> None:
    for typed in everywhere(trained, "gone.h5"):
        assert "gone.h5: no such parameter file" in refused(*typed)
    assert "gone.h5: no such parameter file" in refused("convert", "gone.h5", "out.h5")
    for name in ("gone.nnp", "gone.onnx"):
        assert f"{name}: no such model file" in refused("demo", "--checkpoint", name, "--demo", trained.images)


@pytest.mark.parametrize("kind", ["empty", "text", "cut"])
def test_a_corrupt_hdf5_file_is_named_in_every_command(trained: Any, refused: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "corrupt.h5"
    path.write_bytes({"empty": b"", "text": b"hello", "cut": trained.model.read_bytes()[:100_000]}[kind])
    for typed in [*everywhere(trained, path), ("convert", path, "out.h5")]:
        assert f"{path}: not a .h5 parameter file, or a damaged one ({path.stat().st_size} bytes)" in refused(*typed)


def test_a_file_of_another_kind_is_named(trained: Any, refused: Any, tmp_path: Path) -> None:
    look = ("--demo", trained.images)
    assert "tiny.yaml: '.yaml' is not a model file; expected .h5, .protobuf, .nnp, .onnx or .xml" in refused(
        "demo", "--checkpoint", trained.config, *look
    )
    assert "is a folder, expected a model file" in refused("demo", "--checkpoint", trained.model.parent, *look)
    for name, said in (("bad.nnp", "cannot be read as .nnp"), ("bad.onnx", "cannot be read as ONNX")):
        (tmp_path / name).write_text("hello")
        assert f"{name}: {said}" in refused("demo", "--checkpoint", name, *look)
    assert "which model? Give --checkpoint FILE" in refused("demo", *look)
    assert "out.txt: parameters are written as .h5, not '.txt'" in refused("convert", trained.model, "out.txt")


def test_weights_of_another_architecture_are_refused(project: Any, refused: Any) -> None:
    path = published(project)
    project.rewrite_config("num_layers: 18", "num_layers: 34")
    for typed in everywhere(project, path):
        line = refused(*typed, "--train-config", project.config, "--data_dir", project.data)
        assert f"{path}: not the weights of this network: the file is a resnet18, the network a resnet34 (--arch, --num_layers)" in line


def test_weights_of_another_width_are_refused(project: Any, refused: Any) -> None:
    path = published(project)
    line = refused("demo", "--checkpoint", path, "--demo", project.images, "--arch", "resnet", "--num_layers", "18")
    assert "the file's first convolution has 8 channels, the network's 64 (width)" in line


def test_weights_of_another_class_count_are_refused_but_for_training(project: Any, refused: Any, command: Any) -> None:
    """A training with them begins the last layer of the heatmap anew."""
    path = published(project, num_classes=5)
    for typed in everywhere(project, path):
        if typed[0] == "train":
            ended = command(*typed, "--train-config", project.config, "--data_dir", project.data)
            assert ended.code == 0, ended
            assert "hm_final/conv/b: begins anew, for another number of classes; 2 instead of 5" in ended.out
            continue
        line = refused(*typed, "--train-config", project.config, "--data_dir", project.data)
        assert f"{path}: not the weights of this network: the file has 5 classes, the network 2 (--dataset)" in line


def test_weights_that_were_transposed_by_mistake_are_refused(project: Any, refused: Any) -> None:
    path = published(project)
    with h5py.File(path, "a") as file:  # as the predecessor's converter did without -m
        values, attributes = file["conv1/conv/W"][...], dict(file["conv1/conv/W"].attrs)
        del file["conv1/conv/W"]
        file["conv1/conv/W"] = values.transpose(0, 3, 1, 2)
        file["conv1/conv/W"].attrs.update(attributes)
    line = refused("demo", "--checkpoint", path, "--demo", project.images, "--train-config", project.config, "--data_dir", project.data)
    assert "conv1/conv/W" in line
    assert "(8, 7, 3, 7)" in line


def test_weights_in_the_other_layout_are_converted_and_no_error(project: Any, command: Any) -> None:
    path = project.folder / "nhwc.h5"
    assert command("convert", project.model, path, "-m", "nhwc", "-4").code == 0
    assert command("demo", "--checkpoint", path, "--demo", project.images / "0.png", "--runtime", "nnabla", "--debug", "0").code == 0


def test_a_file_that_says_nothing_needs_the_words(project: Any, refused: Any) -> None:
    path = published(project)
    for name, *typed in everywhere(project, path)[1:]:
        line = refused(name, *typed)
        assert f"{path}: says nothing about its network; name it: --dataset, --arch and --num_layers, or --train-config" in line


def test_a_description_that_is_wrong_or_of_a_later_format_is_refused(project: Any, refused: Any) -> None:
    look = ("--demo", project.images)
    assert "its description has format 2, this version reads up to 1; update the package" in refused(
        "demo", "--checkpoint", described(project, format=2), *look
    )
    assert "stride: found 0 (int), expected greater than 0 (in the file's own description)" in refused(
        "demo", "--checkpoint", described(project, stride=0), *look
    )
    assert "colour: unknown key" in refused("demo", "--checkpoint", described(project, colour=1), *look)


def test_an_nnp_without_a_description_is_refused(trained: Any, command: Any, refused: Any, tmp_path: Path) -> None:
    assert command("export", "--checkpoint", trained.model, "-o", "whole.nnp").code == 0
    with zipfile.ZipFile(tmp_path / "whole.nnp") as whole, zipfile.ZipFile(tmp_path / "bare.nnp", "w") as bare:
        for name in whole.namelist():
            if name != "centernet.json":
                bare.writestr(name, whole.read(name))
    line = refused("demo", "--checkpoint", "bare.nnp", "--demo", trained.images)
    assert "bare.nnp: holds no description 'centernet', so it was not exported by this project" in line


def test_an_exported_file_says_what_it_cannot_do(trained: Any, command: Any, refused: Any) -> None:
    look = ("--demo", trained.images, "--extension_module", "cpu")
    assert command("export", "--checkpoint", trained.model, "-o", "fixed.onnx").code == 0
    assert command("export", "--checkpoint", trained.model, "-o", "nhwc.nnp", "--channel_last").code == 0
    line = refused("demo", "--checkpoint", "fixed.onnx", *look, "--input_res", "96")
    assert "fixed.onnx: was exported for input 64x64, found --input_res 96x96" in line
    assert "so --keep_res does not fit" in refused("demo", "--checkpoint", "fixed.onnx", *look, "--keep_res")
    assert "runtime nnabla does not read .onnx files; expected openvino or onnxruntime" in refused(
        "demo", "--checkpoint", "fixed.onnx", *look, "--runtime", "nnabla"
    )
    assert "was exported in NHWC, which NNabla computes on GPUs only" in refused("demo", "--checkpoint", "nhwc.nnp", *look)
    assert "'.onnx' cannot be exported; expected parameters: .h5, .protobuf" in refused("export", "--checkpoint", "fixed.onnx")


def test_test_wants_one_file_or_one_folder_of_checkpoints(trained: Any, refused: Any, tmp_path: Path) -> None:
    data = ("--data_dir", trained.data)
    both = ("--checkpoint", trained.model, "--checkpoint_dir", trained.model.parent)
    for typed in ((), both):
        assert "give one of --checkpoint FILE and --checkpoint_dir DIR" in refused("test", *data, *typed)
    assert "nowhere: no such folder" in refused("test", *data, "--checkpoint_dir", "nowhere")
    assert f"{trained.data}: no params_N.h5 in it" in refused("test", *data, "--checkpoint_dir", trained.data)


def test_a_missing_backbone_file_comes_with_its_address_and_the_way_without(trained: Any, refused: Any) -> None:
    line = refused("train", *trained.train, "--set", "model.pretrained_model_dir=weights/backbone")
    assert "weights/backbone/resnet18_nchw_imagenet.h5: no such file" in line
    assert "https://nnabla.org/pretrained-models/nnabla-examples/object-detection/ceneternet/backbone/resnet18_nchw_imagenet.h5" in line
    assert "to train without pretrained weights set model.pretrained_model_dir to null" in line


def test_resuming_from_what_is_not_there_says_what_is(project: Any, refused: Any) -> None:
    again = (*project.train, "-o", project.folder / "out")
    assert "no checkpoint of epoch 7 to resume from; there are: 0" in refused("train", *again, "--resume-from", "7")
    assert "no checkpoint_*.json to resume from" in refused("train", *project.train, "--resume-from", "latest")
    assert "--resume-from needs the output folder" in refused("train", "--train-config", project.config, "--resume-from", "latest")
    assert "excludes --checkpoint" in refused("train", *again, "--resume-from", "0", "--checkpoint", project.model)
    project.rewrite_config("num_layers: 18", "num_layers: 34")
    assert str(project.folder / "out") in refused("train", *again, "--resume-from", "latest")
    project.model.unlink()
    assert "params_0.h5: no such parameter file" in refused("train", *again, "--resume-from", "latest")
