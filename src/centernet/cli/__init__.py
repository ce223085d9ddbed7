"""The command line: `centernet COMMAND ...` and the five scripts in `src/`, which are the same commands."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Sequence

import centernet
from centernet.errors import CenterNetError, did_you_mean

# Command → its module in this package, and what the overview says.
COMMANDS = {
    "train": ("train", "train a detector, also under mpirun"),
    "test": ("test", "measure a detector's average precision"),
    "demo": ("demo", "detect in images, folders or a video, and draw"),
    "export": ("export", "write a detector as .nnp, .onnx or for OpenVINO, and prove it"),
    "convert": ("convert", "turn a PyTorch checkpoint into a parameter file; change one's layout or input channels"),
    "data": ("data", "make an experiment of a folder, check a data set, draw what a training is fed with"),
    "weights": ("weights", "list and download the published parameter files"),
    "models": ("models", "list the networks: cost, weights, licence, published AP"),
    "graph": ("graph", "draw a network's structure as SVG"),
    "doctor": ("doctor", "look at what is installed and at the machine: found, needed, cure"),
    "quickstart": ("quickstart", "render data, train, test, draw and export, to see that all works"),
}


def run(command: str, arguments: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Run one command and return the exit code: 2 for what a user can mend, and one line to say what.

    Args:
        command: a key of `COMMANDS`.
        arguments: as typed after it; default: the process's.
        program: what help calls it; default `centernet COMMAND`.
    """
    _set_up_logging()
    typed = sys.argv[1:] if arguments is None else list(arguments)
    try:
        module = importlib.import_module(f"centernet.cli.{COMMANDS[command][0]}")
        code: int | None = module.main(typed, program=program or f"centernet {command}")
    except CenterNetError as error:
        _wait_for_turn()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _end_unread()
    return code or 0


def dispatch(typed: Sequence[str]) -> int:
    """`centernet COMMAND ...`; without a command, or with --help, say which there are."""
    if typed and typed[0] in COMMANDS:
        return run(typed[0], typed[1:])
    width = max(map(len, COMMANDS))
    overview = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())
    usage = f"usage: centernet COMMAND [options]\n\n{overview}\n\ncenternet COMMAND --help lists a command's options."
    if not typed or typed[0] in ("-h", "--help", "--version"):
        try:
            print(centernet.__version__ if typed and typed[0] == "--version" else usage)
        except BrokenPipeError:
            return _end_unread()
        return 0
    print(f"error: '{typed[0]}' is not a command{did_you_mean(typed[0], COMMANDS)}\n\n{usage}", file=sys.stderr)
    return 2


def _end_unread() -> int:
    """The reader of our output has seen enough, as `| head` does; Python must not try to write the rest either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _wait_for_turn() -> None:
    """Processes started together fail together: mpirun ends the others as soon as the first has said why."""
    from centernet.experiment import processes  # here: --help must not wait for it

    time.sleep(0.5 * min(processes.local_rank(), 4))


def _set_up_logging() -> None:
    """One plain line per message; NNabla's greeting is not worth one."""
    logging.getLogger("nnabla").addFilter(lambda record: record.levelno >= logging.WARNING)
    logger = logging.getLogger("centernet")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
