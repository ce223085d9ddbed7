"""Every command-line option, once: its names, what it means, and the configuration key it sets.

The family's scripts share one long list of options, and people paste commands from one script to another. So each
command takes the whole list: options with a meaning there are in its `--help`, the others are accepted and said.
An option that was not typed is absent: only a typed one can override a file or contradict it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from centernet.cli import values

ALL = frozenset({"train", "test", "demo", "export", "graph", "data"})
TRAIN, TEST, DEMO = frozenset({"train"}), frozenset({"test"}), frozenset({"demo"})
INFERENCE = TEST | DEMO
RUNNING = TRAIN | INFERENCE  # the commands that compute


@dataclass(frozen=True)
class Option:
    """One option: `key` is the dotted configuration key it sets; without one it goes to the command as `dest`."""

    flags: tuple[str, ...]
    help: str
    commands: frozenset[str]
    key: str = ""
    parse: Callable[[str], Any] = str
    choices: tuple[Any, ...] = ()  # instead of `parse`
    constant: Any = None  # for options that take no value: what giving them means
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def dest(self) -> str:
        return next(flag for flag in self.flags if flag.startswith("--") or flag is self.flags[-1]).lstrip("-").replace("-", "_")

    def add_to(self, parser: argparse.ArgumentParser, command: str) -> None:
        arguments: dict[str, Any] = {"dest": self.dest, "default": argparse.SUPPRESS}
        arguments["help"] = self.help if command in self.commands else argparse.SUPPRESS
        if self.constant is not None:
            arguments |= {"action": "store_const", "const": self.constant}
        elif self.choices:
            arguments |= {"type": values.one_of(self.choices), "metavar": f"{{{','.join(map(str, self.choices))}}}"}
        else:
            arguments |= {"type": self.parse, "metavar": values.METAVARS.get(self.parse, "TEXT")}
        parser.add_argument(*self.flags, **(arguments | self.settings))


OPTIONS: tuple[Option, ...] = (
    # Where things are
    Option(("--train-config", "--config_file", "--config"), "experiment as YAML", ALL, parse=values.path),
    Option(("--data_dir", "--data-dir"), "root folder of the data set", ALL, "data.root"),
    Option(
        ("-o", "--output", "--save_dir", "--save-dir"),
        "output folder (made; default exp/TASK_DATASET_ARCH_LAYERS_TIME)",
        ALL,
        parse=values.path,
    ),
    Option(
        ("--checkpoint", "--trained_model_path", "--load_model"),
        "model file (.h5, .nnp, .onnx, .xml, .pth, .safetensors; train: start from it), or a name that `centernet weights list` knows",
        ALL,
        parse=values.model_file,
    ),
    Option(("--checkpoint_dir", "--trained_model_dir"), "test every params_*.h5 in this folder, in numeric order", TEST, parse=values.path),
    Option(("--resume-from", "--resume_from"), "go on from checkpoint N, or from the 'latest' in the output folder", TRAIN),
    Option(
        ("--set",),
        "set any configuration key, for example --set train.epochs=10",
        ALL,
        settings={"action": "append", "metavar": "KEY=VALUE"},
    ),
    # Which network
    Option(("--dataset",), "family of the data set: coco, pascal", ALL),
    Option(
        ("--arch",),
        "network: res_18, resdcn_101, dla_34, hourglass, ... (`centernet models` lists them), or resnet, dlav0 and --num_layers",
        ALL,
    ),
    Option(("--num_layers",), "depth of the backbone", ALL, parse=values.positive),
    Option(
        ("--head_conv",),
        "hidden channels of the heads; -1: 256 for DLA and hourglass, 64 for all others; 0: none",
        ALL,
        parse=values.from_minus_one,
    ),
    Option(("--mixed_precision",), "half precision, inputs padded to 4 channels", ALL, constant=True),
    Option(("--channel_last",), "NHWC layout", ALL, constant=True),
    Option(("--input_res", "--img_size"), "input height and width", ALL, parse=values.side),
    Option(("--input_h",), "input height", ALL, parse=values.side),
    Option(("--input_w",), "input width", ALL, parse=values.side),
    # Which machine
    Option(
        ("--extension_module",),
        "auto (default): cudnn where extension and GPU are there, else cpu",
        RUNNING,
        choices=("auto", "cpu", "cuda", "cudnn"),
    ),
    Option(("--gpus",), "GPUs to use, counted inside CUDA_VISIBLE_DEVICES; -1: none", RUNNING, parse=values.gpu_ids),
    Option(("--runtime",), "what runs the network on a CPU", INFERENCE, choices=("auto", "openvino", "nnabla", "onnxruntime")),
    Option(
        ("--precision",),
        "auto: float32 in test; bfloat16 in demo where the CPU has AMX",
        INFERENCE | frozenset({"export"}),
        choices=("auto", "float32", "bfloat16"),
    ),
    Option(
        ("--performance",),
        "latency: one image at a time; throughput: several at a time (default in test, and in demo for more than one image)",
        INFERENCE,
        choices=("latency", "throughput"),
    ),
    Option(
        ("--processes",),
        "train with N processes of this machine, as `mpirun -n N`, but Ctrl-C writes a checkpoint",
        TRAIN,
        parse=values.positive,
    ),
    # Training
    Option(("--allow-partial", "--allow_partial"), "take of --checkpoint what fits; the rest has initial values", TRAIN, constant=True),
    Option(("--seed",), "seed of initial values, order and augmentation", TRAIN, "train.seed", values.from_zero),
    Option(("--num_epochs", "--epochs"), "number of epochs", TRAIN, "train.epochs", values.positive),
    Option(
        ("--budget",),
        "a time such as 2h or 45m instead of epochs: measures a few steps, then chooses them",
        TRAIN,
        "train.budget",
        values.duration,
    ),
    Option(
        ("--batch_size",),
        "images per process (with --exp_id or --master_batch: of all); test, demo: images (or tiles) the network sees at once",
        RUNNING,
        "train.batch_size",
        values.positive,
    ),
    Option(("--lr", "--base_lr"), "learning rate", TRAIN, "train.schedule.base_lr", values.above_zero),
    Option(("--weight_decay",), "L2 weight decay", TRAIN, "train.solver.weight_decay", values.not_negative),
    Option(("--val_intervals", "--val_interval"), "validate every N epochs", TRAIN, "train.validate_every", values.positive),
    Option(("--save_intervals",), "keep parameters every N epochs", TRAIN, "train.save_every", values.positive),
    Option(("--disable_val_calc_map",), "validate the losses only, without AP", TRAIN, "train.validate_ap", constant=False),
    Option(("--not_rand_crop",), "shift and scale instead of random crops", TRAIN, "data.augment.random_crop", constant=False),
    Option(("--shift",), "shift of the crop, as a fraction of the image", TRAIN, "data.augment.shift", values.not_negative),
    Option(("--scale",), "scale range of the crop", TRAIN, "data.augment.scale", values.below_one),
    Option(("--flip",), "probability of a mirrored image", TRAIN, "data.augment.flip", values.share),
    Option(("--rotate",), "largest rotation, in degrees", TRAIN, "data.augment.rotation_degrees", values.degrees),
    Option(("--no_color_aug",), "no colour augmentation", TRAIN, "data.augment.color", constant=False),
    Option(("--hm_weight",), "weight of the heatmap loss", TRAIN, "task.heatmap_weight", values.not_negative),
    Option(("--off_weight",), "weight of the offset loss", TRAIN, "task.offset_weight", values.not_negative),
    Option(("--wh_weight",), "weight of the size loss", TRAIN, "task.size_weight", values.not_negative),
    # Test and demo
    Option(("--K",), "detections per image", RUNNING | frozenset({"export"}), "test.k", values.positive),
    Option(("--vis_thresh",), "lowest score shown (default 0.2), or one for each class: 0.3,person=0.5", DEMO, parse=values.thresholds),
    Option(("--classes",), "show only these classes, by name", DEMO, parse=values.words),
    Option(("--keep_res",), "the image's own resolution, padded to what the network takes", RUNNING, "test.keep_resolution", constant=True),
    Option(("--fix_res",), "resize to the fixed input size (the default)", RUNNING, "test.keep_resolution", constant=False),
    Option(("--test_scales",), "test at several image scales, for example 0.5,1,1.5", RUNNING, "test.scales", values.scales),
    Option(
        ("--flip_test", "--test_flip"),
        "also look at the mirror image, and merge what both say",
        RUNNING,
        "test.flip_test",
        constant=True,
    ),
    Option(("--nms",), "soft-NMS also at a single scale (always done with several)", RUNNING, "test.nms", constant=True),
    Option(
        ("--soft_nms_reference",),
        "soft-NMS as the official code does it, faults included",
        RUNNING,
        "test.soft_nms_reference",
        constant=True,
    ),
    Option(("--explain",), "also find out what the AP loses and why: explain.html and explain.json", TEST, constant=True),
    Option(
        ("--debug",),
        "0: JSON only; 1: boxes; 2: also the network's input and maps, heatmaps of classes it sees; 3 or 4: of all classes",
        DEMO,
        choices=(0, 1, 2, 3, 4),
    ),
    Option(("--debugger_theme",), "background of the heatmaps", DEMO, choices=("white", "black")),
    Option(("--demo",), "image, folder, 'PATTERN*.jpg', video file, webcam or webcam:N", DEMO),
    Option(("--tile",), "look at large images in tiles of N x N pixels", DEMO, parse=values.positive),
    Option(("--overlap",), "pixels that neighbouring tiles share (default an eighth of the tile)", DEMO, parse=values.from_zero),
    Option(("--track",), "number the objects of a video (extra 'track')", DEMO, constant=True),
    # Accepted for old command lines
    Option(("--reg_offset",), "accepted; giving it made the predecessor crash", frozenset(), constant=True),
    Option(("--metric",), "accepted; no effect in the predecessor either", frozenset()),
    Option(("--train_monitor_interval",), "accepted; no effect in the predecessor either", frozenset(), parse=values.whole),
    Option(("--eval_monitor_interval",), "accepted; no effect in the predecessor either", frozenset(), parse=values.whole),
)
