"""The family's option table: what every command accepts, what it means there, and what is said to have no effect."""

from __future__ import annotations

import logging
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from centernet.cli import options, parsing
from centernet.cli.options import OPTIONS
from centernet.errors import ConfigError
from centernet.experiment.choice import Choice, experiment

FAMILY = ("train", "test", "demo", "export", "graph")

# Every option of the predecessor with a value it takes, and the key it sets; "": it reaches the command under its name.
PREDECESSORS: dict[str, tuple[str | None, str, Any]] = {
    "--config_file": ("x.yaml", "", Path("x.yaml")),
    "--dataset": ("pascal", "", "pascal"),
    "--arch": ("dlav0", "", "dlav0"),
    "--num_layers": ("34", "", 34),
    "--head_conv": ("-1", "", -1),
    "--data_dir": ("data", "data.root", "data"),
    "--save_dir": ("out", "", Path("out")),
    "--extension_module": ("cpu", "", "cpu"),
    "--gpus": ("0,1", "", [0, 1]),
    "--seed": ("317", "train.seed", 317),
    "--val_intervals": ("5", "train.validate_every", 5),
    "--save_intervals": ("5", "train.save_every", 5),
    "--disable_val_calc_map": (None, "train.validate_ap", False),
    "--debug": ("0", "", 0),
    "--vis_thresh": ("0.2", "", {"": 0.2}),  # "": of every class that is not named
    "--debugger_theme": ("black", "", "black"),
    "--demo": ("images", "", "images"),  # a pattern or a camera is no path
    "--input_res": ("-1", "", -1),
    "--input_h": ("384", "", 384),
    "--input_w": ("384", "", 384),
    "--weight_decay": ("0.1", "train.solver.weight_decay", 0.1),
    "--mixed_precision": (None, "", True),
    "--channel_last": (None, "", True),
    "--trained_model_path": ("x.h5", "", Path("x.h5")),
    "--trained_model_dir": ("models", "", Path("models")),
    "--resume-from": ("5", "", "5"),
    "--test_scales": ("0.5,1", "test.scales", [0.5, 1.0]),
    "--K": ("50", "test.k", 50),
    "--fix_res": (None, "test.keep_resolution", False),
    "--keep_res": (None, "test.keep_resolution", True),
    "--not_rand_crop": (None, "data.augment.random_crop", False),
    "--shift": ("0.1", "data.augment.shift", 0.1),
    "--scale": ("0.4", "data.augment.scale", 0.4),
    "--flip": ("0.5", "data.augment.flip", 0.5),
    "--no_color_aug": (None, "data.augment.color", False),
    "--hm_weight": ("1", "task.heatmap_weight", 1.0),
    "--off_weight": ("1", "task.offset_weight", 1.0),
    "--wh_weight": ("0.1", "task.size_weight", 0.1),
    "--reg_offset": (None, "", True),
    "--metric": ("loss", "", "loss"),
    "--rotate": ("0", "data.augment.rotation_degrees", 0.0),
    "--train_monitor_interval": ("1", "", 1),
    "--eval_monitor_interval": ("1", "", 1),
}
IDLE_EVERYWHERE = ("--reg_offset", "--metric", "--train_monitor_interval", "--eval_monitor_interval")
OUR_NAMES = {
    "config_file": "train_config",
    "save_dir": "output",
    "trained_model_path": "checkpoint",
    "trained_model_dir": "checkpoint_dir",
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines told to the user."""
    lines: list[str] = []
    monkeypatch.setattr(parsing, "LOG", logging.Logger("test", logging.INFO))
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    parsing.LOG.addHandler(handler)
    return lines


def parse(command: str, *typed: str) -> Any:
    return parsing.parse(parsing.make_parser(command, "text", program=command), command, typed)


@pytest.mark.parametrize("flag", PREDECESSORS)
def test_every_option_of_the_predecessor_is_accepted_by_every_command(said: list[str], flag: str) -> None:
    value, key, meaning = PREDECESSORS[flag]
    for command in FAMILY:
        said.clear()
        arguments = parse(command, "ctdet", flag, *([] if value is None else [value]))
        option = next(option for option in OPTIONS if flag in option.flags)
        assert option.key == key
        assert vars(arguments)[option.dest] == meaning
        if key and flag not in ("--keep_res", "--fix_res"):
            assert parsing.choice(arguments).keys == {key: meaning}
        has_effect = command in option.commands
        assert said == ([] if has_effect else [f"{option.flags[0]}: no effect on '{command}'"])


@pytest.mark.parametrize("command", FAMILY)
def test_all_options_of_the_predecessor_can_be_typed_at_once(said: list[str], command: str) -> None:
    alone = {"--keep_res"}  # excludes --fix_res
    words = [word for flag, (value, *_) in PREDECESSORS.items() if flag not in alone for word in (flag, value) if word is not None]
    chosen = parsing.choice(parse(command, *words))
    assert chosen.yaml == Path("x.yaml")
    assert len(said) == 1
    assert all(flag in said[0] for flag in IDLE_EVERYWHERE)


@pytest.mark.parametrize("command", FAMILY)
def test_what_was_not_typed_is_not_there(said: list[str], command: str) -> None:
    assert vars(parse(command)) == {"words": [], "task": None}
    assert said == []


@pytest.mark.parametrize("command", FAMILY)
def test_the_task_word_is_optional_and_may_stand_anywhere(command: str) -> None:
    assert parse(command).task is None
    assert parse(command, "ctdet", "--arch", "resnet").task == "ctdet"
    assert parse(command, "--arch", "resnet", "ctdet").task == "ctdet"
    assert parse(command, "--head_conv", "-1", "ctdet", "--gpus", "-1").task == "ctdet"
    with pytest.raises(ConfigError, match="'ctdt' is not a task; did you mean 'ctdet'"):
        parse(command, "ctdt")


def test_only_export_takes_a_file_as_a_word() -> None:
    assert parse("export", "model.h5").words == ["model.h5"]
    with pytest.raises(ConfigError, match=r"'model\.h5' is not a task"):
        parse("demo", "model.h5")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (("ctdet", "triplet"), "one task was expected, found ctdet and triplet"),
        (("a.h5", "b.onnx"), r"one file was expected, found a\.h5 and b\.onnx"),
        (("a.h5", "--checkpoint", "b.h5"), r"one file was expected, found a\.h5 and b\.h5"),
    ],
)
def test_a_second_task_or_file_is_not_ignored(typed: tuple[str, ...], found: str) -> None:
    with pytest.raises(ConfigError, match=f"{found}; leave out all but one"):
        parse("export", *typed)


@pytest.mark.parametrize(
    "names", [("--train-config", "--config_file"), ("-o", "--output", "--save_dir"), ("--resume-from", "--resume_from")]
)
def test_other_names_mean_the_same(names: tuple[str, ...]) -> None:
    found = [vars(parse("train", name, "x")) for name in names]
    assert all(arguments == found[0] for arguments in found)


def test_options_are_never_guessed_from_their_beginning() -> None:
    with pytest.raises(ConfigError, match="--num_layer: no such option; did you mean '--num_layers'"):
        parse("train", "--num_layer", "18")


def test_an_error_names_the_option_as_it_was_typed() -> None:
    for name in ("--num_epochs", "--epochs"):
        with pytest.raises(
            ConfigError, match=rf"^{name}: expected a whole number above 0, found '0' \(`train --help` lists the options\)$"
        ):
            parse("train", name, "0")
        with pytest.raises(ConfigError, match=rf"^{name}: expected a whole number above 0, found '0'"):
            parse("train", f"{name}=0")
        with pytest.raises(ConfigError, match=rf"^{name}: expected one argument"):
            parse("train", name)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.key and option.constant is None], ids=lambda o: o.flags[0])
def test_a_value_that_an_option_takes_is_one_that_its_key_takes(option: options.Option) -> None:
    """So that an error names what was typed, not the key it would have been written to."""
    num_taken = 0
    for text in ("-1", "-0.1", "0", "0.5", "1", "1.5", "7", "181", "200", "nan", "inf", "-inf", "", "x", "0,1", "0.5,1", "2h"):
        try:
            value = option.parse(text)
        except ArgumentTypeError:
            continue
        num_taken += 1
        experiment(Choice(words={"arch": "resnet"}, keys={option.key: value}))
    assert num_taken


def test_help_lists_what_has_a_meaning_and_hides_the_rest() -> None:
    text = parsing.make_parser("demo", "text", program="demo").format_help()
    assert "--vis_thresh" in text
    assert "--lr" not in text
    assert "--metric" not in text


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        ([], None),
        (["--input_res", "-1"], None),
        (["--input_res", "256"], (256, 256)),
        (["--input_h", "128", "--input_w", "256"], (128, 256)),
        (["--input_res", "512", "--input_h", "128"], (128, 512)),
        (["--input_res", "512", "--input_h", "-1", "--input_w", "64"], (512, 64)),
    ],
)
def test_height_and_width_beat_the_square_resolution(typed: list[str], size: tuple[int, int] | None) -> None:
    assert parsing.choice(parse("train", *typed)).input_size == size


def test_half_an_input_size_is_an_error() -> None:
    with pytest.raises(ConfigError, match="give both"):
        parsing.choice(parse("train", "--input_w", "64"))


def test_a_choice_holds_the_words_the_keys_and_the_assignments() -> None:
    typed = "ctdet --dataset coco --arch resnet --num_layers 34 --head_conv 0 --mixed_precision --seed 1 --batch_size 2 --data_dir ~/d"
    chosen = parsing.choice(parse("train", *typed.split(), "--set", "train.epochs=3", "--set", "a.b=c"))
    assert chosen.task == "ctdet"
    assert chosen.words == {"dataset": "coco", "arch": "resnet", "num_layers": 34, "head_conv": 0, "mixed_precision": True}
    assert chosen.keys == {"data.root": "~/d", "train.seed": 1, "train.batch_size": 2}
    assert chosen.assignments == ["train.epochs=3", "a.b=c"]


def test_paths_may_begin_at_home() -> None:
    assert parse("train", "-o", "~/out").output == Path.home() / "out"


def test_every_flag_and_destination_is_declared_once() -> None:
    flags = [flag for option in OPTIONS for flag in option.flags]
    destinations = [option.dest for option in OPTIONS]
    assert len(set(flags)) == len(flags)
    assert len(set(destinations)) == len(destinations)
    assert {OUR_NAMES.get(flag[2:], flag[2:].replace("-", "_")) for flag in PREDECESSORS} <= set(destinations)
