"""The family's words and the predecessor's YAML, and the files in `cfg/` that say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from centernet import config, plugins
from centernet.errors import ConfigError
from centernet.experiment import family
from centernet.experiment.choice import Choice, experiment
from centernet.experiment.schema import ExperimentConfig
from centernet.models import architectures

CFG = Path(__file__).resolve().parents[2] / "cfg"

# The predecessor's eight files differ in these: (epochs, lr_steps, batch per process, base_lr).
PUBLISHED = {
    "resnet_18_coco_fp": (140, "[90, 120]", 32, "5e-4"),
    "resnet_18_coco_mp": (140, "[90, 120]", 32, "5e-4"),
    "resnet_18_pascal_fp": (70, "[45, 60]", 32, "5e-4"),
    "resnet_18_pascal_mp": (70, "[45, 60]", 32, "5e-4"),
    "dlav0_34_coco_fp": (140, "[90, 120]", 16, "5e-4"),
    "dlav0_34_coco_mp": (140, "[90, 120]", 24, "5e-4"),
    "dlav0_34_pascal_fp": (70, "[45, 60]", 16, "2.5e-4"),
    "dlav0_34_pascal_mp": (70, "[45, 60]", 32, "5e-4"),
}
LATER = (  # networks that the predecessor does not have, trained as the official system does
    *("resdcn_18_coco_fp", "resdcn_101_coco_fp", "res_101_coco_fp", "dla_34_coco_fp", "dla_34_coco_2x_fp"),
    *(f"{name}_pascal_{size}" for name in ("resdcn_18", "resdcn_101", "dla_34") for size in ("fp", "512_fp")),
    *("hourglass_104_coco_fp", "resnext_50_coco_fp", "res_fpn_50_coco_fp", "mobilenet_v3_large_bifpn_coco_fp"),
    *("hourglass_52_coco_triplet", "hourglass_104_coco_triplet"),
)


def predecessors_yaml(name: str) -> str:
    """The predecessor's file of that name, in its keys."""
    arch, num_layers, dataset, precision = name.split("_")
    epochs, steps, batch, rate = PUBLISHED[name]
    mixed = str(precision == "mp").lower()
    return f"""\
dataset:
  dataset: {dataset}
model:
  arch: {arch}
  num_layers: {num_layers}
  pretrained_model_dir: weights/backbone/
train:
  num_epochs: {epochs}
  batch_size: {batch}
learning_rate_config:
  scheduler_type: Cosine
  base_lr: {rate}
  warmup_epochs: 5
  epochs: null
  lr_steps: {steps}
  decay_rate: 0.1
mixed_precision:
  mixed_precision: {mixed}
  channel_last: {mixed}
  loss_scaling: 4
  use_dynamic_loss_scaling: {mixed}
"""


def read(folder: Path, text: str) -> ExperimentConfig:
    path = folder / "old.yaml"
    path.write_text(text)
    return experiment(Choice(yaml=path))


def test_cfg_holds_the_published_experiments_and_the_quickstart() -> None:
    assert {path.stem for path in CFG.glob("*.yaml")} == {*PUBLISHED, *LATER, "quickstart", "quickstart_triplet"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_of_the_predecessor_is_the_experiment_of_ours_of_that_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, predecessors_yaml(name)) == experiment(Choice(yaml=CFG / f"{name}.yaml"))


@pytest.mark.parametrize("path", sorted(CFG.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_in_cfg_is_valid_and_survives_being_written(tmp_path: Path, path: Path) -> None:
    first = experiment(Choice(yaml=path))
    config.write_yaml(config.to_tree(first), tmp_path / "resolved.yaml")
    assert experiment(Choice(yaml=tmp_path / "resolved.yaml")) == first


def test_the_step_schedule_decays_at_the_files_own_steps(tmp_path: Path) -> None:
    for word in ("Step", "StepScheduler", "step"):
        schedule = read(tmp_path, predecessors_yaml("resnet_18_coco_fp").replace("Cosine", word)).train.schedule
        assert (schedule.kind, tuple(schedule.lr_steps), schedule.decay_rate) == ("step", (90, 120), 0.1)


def test_an_empty_backbone_folder_means_none(tmp_path: Path) -> None:
    for value in ("''", "null"):
        text = predecessors_yaml("resnet_18_coco_fp").replace("weights/backbone/", value)
        assert read(tmp_path, text).model.pretrained_model_dir is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("num_epochs: 140", "num_epoch: 140", "train.num_epoch: unknown key; did you mean 'train.num_epochs'"),
        ("arch: resnet", "arch: resnt", "model.arch: 'resnt' is unknown; did you mean 'resnet'"),
        ("arch: resnet", "arch: [resnet]", r"model.arch: '\['resnet'\]' is unknown"),
        ("num_layers: 18", "num_layers: '18'", "model.num_layers: found '18', but resnet is built with 18, 34, 50, 101, 152 layers"),
        ("dataset: coco", "dataset: voc", "dataset.dataset: 'voc' is unknown; known: coco, pascal"),
        ("  num_layers: 18\n", "", "model.num_layers: is missing"),
        ("  mixed_precision: false", "  mixed_precision: 'no'", "mixed_precision.mixed_precision: found 'no', expected true or false"),
        ("base_lr: 5e-4", "base_lr: fast", "train.schedule.base_lr: found 'fast'"),
        ("dataset:\n  dataset: coco", "dataset: coco", "dataset: expected a section with keys, found 'coco'"),
    ],
)
def test_a_mistake_in_a_file_of_the_predecessor_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = predecessors_yaml("resnet_18_coco_fp")
    assert old in text
    with pytest.raises(ConfigError, match=rf"old\.yaml: {said}"):
        read(tmp_path, text.replace(old, new))


def test_a_file_of_ours_with_a_section_of_the_predecessor_is_read_as_ours() -> None:
    assert family.is_predecessors({"dataset": {}, "model": {}})
    assert not family.is_predecessors({"dataset": {}, "data": {}})
    assert not family.is_predecessors({"model": {}, "train": {}})


@pytest.mark.parametrize("arch", family.ARCHITECTURES)
@pytest.mark.parametrize("dataset", family.DATASETS)
def test_every_preset_is_a_valid_experiment_that_says_its_own_words(arch: str, dataset: str) -> None:
    for depth in family.ARCHITECTURES[arch]["layers"]:
        found = experiment(Choice(words={"dataset": dataset, "arch": arch, "num_layers": depth}))
        words = family.words(config.to_tree(found))
        hidden = {"resnet": 64, "dlav0": 256}[arch]
        expected = {"dataset": dataset, "arch": arch, "num_layers": depth, "head_conv": hidden}
        assert words == {**expected, "mixed_precision": False, "channel_last": False}
        assert found.data.input_size == {"coco": (512, 512), "pascal": (384, 384)}[dataset]


def test_words_for_an_experiment_of_our_own_are_its_plugins_names() -> None:
    tree = config.to_tree(experiment(Choice(yaml=CFG / "quickstart.yaml")))
    assert {key: family.words(tree)[key] for key in ("dataset", "arch")} == {"dataset": "shapes", "arch": "dlav0"}


def test_every_depth_the_family_names_is_a_depth_of_the_backbone() -> None:
    for arch, parts in family.ARCHITECTURES.items():
        assert arch in plugins.names("centernet.models.backbones")
        for depth in parts["layers"]:
            tree: Any = family.preset("coco", arch, depth)["model"]
            assert tree["backbone"].get("num_layers", depth) == depth


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_every_architecture_is_a_valid_experiment_that_is_called_by_its_name(name: str) -> None:
    found = config.to_tree(experiment(Choice(words={"arch": name})))
    one = architectures.get(name)
    assert architectures.find(found["model"]) is one
    assert family.short_name(found) == re.sub("^res_(?=[0-9])", "resnet_", name)  # which keeps the predecessor's word
    assert found["model"]["head"]["hidden_channels"] == one.hidden_channels


@pytest.mark.parametrize(
    ("arch", "num_layers", "name"),
    [
        ("resnet", None, "res_18"),
        ("resnet", 101, "res_101"),
        ("res", 34, "res_34"),
        ("resdcn", 101, "resdcn_101"),
        ("dla", None, "dla_34"),
        ("dlav0", 34, "dlav0_34"),
        ("hourglass", None, "hourglass_104"),
        ("hourglass", 52, "hourglass_52"),
        ("res_50", 50, "res_50"),
        ("resnext50_32x4d", None, "resnext_50"),
        ("mobilenet_v2", None, "mobilenet_v2"),
    ],
)
def test_an_architecture_is_a_whole_name_or_a_family_and_its_depth(arch: str, num_layers: int | None, name: str) -> None:
    assert family.architecture(arch, num_layers).name == name


@pytest.mark.parametrize(
    ("arch", "num_layers", "said"),
    [
        ("resdcn", 20, "--num_layers: found 20, but resdcn is built with 18, 34, 50, 101, 152 layers"),
        ("res_50", 18, "--num_layers: found 18, but --arch res_50 says how deep it is; leave --num_layers out"),
        ("mobilenet_v2", 18, "--num_layers: found 18, but --arch mobilenet_v2 says how deep it is"),
        ("resdcn18", None, "--arch: 'resdcn18' is unknown; did you mean 'resdcn_18'"),
        ("yolo", None, "--arch: 'yolo' is unknown; known: .*resnet, .*wide_resnet"),
    ],
)
def test_an_architecture_that_is_not_there_is_named(arch: str, num_layers: int | None, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        family.architecture(arch, num_layers)


def test_a_network_without_a_name_is_called_by_its_plugins() -> None:
    tree = {"model": {"backbone": {"name": "mobilenet_v2"}, "neck": {"name": "resdcn"}}}
    assert family.short_name(tree) == "mobilenet_v2_resdcn"
    assert family.short_name({"model": {"backbone": {"name": "mobilenet_v2"}, "neck": {"name": "fpn"}}}) == "mobilenet_v2_fpn"
