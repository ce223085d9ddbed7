"""Options of the official systems that the predecessor does not have: what they mean here, and which would mean something else.

Its commands work as they are: `--exp_id X` names the folder `exp/TASK/X`, `--resume` goes on with what is in it, and `--batch_size`
is that of all processes together. An option that changes what is trained or measured, and is not there, is refused.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from centernet.cli import values
from centernet.cli.options import ALL, INFERENCE, RUNNING, TEST, TRAIN, Option
from centernet.errors import ConfigError, WeightsError

LOG = logging.getLogger(__name__)
NONE: frozenset[str] = frozenset()
IDLE = "accepted; of the official system, without a meaning here"
OTHER_TASK = "accepted; of another task of the official system"

OFFICIAL: tuple[Option, ...] = (
    Option(("--exp_id", "--log_name"), "output folder exp/TASK/NAME; test, demo: its last model", ALL),
    Option(("--resume",), "go on with the training in the output folder; test, demo: its last model", TRAIN | INFERENCE, constant=True),
    Option(("--num_workers",), "processes that prepare batches", TRAIN, "data.workers", values.from_zero),
    Option(("--lr_step",), "epochs after which the learning rate falls to a tenth", TRAIN, "train.schedule.lr_steps", values.epochs),
    Option(
        ("--master_batch", "--master_batch_size"), "accepted: every process takes as many; --batch_size then counts all", NONE, parse=int
    ),
    *(
        Option((flag,), IDLE, NONE, constant=True)
        for flag in ("--not_cuda_benchmark", "--hide_data_time", "--save_all", "--not_prefetch_test")
    ),
    Option(("--print_iter",), IDLE, NONE, parse=values.whole),
    # Losses
    Option(("--mse_loss",), "squared errors of the heatmap instead of the focal loss", TRAIN, "task.loss.heatmap", constant="mse"),
    Option(("--reg_loss",), "loss of sizes and offsets: L1 or smooth L1", TRAIN, choices=("l1", "sl1")),
    Option(("--norm_wh",), "errors of sizes as parts of the true size", TRAIN, "task.loss.relative_size", constant=True),
    Option(("--dense_wh",), "sizes trained wherever the heatmap is not 0", TRAIN, "task.boxes.at", constant="heatmap"),
    Option(("--cat_spec_wh",), "a size of its own for each class", ALL, "task.boxes.per_class", constant=True),
    # Refused but for the values that mean what happens here
    *(Option((flag,), "refused: see centernet.cli.official", NONE, constant=True) for flag in ("--not_reg_offset", "--trainval", "--test")),
    *(Option((f"--eval_oracle_{head}",), IDLE, NONE, constant=True) for head in ("hm", "wh", "offset", "kps", "hmhp", "hp_offset", "dep")),
    Option(("--down_ratio",), "refused unless 4", NONE, parse=values.whole),
    Option(("--num_iters",), "refused unless -1", NONE, parse=values.whole),
    # Of its other tasks
    *(
        Option((flag,), OTHER_TASK, NONE, constant=True)
        for flag in ("--rect_mask", "--agnostic_ex", "--dense_hp", "--not_hm_hp", "--not_reg_hp_offset", "--not_reg_bbox")
    ),
    *(
        Option((f"--{name}",), OTHER_TASK, NONE, parse=float)
        for name in (
            *("aug_rot", "aug_ddd", "hp_weight", "hm_hp_weight", "dep_weight", "dim_weight", "rot_weight"),
            *("peak_thresh", "scores_thresh", "center_thresh", "aggr_weight"),
        )
    ),
    Option(("--kitti_split",), OTHER_TASK, NONE),
    # Of the keypoint triplets' code
    Option(("--dist",), "accepted: --processes N or mpirun start several processes", NONE, constant=True),
    Option(("--local_rank",), "accepted: mpirun counts the processes", NONE, parse=values.whole),
    Option(("--topk",), "best cells of each heatmap that are looked at", RUNNING, "task.corners", values.positive),
    Option(("--ae_threshold",), "largest distance of a pair's embeddings", RUNNING, "task.ae_threshold", values.above_zero),
    Option(("--nms_threshold",), "overlap from which linear or hard NMS acts", RUNNING, "task.soft_nms.overlap", values.share),
    Option(("--w_exp",), "how much of overlapping boxes' corners is taken", RUNNING, "task.corner_power", values.above_zero),
    Option(("--split_ratio",), "refused unless 1", NONE, parse=float),
)
ONLY_THERE = ("exp_id", "master_batch")  # who types them means the official system's `--batch_size`

# Option -> the commands in which it would change the result, the value that changes nothing, and what it asks for.
REFUSED: Mapping[str, tuple[frozenset[str], object, str]] = {
    "not_reg_offset": (ALL, None, "the network always has the offset head; --off_weight 0 trains it with nothing"),
    "down_ratio": (ALL, 4, "the stride is that of the network, 4 (--down_ratio 4)"),
    "num_iters": (TRAIN, -1, "an epoch is the whole training set (--num_iters -1); --num_epochs N says how many"),
    "trainval": (ALL, None, "training uses the training split, testing the validation split; name other files in data.dataset"),
    "split_ratio": (ALL, 1.0, "all of the training set is trained on (--split_ratio 1)"),
    "test": (TRAIN, None, "main.py trains; `test.py ctdet --exp_id NAME --resume` measures"),
    **{
        f"eval_oracle_{head}": (TRAIN | TEST, None, "the network's own outputs are measured, not the ground truth in their place")
        for head in ("hm", "wh", "offset")
    },
}


def check(given: Mapping[str, Any], command: str) -> None:
    """ConfigError where an option asks for what would train or measure something else than is done here; all of them are named."""
    wrong = []
    for name, (commands, harmless, reason) in REFUSED.items():
        if name in given and command in commands and (harmless is None or given[name] != harmless):
            typed = f"--{name}" if given[name] is True else f"--{name} {given[name]}"
            wrong.append(f"{typed}: {reason}; leave it out")
    if wrong:
        raise ConfigError("\n".join(wrong))


def is_idle(option: Option, given: Mapping[str, Any], command: str) -> bool:
    """Whether a typed option does nothing in this command; of one that is refused for other values, the value says that already."""
    return option.dest in given and command not in option.commands and option.dest not in REFUSED


def loss_keys(given: Mapping[str, Any]) -> dict[str, str]:
    """What `--reg_loss` sets: the loss of sizes, where no other option there names one, and of offsets."""
    if "reg_loss" not in given:
        return {}
    loss = {"l1": "l1", "sl1": "smooth_l1"}[given["reg_loss"]]
    of_sizes = {} if given.keys() & {"norm_wh", "dense_wh", "cat_spec_wh"} else {"task.loss.boxes": loss}
    return {**of_sizes, "task.loss.offset": loss}


def counts_all_processes(given: Mapping[str, Any]) -> bool:
    """Whether `--batch_size` is the sum over all processes, as in the official system."""
    return any(name in given for name in ONLY_THERE)


def settle(arguments: argparse.Namespace, command: str) -> None:
    """Turn `--exp_id` and `--resume` into the output folder and the model they mean.

    Raises:
        ConfigError: they contradict other options, or say too little. WeightsError: the folder has no model.
    """
    given = vars(arguments)
    if "exp_id" in given:
        if "output" in given:
            raise ConfigError("--exp_id (--log_name) and -o (--output, --save_dir) both name the output folder; give one of them")
        arguments.output = folder_of(given["exp_id"], given["task"])
    if command == "train":
        _settle_training(arguments)
    elif command in INFERENCE and ("exp_id" in given or "resume" in given) and not given.keys() & {"checkpoint", "checkpoint_dir"}:
        if "output" not in given:
            raise ConfigError("--resume: of which training? Give --exp_id NAME or -o FOLDER, or the model: --checkpoint FILE")
        arguments.checkpoint = last_model(given["output"])


def training_of(arguments: argparse.Namespace) -> Path | None:
    """The output folder of the training that `--exp_id` or `--resume` mean; None where neither was typed."""
    given = vars(arguments)
    return given.get("output") if "exp_id" in given or "resume" in given else None


def folder_of(exp_id: str, task: str | None) -> Path:
    """`exp/TASK/NAME`; ConfigError where the name is no folder's, or the task was not typed."""
    if task is None:
        raise ConfigError(f"--exp_id {exp_id}: the folder is exp/TASK/{exp_id}; name the task, as in `main.py ctdet --exp_id {exp_id}`")
    if exp_id in ("", ".", "..") or Path(exp_id).name != exp_id:
        raise ConfigError(f"--exp_id '{exp_id}': expected the name of a folder below exp/{task}; -o names any folder")
    return Path("exp") / task / exp_id


def last_model(folder: Path) -> Path:
    """The newest parameters of a training: its last numbered ones, else its best, else those of the official system itself.

    Raises:
        WeightsError: there are none.
    """
    numbered = [
        (int(match[1]), path) for path in folder.glob("checkpoints/params_*.h5") if (match := re.fullmatch(r"params_(\d+)", path.stem))
    ]
    if numbered:
        return max(numbered)[1]
    others = [folder / name for name in ("checkpoints/params_best.h5", "model_last.pth", "model_best.pth")]
    found = next((path for path in others if path.is_file()), None)
    if found is None:
        raise WeightsError(f"{folder}: no model in it (checkpoints/params_*.h5 or model_last.pth); name one: --checkpoint FILE")
    return found


def _settle_training(arguments: argparse.Namespace) -> None:
    given = vars(arguments)
    if "resume" in given:
        if "resume_from" in given:
            raise ConfigError("--resume is --resume-from latest; give one of the two")
        if "output" not in given:
            raise ConfigError("--resume: which training? Give --exp_id NAME or -o FOLDER")
        if not any(given["output"].glob("checkpoints/*checkpoint_*.json")):  # also one that a killed process was putting in place
            raise WeightsError(f"--resume: {given['output']} holds no training to go on with; leave --resume out to begin one")
        arguments.resume_from = "latest"
    if "batch_size" in given and counts_all_processes(given):
        typed = " and ".join(f"--{name}" for name in ONLY_THERE if name in given)
        LOG.info(
            "--batch_size %d: over all processes, each taking an equal share, as in the official system (%s was typed)",
            given["batch_size"],
            typed,
        )
