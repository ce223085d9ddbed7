"""Bad input: configurations. Every mistake ends with exit code 2 and one line that names it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs: 1", "epoch: 1", "train.epoch: unknown key; did you mean 'epochs'?"),
        ("epochs: 1", "epochs: '1'", "train.epochs: found '1' (str), expected a valid integer"),
        ("epochs: 1", "epochs: 0", "train.epochs: found 0 (int), expected greater than 0"),
        ("base_lr: 1e-3", "base_lr: 1e-3, lr_step: [1]", "train.schedule.lr_step: unknown key; did you mean 'lr_steps'?"),
        ("base_lr: 1e-3", "base_lr: .inf", "train.schedule.base_lr: found inf, which YAML may write"),
        ("base_lr: 1e-3", "base_lr: 2020-01-01", "train.schedule.base_lr: found datetime.date(2020, 1, 1)"),
        ("base_lr: 1e-3", "base_lr: {x: &a [*a]}", "train.schedule.base_lr.x.0: found 'a section inside itself'"),
        ("name: coco\n", "name: coco\n    train_: 1\n", "data.dataset.train_: unknown key; did you mean 'train'?"),
        ("name: coco\n", "name: cocoa\n", "data.dataset: datasets: 'cocoa' is not there; did you mean 'coco'?"),
        ("name: resnet,", "name: resnt,", "model.backbone: backbones: 'resnt' is not there; did you mean 'resnet'?"),
        ("num_layers: 18", "num_layers: 20", "model.backbone.num_layers: found 20 (int), expected 18, 34, 50, 101 or 152"),
        ("workers: 0", "augment: {shft: 1}", "data.augment.shft: unknown key; did you mean 'shift'?"),
        ("workers: 0", "on_bad_image: ignore", "data.on_bad_image: found 'ignore' (str), expected 'stop' or 'skip'"),
        ("batch_size: 4", "workers: 4", "train.workers: unknown key"),
        ("batch_size: 4", "batch_size: 4\n  global_batch_size: 4", "train: give exactly one of batch_size (per process)"),
        ("task: {name: ctdet}", "task: {name: ctdt}", "task: tasks: 'ctdt' is not there; did you mean 'ctdet'?"),
        ("train:\n", "test: {scales: [0]}\ntrain:\n", "test.scales.0: found 0 (int), expected greater than 0"),
        ("train:\n", "dataset: {name: coco}\ntrain:\n", "dataset: unknown key; did you mean 'data'?"),
        ("input_size: [64, 64]", "input_size: [64, 70]", "data.input_size: input size 64x70 (height x width): expected multiples of 32"),
        ("data:\n", "data: [\n", ": not valid YAML: "),
        ("data:\n", "1: 2\ndata:\n", ":2: not valid YAML: found the key 1, expected a name"),
    ],
)
def test_a_mistake_in_the_yaml_is_named_with_its_key(project: Any, refused: Any, old: str, new: str, said: str) -> None:
    project.rewrite_config(old, new)
    line = refused("train", *project.train)
    assert str(project.config) in line or "input_size" in said
    assert said in line


def test_a_missing_configuration_is_named(project: Any, refused: Any) -> None:
    assert "gone.yaml: no such configuration file" in refused("train", "--train-config", "gone.yaml")
    assert f"{project.folder}: cannot be read: " in refused("train", "--train-config", project.folder)
    project.config.write_bytes(b"\xff\xfe\x00")
    assert "tiny.yaml: is not a text file, expected YAML" in refused("train", *project.train)


def test_a_mistake_in_an_override_is_named(trained: Any, refused: Any) -> None:
    assert "train.epoch: unknown key; did you mean 'epochs'?" in refused("train", *trained.train, "--set", "train.epoch=3")
    assert "--set train: expected KEY.KEY=VALUE" in refused("train", *trained.train, "--set", "train")
    assert "data: expected a section with keys, found 5" in refused("train", *trained.train, "--set", "data=5", "--input_res", "64")
    assert "train.batch_size: found 0 (int), expected greater than 0" in refused("train", *trained.train, "--set", "train.batch_size=0")
    assert "--batch_size: expected a whole number above 0, found '0'" in refused("train", *trained.train, "--batch_size", "0")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--norm_wh", "task.boxes={form: ltrb}"], "task.loss.relative_size: divides by sizes, but boxes.form ltrb says distances"),
        (["task.boxes={weight: equal}"], "task.boxes.weight: equal is for regions, expected at: gaussian, found center"),
        (["task.heatmap_weight=0", "task.size_weight=0", "task.offset_weight=0"], "task: heatmap_weight, size_weight and offset_weight"),
        (["train.freeze=['*']", "train.moving_average={}"], "train.freeze: * match every parameter; nothing is left to train"),
        (["train.solver.groups=[{pattern: '*', lr_factor: 0}]", "train.moving_average={}"], "train.solver.groups: lr_factor 0 holds every"),
        (["train.schedule.epochs=3"], "train.schedule.epochs: the way down of cosine ends after 3, but warm-up takes 5"),
        (["train.sync_batch_norm=true", "train.freeze_batch_norm=true"], "train.sync_batch_norm: excludes freeze_batch_norm"),
        (["train.early_stopping={patience: 2}", "train.validate_ap=false"], "train.early_stopping: goes by AP, which validate_ap: false"),
    ],
)
def test_what_cannot_work_together_is_refused_before_training_starts(project: Any, refused: Any, typed: list[str], said: str) -> None:
    words = [word for text in typed for word in ([text] if text.startswith("--") else ["--set", text])]
    assert said in refused("train", *project.train, *words)
    assert not (project.folder / "new").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--num_layers", "34"], "--num_layers 34 was typed, but {source} says num_layers 18; leave the option out"),
        (["--arch", "dlav0"], "--arch dlav0 was typed, but {source} says arch resnet"),
        (["--dataset", "pascal"], "--dataset pascal was typed, but {source} says dataset coco"),
        (["--head_conv", "64"], "--head_conv 64 was typed, but {source} says head_conv 8"),
    ],
)
def test_words_that_contradict_the_file_are_an_error_in_every_command(trained: Any, refused: Any, typed: list[str], said: str) -> None:
    assert said.format(source=trained.config) in refused("train", *trained.train, *typed)
    here = said.format(source=trained.model)
    assert here in refused("test", "--checkpoint", trained.model, "--data_dir", trained.data, *typed)
    assert here in refused("demo", "--checkpoint", trained.model, "--demo", trained.images, *typed)
    assert here in refused("export", "--checkpoint", trained.model, *typed)


@pytest.mark.parametrize("word", ["mixed_precision", "channel_last"])
def test_a_precision_that_contradicts_the_yaml_is_an_error(trained: Any, refused: Any, word: str) -> None:
    assert f"--{word} True was typed, but {trained.config} says {word} False" in refused("train", *trained.train, f"--{word}")


@pytest.mark.parametrize("name", ["train", "export", "graph"])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--arch", "resnet", "--num_layers", "19"], "--num_layers: found 19, but resnet is built with 18, 34, 50, 101, 152 layers"),
        (["--arch", "dlav0", "--num_layers", "18"], "--num_layers: found 18, but dlav0 is built with 34 layers"),
        (["--arch", "resnt"], "--arch: 'resnt' is unknown; did you mean 'resnet'?"),
        (["--dataset", "voc"], "--dataset: 'voc' is unknown; known: coco, pascal"),
        ([], "which experiment? Give --train-config FILE.yaml, or --dataset and --arch (`centernet models` lists its names)"),
    ],
)
def test_a_network_that_is_not_built_is_an_error(refused: Any, name: str, typed: list[str], said: str) -> None:
    assert said in refused(name, *typed)
