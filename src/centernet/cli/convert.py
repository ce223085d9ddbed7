"""`centernet convert` and `convert_parameter_format.py`: the layout and input channels of a parameter file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from centernet.cli import values
from centernet.cli.parsing import Parser

DESCRIPTION = """Change the layout of a parameter file, or its number of input channels. What is not asked for stays as it is.

  centernet convert IN.h5 OUT.h5 -m nhwc -4     for mixed precision on a GPU
  centernet convert IN.h5 OUT.h5 -m nchw -3     for a CPU"""


def main(typed: Sequence[str], *, program: str) -> int:
    """Convert and say what was done."""
    parser = Parser(prog=program, description=DESCRIPTION)
    parser.add_argument("source", type=Path, metavar="IN", help="parameter file to read")
    parser.add_argument("target", type=Path, metavar="OUT", help="parameter file (.h5) to write")
    parser.add_argument(
        "-m",
        "--memory_layout",
        "--memory-layout",
        type=values.one_of(("nchw", "nhwc")),
        metavar="{nchw,nhwc}",
        help="layout to write; default: the file's",
    )
    channels = parser.add_mutually_exclusive_group()
    channels.add_argument("-4", dest="channels", action="store_const", const=4, help="four input channels, the fourth of zeros")
    channels.add_argument("-3", dest="channels", action="store_const", const=3, help="three input channels")
    parser.add_argument("-a", "--affine-to-conv", dest="affine", action="store_true", help="affine classifier to 1x1 convolution")
    arguments = parser.parse_args(typed)

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
