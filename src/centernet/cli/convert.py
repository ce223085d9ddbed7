"""`centernet convert` and `convert_parameter_format.py`: a PyTorch checkpoint as a parameter file; layout and input channels of one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from centernet.cli import values
from centernet.cli.options import OPTIONS, Option
from centernet.cli.parsing import Parser, choice
from centernet.errors import ConfigError

if TYPE_CHECKING:
    from centernet.experiment.choice import Choice

DESCRIPTION = """Turn a PyTorch checkpoint into a parameter file, or change the layout of a parameter file or its number of input channels.
What is not asked for stays as it is.

  centernet convert IN.pth OUT.h5               of the official system; also .safetensors; torchvision's become backbones
  centernet convert IN.h5 OUT.h5 -m nhwc -4     for mixed precision on a GPU
  centernet convert IN.h5 OUT.h5 -m nchw -3     for a CPU

PyTorch need not be installed, and nothing in a checkpoint is run. Its network is told by its keys; its classes are those of COCO or
Pascal VOC where it has as many. What does not fit is an error that lists all of it."""

HERE = frozenset({"convert"})
# Options of other commands that say which network and classes a checkpoint is of.
NETWORK = (
    "--train-config",
    "--data_dir",
    "--set",
    "--dataset",
    "--arch",
    "--num_layers",
    "--head_conv",
    "--input_res",
    "--input_h",
    "--input_w",
)
OWN = (
    Option(
        ("--classes",), "names of its classes, in their order, where neither --dataset nor --data_dir has them", HERE, parse=values.words
    ),
    Option(("--allow-partial", "--allow_partial"), "take what fits; the rest has initial values", HERE, constant=True),
    Option(("--keep-heads", "--keep_heads"), "also keep these heads of other tasks, by name, or all", HERE, parse=values.words),
    Option(("--report",), "write what became of every layer to this file, as JSON", HERE, parse=values.path),
)


def main(typed: Sequence[str], *, program: str) -> int:
    """Convert and say what was done."""
    arguments = _parser(program).parse_args(typed)
    arguments.task = None
    from centernet.weights.torch_import import is_checkpoint

    if is_checkpoint(arguments.source):
        print(_from_checkpoint(arguments))
        return 0
    idle = [option.flags[0] for option in _options() if option.dest in vars(arguments)]
    if idle:
        raise ConfigError(f"{', '.join(idle)}: for PyTorch checkpoints; {arguments.source} is none by its name")
    from centernet.weights.convert import convert_file

    print(
        convert_file(
            arguments.source,
            arguments.target,
            layout=arguments.memory_layout,
            channels=arguments.channels,
            affine=arguments.affine,
        )
    )
    return 0


def _parser(program: str) -> Parser:
    parser = Parser(prog=program, description=DESCRIPTION)
    parser.add_argument("source", type=values.path, metavar="IN", help="checkpoint or parameter file to read")
    parser.add_argument("target", type=values.path, metavar="OUT", help="parameter file (.h5) to write")
    parser.add_argument(
        "-m",
        "--memory_layout",
        "--memory-layout",
        type=values.one_of(("nchw", "nhwc")),
        metavar="{nchw,nhwc}",
        help="layout to write; default: the file's (NCHW)",
    )
    channels = parser.add_mutually_exclusive_group()
    channels.add_argument("-4", dest="channels", action="store_const", const=4, help="four input channels, the fourth of zeros")
    channels.add_argument("-3", dest="channels", action="store_const", const=3, help="three input channels")
    parser.add_argument("-a", "--affine-to-conv", dest="affine", action="store_true", help="affine classifier to 1x1 convolution")
    for option in _options():  # for checkpoints only
        option.add_to(parser, "convert")
    return parser


def _options() -> list[Option]:
    shared = [replace(option, commands=HERE) for option in OPTIONS if option.flags[0] in NETWORK]
    return [*shared, *OWN]


def _from_checkpoint(arguments: argparse.Namespace) -> str:
    from centernet.experiment.conversion import Wish, convert_checkpoint

    given = vars(arguments)
    if arguments.affine:
        raise ConfigError("--affine-to-conv: a checkpoint's classifier is left out, so there is nothing to turn")
    wish = Wish(
        layout=arguments.memory_layout or "nchw",
        channels=arguments.channels or 3,
        allow_partial="allow_partial" in given,
        keep_heads=given.get("keep_heads", ()),
        report=given.get("report"),
    )
    source: Path = arguments.source
    return convert_checkpoint(source, arguments.target, _choice(arguments), wish)


def _choice(arguments: argparse.Namespace) -> Choice:
    """What was typed, `--classes` as the names of the data set's classes."""
    chosen, classes = choice(arguments), vars(arguments).get("classes")
    if classes is None:
        return chosen
    if len(set(classes)) < len(classes):
        raise ConfigError("--classes: a name appears twice")
    return replace(chosen, keys={**chosen.keys, "data.dataset.classes": classes})
