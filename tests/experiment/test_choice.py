"""Which experiment a command line means, and when it contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from centernet import config
from centernet.errors import ConfigError
from centernet.experiment.choice import TRAIN_DEFAULTS, Choice, check_agreement, experiment, from_description
from centernet.models import architectures

CFG = Path(__file__).resolve().parents[2] / "cfg"
FP, MP, QUICK = CFG / "resnet_18_coco_fp.yaml", CFG / "resnet_18_coco_mp.yaml", CFG / "quickstart.yaml"


def described(path: Path) -> dict[str, Any]:
    """What a model trained from a configuration says of it."""
    tree = config.to_tree(experiment(Choice(yaml=path)))
    return {section: tree[section] for section in ("task", "data", "model")}


def test_words_alone_make_the_published_experiment() -> None:
    typed = experiment(Choice(words={"arch": "resnet"}))
    assert typed == experiment(Choice(yaml=FP))
    assert experiment(Choice(words={"dataset": "pascal"})).train.epochs == TRAIN_DEFAULTS["pascal"]["epochs"]
    precise = {"arch": "resnet", "mixed_precision": True, "channel_last": True}
    assert experiment(Choice(words=precise)) == experiment(Choice(yaml=MP))


def test_nothing_typed_names_no_experiment() -> None:
    for choice in (Choice(), Choice(words={"num_layers": 34}), Choice(keys={"train.seed": 1})):
        with pytest.raises(ConfigError, match="which experiment"):
            experiment(choice)


@pytest.mark.parametrize(("typed", "hidden"), [(-1, 256), (0, 0), (32, 32)])
def test_head_conv_is_the_default_none_or_a_number(typed: int, hidden: int) -> None:
    assert experiment(Choice(words={"arch": "dlav0", "head_conv": typed})).model.head.hidden_channels == hidden


def test_head_conv_goes_with_a_file_of_the_predecessor_which_cannot_say_it(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("dataset: {dataset: coco}\nmodel: {arch: resnet, num_layers: 18}\ntrain: {batch_size: 2}\n")
    assert experiment(Choice(yaml=old, words={"head_conv": 32})).model.head.hidden_channels == 32
    with pytest.raises(ConfigError, match=r"--head_conv 32 was typed, but .* says head_conv 64"):
        experiment(Choice(yaml=FP, words={"head_conv": 32}))


def test_later_sources_win_file_then_options_then_set() -> None:
    choice = Choice(yaml=FP, keys={"train.seed": 1, "train.epochs": 2}, assignments=["train.epochs=3"], input_size=(64, 96))
    found = experiment(choice)
    assert (found.train.seed, found.train.epochs, found.train.batch_size) == (1, 3, 32)
    assert found.data.input_size == (64, 96)


def test_a_typed_batch_size_replaces_the_files_whichever_it_has() -> None:
    found = experiment(Choice(yaml=QUICK, keys={"train.batch_size": 3})).train
    assert (found.batch_size, found.global_batch_size) == (3, None)


def test_words_that_agree_with_the_file_are_fine_also_where_it_only_implies_them(tmp_path: Path) -> None:
    words = {"dataset": "coco", "arch": "resnet", "num_layers": 18, "head_conv": 64}
    assert experiment(Choice(yaml=FP, words=words)) == experiment(Choice(yaml=FP))
    tree = config.read_yaml(FP)
    tree["model"] |= {"backbone": {"name": "resnet"}, "head": {"name": "conv"}}
    config.write_yaml(tree, tmp_path / "short.yaml")
    assert experiment(Choice(yaml=tmp_path / "short.yaml", words=words)).model == experiment(Choice(yaml=FP)).model


@pytest.mark.parametrize(
    ("word", "value", "own"),
    [("dataset", "pascal", "coco"), ("arch", "dlav0", "resnet"), ("num_layers", 34, 18), ("mixed_precision", True, False)],
)
def test_a_word_that_contradicts_the_file_is_an_error(word: str, value: object, own: object) -> None:
    with pytest.raises(ConfigError, match=f"--{word} {value} was typed, but {FP} says {word} {own}"):
        experiment(Choice(yaml=FP, words={word: value}))


def test_every_contradiction_is_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        experiment(Choice(yaml=FP, words={"arch": "dlav0", "num_layers": 34, "channel_last": True}))
    assert len(str(caught.value).splitlines()) == 3


def test_a_task_word_that_is_not_the_files_is_an_error() -> None:
    assert experiment(Choice(yaml=FP, task="ctdet"))
    with pytest.raises(ConfigError, match=r"task 'triplet' was asked for, but .* is for task 'ctdet'"):
        experiment(Choice(yaml=FP, task="triplet"))
    with pytest.raises(ConfigError, match=r"but m\.h5 is for task 'ctdet'"):
        from_description(Choice(task="triplet"), described(FP), source="m.h5")


def test_a_model_files_own_experiment_takes_typed_keys_but_no_contradiction() -> None:
    own = described(FP)
    choice = Choice(words={"arch": "resnet", "mixed_precision": True}, keys={"data.root": "d", "test.k": 7}, assignments=["data.workers=0"])
    found = from_description(choice, own, source="m.h5")
    assert (found.data.root, found.data.workers, found.test.k) == ("d", 0, 7)
    assert own == described(FP)  # untouched
    with pytest.raises(ConfigError, match=r"--arch dlav0 was typed, but m\.h5 says arch resnet"):
        from_description(Choice(words={"arch": "dlav0"}), own, source="m.h5")


def test_reading_a_choice_leaves_the_presets_alone() -> None:
    before = experiment(Choice(words={"arch": "resnet"}))
    experiment(Choice(words={"arch": "resnet", "head_conv": 8}, keys={"train.schedule.base_lr": 1.0}, input_size=(64, 64)))
    assert experiment(Choice(words={"arch": "resnet"})) == before


def test_official_names_train_as_the_official_system_does_the_predecessors_as_that_one() -> None:
    official = experiment(Choice(words={"arch": "resdcn_18"})).train
    schedule = official.schedule
    assert (schedule.kind, schedule.base_lr, schedule.warmup_epochs, schedule.lr_steps) == ("step", 1.25e-4, 0, (90, 120))
    assert (official.epochs, official.batch_size) == (140, 32)
    assert experiment(Choice(words={"arch": "dla_34", "dataset": "pascal"})).train.schedule.lr_steps == (45, 60)
    for arch in ("resnet", "dlav0", "dlav0_34", "resnet_18"):
        assert experiment(Choice(words={"arch": arch})).train.schedule.kind == "cosine"


def test_a_whole_name_agrees_with_a_file_of_that_network_only() -> None:
    own = {**described(FP)}
    for arch in ("res_18", "resnet_18", "resnet", "res"):
        assert from_description(Choice(words={"arch": arch}), own, source="m.h5").model == experiment(Choice(yaml=FP)).model
    for arch in ("resdcn_18", "res_34", "dla_34"):
        with pytest.raises(ConfigError, match=rf"^--arch {arch} was typed, but m\.h5 says arch res_18; [^\n]*$"):
            from_description(Choice(words={"arch": arch}), own, source="m.h5")
    with pytest.raises(ConfigError, match="--arch: 'resnest' is unknown; did you mean 'resnet'"):
        from_description(Choice(words={"arch": "resnest"}), own, source="m.h5")


def test_a_training_from_a_model_file_takes_its_experiment_and_the_official_schedule() -> None:
    start = described(CFG / "dlav0_34_pascal_fp.yaml")
    found = experiment(Choice(start=start, keys={"train.seed": 7}, words={"mixed_precision": True}))
    tree = config.to_tree(found)
    assert {section: tree[section] for section in start} == start
    assert (found.train.epochs, found.train.seed, found.train.precision.compute) == (TRAIN_DEFAULTS["pascal"]["epochs"], 7, "half")
    assert (found.train.schedule.kind, found.train.schedule.base_lr) == ("step", 1.25e-4)
    elsewhere = config.to_tree(experiment(Choice(start=start, words={"dataset": "coco"})))
    assert elsewhere["model"] == start["model"]
    assert elsewhere["data"] == described(FP)["data"]
    with pytest.raises(ConfigError, match=r"--dataset: 'cocoo' is unknown; did you mean 'coco'"):
        experiment(Choice(start=start, words={"dataset": "cocoo"}))


@pytest.mark.parametrize(("arch", "num_layers"), [("small_hourglass", 52), ("large_hourglass", 104)])
def test_keypoint_triplets_by_name_are_trained_as_their_configuration_file_says(arch: str, num_layers: int) -> None:
    by_name = Choice(task="triplet", words={"arch": arch, "dataset": "coco"})
    own, by_file = experiment(by_name), experiment(Choice(yaml=CFG / f"hourglass_{num_layers}_coco_triplet.yaml"))
    assert (own.task, own.data, own.train) == (by_file.task, by_file.data, by_file.train)
    typed = experiment(replace(by_name, keys={"train.batch_size": 4}))
    assert (typed.train.batch_size, typed.train.global_batch_size) == (4, None)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ({"arch": "large_hourglass"}, "large_hourglass"),
        ({"arch": "hourglass"}, "large_hourglass"),
        ({"arch": "hourglass", "num_layers": 52}, "small_hourglass"),
        ({"arch": "dla_34"}, "dla_34"),
    ],
)
def test_a_network_under_a_task_with_heads_of_its_own_has_them(words: dict[str, Any], name: str) -> None:
    size = None if "hourglass" in name else (512, 512)
    tree = config.to_tree(experiment(Choice(task="triplet", words=words, input_size=size)))
    assert (tree["task"]["name"], tree["model"]["head"]["name"]) == ("triplet", "triplet")
    assert tree["data"]["input_size"] == list(size or (511, 511))
    assert architectures.find(tree["model"]) is architectures.get(name)
    told = {section: tree[section] for section in ("task", "data", "model")}
    for typed in (words, {"arch": name}):
        check_agreement(Choice(words=typed), told, "model.h5")
    with pytest.raises(ConfigError, match=r"--arch res_18 was typed, but model\.h5 says arch " + name):
        check_agreement(Choice(words={"arch": "res_18"}), told, "model.h5")


def test_a_network_with_a_tasks_own_heads_is_not_one_without_them() -> None:
    told = config.to_tree(experiment(Choice(words={"arch": "hourglass_104"})))
    with pytest.raises(ConfigError, match=r"--arch large_hourglass was typed, but model\.h5 says arch hourglass_104"):
        check_agreement(Choice(words={"arch": "large_hourglass"}), told, "model.h5")
