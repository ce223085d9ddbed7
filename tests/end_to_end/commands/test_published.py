"""Files of the predecessor: they hold an unused ImageNet classifier and say nothing about themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from centernet.data.class_tables import PUBLISHED
from centernet.structures import Array
from centernet.weights.layout import convert

Command = Callable[..., Any]
Rule = Callable[[str, Sequence[int]], Array]
LAYOUTS = [("nchw", 3), ("nhwc", 3), ("nhwc", 4)]
CLASSIFIER = {"fc/fc/conv/W": (1000, 512, 1, 1), "fc/fc/conv/b": (1000,)}


@pytest.fixture(scope="session")
def published(
    run_quietly: Callable[..., int], tmp_path_factory: pytest.TempPathFactory, by_rule: Rule
) -> Callable[[str], dict[str, Array]]:
    """The parameters of a published network of full width for the 20 classes of VOC, by the rule; NCHW."""
    from centernet.weights.store import read_parameters

    def make(arch: str) -> dict[str, Array]:
        path = tmp_path_factory.mktemp("published") / f"{arch}.nnp"
        layers = {"resnet": 18, "dlav0": 34}[arch]
        words = ("--dataset", "pascal", "--arch", arch, "--num_layers", layers, "--input_res", 64)
        assert run_quietly("export", *words, "-o", path) == 0
        shapes = {name: array.shape for name, array in read_parameters(path).parameters.items()} | CLASSIFIER
        return {name: by_rule(name, shape) for name, shape in shapes.items()}

    return make


@pytest.fixture(scope="session")
def resnet(published: Callable[[str], dict[str, Array]]) -> dict[str, Array]:
    return published("resnet")


def write(path: Path, parameters: Mapping[str, Array]) -> Path:
    """As NNabla's own `save_parameters` does: data sets with `need_grad` and `index`, nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for index, (name, values) in enumerate(parameters.items()):
            file[name] = values
            file[name].attrs["need_grad"] = not name.endswith(("/mean", "/var"))
            file[name].attrs["index"] = index
    return path


def detect(centernet: Command, checkpoint: Path, image: Path, output: Path, *words: object) -> Any:
    network = ("--dataset", "pascal", "--arch", "resnet", "--num_layers", "18", "--input_res", 64)
    centernet("demo", "ctdet", *network, "--checkpoint", checkpoint, "--demo", image, "-o", output, "--precision", "float32", *words)
    return json.loads((output / "detections.jsonl").read_text())["detections"]


def test_a_published_file_is_used_in_every_layout(tiny: Any, centernet: Command, resnet: dict[str, Array], tmp_path: Path) -> None:
    """On a CPU, which runs NCHW only, all of them are the same network."""
    found = {}
    for layout, channels in LAYOUTS:
        converted = convert(resnet, layout=layout, channels=channels)
        assert converted["conv1/conv/W"].shape == ((64, 3, 7, 7) if layout == "nchw" else (64, 7, 7, channels))
        path = write(tmp_path / f"{layout}_{channels}.h5", converted)
        found[layout, channels] = detect(centernet, path, tiny.images[0], tmp_path / "out")
    assert len(found["nchw", 3]) > 3
    assert {detection["class_name"] for detection in found["nchw", 3]} <= set(PUBLISHED["voc"].names)
    for layout in LAYOUTS[1:]:
        assert found[layout] == found["nchw", 3]


def test_heads_in_another_order_are_told_by_their_names(tiny: Any, centernet: Command, resnet: dict[str, Array], tmp_path: Path) -> None:
    heads = [name for name in resnet if name.startswith(("hm_", "reg_", "wh_"))]
    order = [*heads[::-1], *(name for name in resnet if name not in heads)]
    found = [
        detect(centernet, write(tmp_path / f"{number}.h5", {name: resnet[name] for name in names}), tiny.images[0], tmp_path / "out")
        for number, names in enumerate((list(resnet), order))
    ]
    assert len(found[0]) > 3
    assert found[0] == found[1]


def test_a_published_dlav0_is_used(tiny: Any, centernet: Command, published: Callable[[str], dict[str, Array]], tmp_path: Path) -> None:
    path = write(tmp_path / "dlav0_34.h5", published("dlav0"))
    words = ("--dataset", "pascal", "--arch", "dlav0", "--num_layers", "34", "--input_res", 64, "--checkpoint", path)
    centernet("demo", *words, "--demo", tiny.images[0], "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "detections.jsonl").read_text())["detections"]


def test_a_published_file_is_called_by_its_name(tiny: Any, centernet: Command, resnet: dict[str, Array], tmp_path: Path) -> None:
    words = ("demo", "--checkpoint", "resnet_18_pascal_fp", "--demo", tiny.images[0])
    assert "`centernet weights get resnet_18_pascal_fp` downloads it" in centernet(*words, code=2).err
    path = write(tmp_path / "weights" / "ctdet" / "resnet_18_pascal_fp.h5", resnet)
    by_name, by_path = (detect(centernet, file, tiny.images[0], tmp_path / "out") for file in ("resnet_18_pascal_fp", path))
    assert by_name == by_path


def test_a_published_file_of_another_network_is_refused_with_the_reason(
    tiny: Any, centernet: Command, resnet: dict[str, Array], tmp_path: Path
) -> None:
    path = write(tmp_path / "resnet.h5", resnet)
    words = ("demo", "--checkpoint", path, "--demo", tiny.images[0], "--input_res", 64)
    assert "--dataset, --arch and --num_layers" in centernet(*words, code=2).err
    assert "80" in centernet(*words, "--dataset", "coco", "--arch", "resnet", "--num_layers", 18, code=2).err
    assert "the file is a resnet" in centernet(*words, "--dataset", "pascal", "--arch", "dlav0", "--num_layers", 34, code=2).err


def test_training_starts_from_a_published_backbone_and_says_what_it_took(
    tiny: Any, script: Command, make_config: Callable[..., Path], by_rule: Rule, tmp_path: Path
) -> None:
    """In the other layout and with four input channels; the classifier is left where it is."""
    from centernet.weights.store import read_parameters

    drawn = read_parameters(tiny.checkpoints / "params_0.h5").parameters
    rest = ("upsample", "hm_", "reg_", "wh_")
    backbone = {name: by_rule(name, values.shape) for name, values in drawn.items() if not name.startswith(rest)}
    file = convert(backbone | {"fc/fc/conv/W": by_rule("fc/fc/conv/W", (1000, 64, 1, 1))}, layout="nhwc", channels=4)
    write(tmp_path / "weights" / "backbone" / "resnet18_nhwc_imagenet.h5", file)
    config = make_config(tmp_path / "config.yaml", epochs=1, schedule={"base_lr": 1e-12, "warmup_epochs": 0}, validate_ap=False)
    words = ("--train-config", config, "--data_dir", tiny.data, "-o", "out", "--set", "model.pretrained_model_dir=weights/backbone")
    ended = script("main.py", "ctdet", *words)
    line = next(line for line in ended.out.splitlines() if "resnet18_nhwc_imagenet.h5" in line)
    assert f"{len(backbone)} parameters loaded" in line
    assert "converted in layout or channels" in line
    assert "1 left in the file (fc/fc/conv/W)" in line

    trained = read_parameters(tmp_path / "out" / "checkpoints" / "params_0.h5").parameters
    moved = ("/mean", "/var")  # by three steps, whatever the learning rate
    for name in (name for name in backbone if not name.endswith(moved)):
        np.testing.assert_allclose(trained[name], backbone[name], atol=1e-6, err_msg=name)


def test_a_missing_backbone_file_is_an_error_that_says_where_to_get_it(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = ("--train-config", tiny.config, "--data_dir", tiny.data, "-o", tmp_path / "out")
    ended = centernet("train", *words, "--set", "model.pretrained_model_dir=resnet18_nhwc_imagenet", code=2)
    assert "weights/backbone/resnet18_nhwc_imagenet.h5: no such file; `centernet weights get resnet18_nhwc_imagenet`" in ended.err
    ended = centernet("train", *words, "--set", f"model.pretrained_model_dir={tmp_path}", code=2)
    assert "resnet18_nchw_imagenet.h5" in ended.err
    assert "https://nnabla.org/" in ended.err
    assert "model.pretrained_model_dir to null" in ended.err
    assert not (tmp_path / "out").exists()
