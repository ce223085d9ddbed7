"""The official system's commands: each of its options works, is said to do nothing, or is refused in prose."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from centernet.cli import official, parsing
from centernet.cli.official import OFFICIAL
from centernet.cli.options import OPTIONS
from centernet.errors import ConfigError, WeightsError
from centernet.experiment import choice

FAMILY = ("train", "test", "demo", "export", "graph")

# All options of the official system with the value that is its default or changes nothing.
OPTS = (
    "--dataset coco --exp_id default --debug 0 --demo x --gpus 0 --num_workers 4 --not_cuda_benchmark --seed 317 "
    "--print_iter 0 --hide_data_time --save_all --metric loss --vis_thresh 0.3 --debugger_theme white --arch dla_34 --head_conv -1 "
    "--down_ratio 4 --input_res -1 --input_h -1 --input_w -1 --lr 1.25e-4 --lr_step 90,120 --num_epochs 140 --batch_size 32 "
    "--master_batch_size -1 --num_iters -1 --val_intervals 5 --flip_test --test_scales 1 --nms --K 100 --not_prefetch_test --fix_res "
    "--not_rand_crop --shift 0.1 --scale 0.4 --rotate 0 --flip 0.5 --no_color_aug --aug_rot 0 --aug_ddd 0.5 --rect_mask "
    "--kitti_split 3dop --reg_loss l1 --hm_weight 1 --off_weight 1 --wh_weight 0.1 --hp_weight 1 --hm_hp_weight 1 --dep_weight 1 "
    "--dim_weight 1 --rot_weight 1 --peak_thresh 0.2 --agnostic_ex --scores_thresh 0.1 --center_thresh 0.1 --aggr_weight 0.0 "
    "--dense_hp --not_hm_hp --not_reg_hp_offset --not_reg_bbox --eval_oracle_kps --eval_oracle_hmhp --eval_oracle_hp_offset "
    "--eval_oracle_dep"
)
ISSUE = (
    "ctdet --arch resdcn_18 --batch_size 32 --master_batch 15 --lr 1.25e-4 --lr_step 90,120 --num_epochs 140 --num_workers 4 "
    "--exp_id X --gpus 0,1 --resume"
)

# Of the keypoint triplets' published code, its training's and its test's.
TRIPLETS = (
    "triplet --dist --log_name coco_hg_511_ddp --dataset coco --arch large_hourglass --lr 5e-4 --lr_step 90,120 --batch_size 48 "
    "--num_epochs 200 --num_workers 2 --img_size 511 --split_ratio 1.0 --val_interval 5"
)
TRIPLETS_TEST = (
    "triplet --log_name coco_hg_511_dp --dataset coco --arch small_hourglass --test_flip --test_scales 0.5,1 --topk 50 --w_exp 8"
)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines told to the user."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    for module in (parsing, official):
        logger = logging.Logger("test", logging.INFO)
        logger.addHandler(handler)
        monkeypatch.setattr(module, "LOG", logger)
    return lines


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.h5").touch()


def parse(command: str, typed: str) -> Any:
    return parsing.parse(parsing.make_parser(command, "text", program=command), command, typed.split())


@pytest.mark.parametrize("command", FAMILY)
def test_every_command_takes_all_options_that_change_nothing(said: list[str], command: str) -> None:
    arguments = parse(command, f"ctdet {OPTS} --checkpoint x.h5")
    parsing.choice(arguments)
    assert arguments.output == Path("exp/ctdet/default")
    (idle,) = [line for line in said if "no effect" in line]
    assert "--not_cuda_benchmark" in idle
    assert "--kitti_split" in idle
    assert "--down_ratio" not in idle


def test_the_commands_of_keypoint_triplets_mean_what_they_meant(said: list[str]) -> None:
    arguments = parse("train", TRIPLETS)
    assert arguments.output == Path("exp/triplet/coco_hg_511_ddp")
    config = choice.experiment(parsing.choice(arguments))
    assert (config.model.backbone.num_layers, config.data.input_size) == (104, (511, 511))
    assert (config.train.global_batch_size, config.train.epochs, config.train.validate_every) == (48, 200, 5)
    assert (config.train.schedule.base_lr, config.train.schedule.lr_steps) == (5e-4, (90, 120))
    assert any("--dist" in line and "no effect" in line for line in said)
    with pytest.raises(ConfigError, match=r"--split_ratio 0\.5"):
        parse("train", f"{TRIPLETS} --split_ratio 0.5")


def test_the_test_of_keypoint_triplets_takes_its_options(tmp_path: Path) -> None:
    (model := tmp_path / "exp/triplet/coco_hg_511_dp/model_last.pth").parent.mkdir(parents=True)
    model.touch()
    arguments = parse("test", TRIPLETS_TEST)
    assert arguments.checkpoint == model.relative_to(tmp_path)
    assert arguments.flip_test
    config = choice.experiment(parsing.choice(arguments))
    assert (config.model.backbone.num_layers, config.task.corners, config.task.corner_power) == (52, 50, 8)


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("triplet --arch small_hourglass --wh_weight 1 --cat_spec_wh", "--wh_weight, --cat_spec_wh"),
        ("triplet --arch small_hourglass --reg_loss sl1", "--reg_loss"),
        ("ctdet --arch res_18 --topk 3", "--topk"),
    ],
)
def test_options_of_another_task_are_named_as_they_were_typed(typed: str, named: str) -> None:
    found = parsing.choice(parse("train", f"{typed} --dataset coco"))
    with pytest.raises(ConfigError, match=rf"^{named}: of another task; '{typed.split()[0]}' has nothing like it"):
        choice.experiment(found)


def test_resuming_a_training_that_is_not_there_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"--resume: exp/ctdet/X holds no training to go on with; leave --resume out"):
        parse("train", ISSUE)
    assert not Path("exp").exists()


def test_the_official_training_command_is_understood(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "exp" / "ctdet" / "X" / "checkpoints").mkdir(parents=True)
    (tmp_path / "exp" / "ctdet" / "X" / "checkpoints" / "checkpoint_5.json").touch()
    arguments = parse("train", ISSUE)
    assert (arguments.output, arguments.resume_from, arguments.gpus) == (Path("exp/ctdet/X"), "latest", [0, 1])
    found = choice.experiment(parsing.choice(arguments))
    train = found.train
    assert (train.global_batch_size, train.batch_size, train.epochs) == (32, None, 140)
    assert (train.schedule.kind, train.schedule.base_lr, train.schedule.lr_steps) == ("step", 1.25e-4, (90, 120))
    assert found.data.workers == 4
    assert (found.model.head.hidden_channels, found.model.backbone.num_layers) == (64, 18)
    assert any(line.startswith("--batch_size 32: over all processes") and "--exp_id and --master_batch" in line for line in said)
    assert any("--master_batch: no effect on 'train'" in line for line in said)


def test_a_batch_size_without_an_official_option_is_that_of_each_process(said: list[str]) -> None:
    found = choice.experiment(parsing.choice(parse("train", "ctdet --arch dla_34 --batch_size 6")))
    assert (found.train.batch_size, found.train.global_batch_size) == (6, None)
    assert said == []


def test_a_typed_step_schedule_replaces_a_files_cosine() -> None:
    path = Path(__file__).resolve().parents[2] / "cfg" / "resnet_18_coco_fp.yaml"
    schedule = choice.experiment(parsing.choice(parse("train", f"--train-config {path} --lr_step 2,3"))).train.schedule
    assert (schedule.kind, schedule.lr_steps) == ("step", (2, 3))


@pytest.mark.parametrize("command", ["test", "demo"])
def test_resume_and_exp_id_mean_the_last_model_of_the_training(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "exp" / "ctdet" / "X"
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    for words in ("ctdet --exp_id X --resume", "ctdet --exp_id X"):
        with pytest.raises(WeightsError, match=r"exp/ctdet/X: no model in it"):
            parse(command, words)
    (folder / "model_last.pth").touch()
    assert parse(command, "ctdet --exp_id X --resume").checkpoint == Path("exp/ctdet/X/model_last.pth")
    for number in (5, 10, 9):
        (checkpoints / f"params_{number}.h5").touch()
    (checkpoints / "params_best.h5").touch()
    for words in ("ctdet --exp_id X --arch resdcn_18 --keep_res --resume", "ctdet --exp_id X", "--resume -o exp/ctdet/X"):
        assert parse(command, words).checkpoint == Path("exp/ctdet/X/checkpoints/params_10.h5")
    assert parse(command, "ctdet --exp_id X --checkpoint x.h5 --resume").checkpoint == Path("x.h5")


@pytest.mark.parametrize(
    ("command", "typed", "expected"),
    [
        ("train", "--resume", "--resume: which training"),
        ("test", "--resume", "--resume: of which training"),
        ("train", "ctdet --exp_id X -o out", r"--exp_id \(--log_name\) and -o"),
        ("train", "--exp_id X", "name the task"),
        ("train", "ctdet --exp_id ../X", r"--exp_id '../X': expected the name of a folder"),
        ("train", "ctdet --exp_id X --resume --resume-from 5", "give one of the two"),
        ("train", "ctdet --lr_step 90;120", "--lr_step: expected numbers of epochs with commas between"),
    ],
)
def test_a_mistake_is_named(command: str, typed: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse(command, typed)
    assert not Path("exp").exists()


@pytest.mark.parametrize(
    ("typed", "refusing"),
    [
        ("--num_iters 100", {"train"}),
        ("--test", {"train"}),
        ("--not_reg_offset", set(FAMILY)),
        ("--down_ratio 8", set(FAMILY)),
        ("--trainval", set(FAMILY)),
        ("--eval_oracle_hm", {"train", "test"}),
    ],
)
def test_what_would_train_or_measure_something_else_is_refused(typed: str, refusing: set[str]) -> None:
    for command in FAMILY:
        if command in refusing:
            with pytest.raises(ConfigError, match=rf"^{typed}: .*; leave it out"):
                parse(command, f"ctdet {typed}")
        else:
            parse(command, f"ctdet {typed}")


def test_all_that_is_refused_is_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("train", "ctdet --not_reg_offset --mse_loss --num_iters 9 --down_ratio 4 --trainval")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["--not_reg_offset", "--num_iters 9", "--trainval"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("--mse_loss", {"loss.heatmap": "mse"}),
        ("--norm_wh", {"loss.relative_size": True, "loss.boxes": "l1"}),
        ("--dense_wh", {"boxes.at": "heatmap"}),
        ("--cat_spec_wh", {"boxes.per_class": True}),
        ("--reg_loss sl1", {"loss.boxes": "smooth_l1", "loss.offset": "smooth_l1"}),
        ("--reg_loss sl1 --norm_wh", {"loss.boxes": "l1", "loss.relative_size": True, "loss.offset": "smooth_l1"}),
    ],
)
def test_the_official_losses_are_keys_of_the_task(typed: str, expected: dict[str, object]) -> None:
    task = choice.experiment(parsing.choice(parse("train", f"ctdet --arch res_18 {typed}"))).task
    for key, value in expected.items():
        section, name = key.split(".")
        assert getattr(getattr(task, section), name) == value


def test_official_losses_that_exclude_each_other_are_refused() -> None:
    typed = parsing.choice(parse("train", "ctdet --arch res_18 --dense_wh --cat_spec_wh"))
    with pytest.raises(ConfigError, match=r"task\.boxes\.per_class: is trained at the centres"):
        choice.experiment(typed)
    with pytest.raises(ConfigError, match=r"--reg_loss: expected l1 or sl1, found 'l2'"):
        parse("train", "ctdet --reg_loss l2")


def test_no_option_is_declared_twice() -> None:
    options = (*OPTIONS, *OFFICIAL)
    flags = [flag for option in options for flag in option.flags]
    assert len(set(flags)) == len(flags)
    assert len({option.dest for option in options}) == len(options)
