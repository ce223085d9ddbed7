"""What was typed: the words and options of one command, and the experiment they choose."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from centernet.cli import official
from centernet.cli.official import OFFICIAL
from centernet.cli.options import OPTIONS, Option
from centernet.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from centernet.experiment.choice import Choice

LOG = logging.getLogger(__name__)
EVERY = (*OPTIONS, *OFFICIAL)


class Parser(argparse.ArgumentParser):
    """An argument parser whose help keeps line breaks and whose options are never abbreviated."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)
        self._typed: set[str] = set()

    def parse_args(self, typed: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """What was typed, options and words in any order.

        Raises:
            ConfigError: an option there is not, a value missing or wrong.
        """
        self._typed = {word.partition("=")[0] for word in typed}
        arguments, rest = self.parse_known_intermixed_args(typed)
        unknown = next((word for word in rest if word.startswith("-")), None)
        if unknown is not None:
            flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
            near = get_close_matches(unknown.partition("=")[0], flags, n=1)
            self.error(f"{unknown}: no such option" + (f"; did you mean '{near[0]}'?" if near else ""))
        if rest:
            self.error(f"'{rest[0]}': one word too many")
        return arguments

    def error(self, message: str) -> NoReturn:
        """As all other errors: one line, exit code 2; of an option's names the one that was typed."""
        named = re.fullmatch(r"argument (\S+): (.*)", message, re.DOTALL)
        if named:
            names = named.group(1).split("/")
            message = f"{next((name for name in names if name in self._typed), names[0])}: {named.group(2)}"
        raise ConfigError(f"{message} (`{self.prog} --help` lists the options)")


def make_parser(command: str, description: str, *, program: str, extra: Sequence[Option] = ()) -> Parser:
    """The parser of one command: the task word, the family's options, and the command's own `extra` ones."""
    parser = Parser(prog=program, description=description)
    parser.add_argument("words", nargs="*", metavar="TASK", help="the task, for example ctdet (default: what file or configuration say)")
    own = {flag for option in extra for flag in option.flags}
    for option in (*extra, *EVERY):
        if option in extra or own.isdisjoint(option.flags):
            option.add_to(parser, command)
    return parser


def parse(parser: Parser, command: str, typed: Sequence[str]) -> argparse.Namespace:
    """The typed options; `task` is the task word or None. Options without a meaning for this command are named in one line.

    Raises:
        ConfigError: a word that is no task, several of them or several files, or an option that asks for what is not there.
        WeightsError: `--exp_id` or `--resume` mean a model that is not there.
    """
    arguments = parser.parse_args(typed)
    given = vars(arguments)
    official.check(given, command)
    idle = [option.flags[0] for option in EVERY if official.is_idle(option, given, command)]
    if idle:
        LOG.info("%s: no effect on '%s'", ", ".join(idle), command)
    from centernet.experiment.choice import task_names  # here: --help must not wait for what it imports

    known = task_names()
    tasks = [word for word in arguments.words if word in known or re.fullmatch(r"[\w.]+:\w+", word)]  # module:name is a task of one's own
    for word in arguments.words:
        is_file = command == "export" and bool(Path(word).suffix)  # the family's `centernet export FILE`
        if word not in tasks and not is_file:
            if command == "demo" and Path(word).is_file():
                raise ConfigError(f"--demo takes one image or pattern, found '{word}' too; put a pattern in quotes: --demo 'folder/*.jpg'")
            raise ConfigError(f"'{word}' is not a task{did_you_mean(word, known)}")
    files = [word for word in arguments.words if word not in tasks]
    if files and "checkpoint" in given:
        files.append(str(given["checkpoint"]))
    for what, words in (("task", tasks), ("file", files)):
        if len(words) > 1:
            raise ConfigError(f"one {what} was expected, found {' and '.join(words)}; leave out all but one")
    arguments.task = next(iter(tasks), None)
    official.settle(arguments, command)
    return arguments


def choice(arguments: argparse.Namespace) -> Choice:
    """Which experiment was typed.

    Raises:
        ConfigError: half an input size, or options that exclude each other.
    """
    from centernet.experiment.choice import FAMILY_WORDS, Choice

    given = vars(arguments)
    height, width = given.get("input_h", 0), given.get("input_w", 0)
    square = given.get("input_res", 0)
    height, width = (height if height > 0 else square), (width if width > 0 else square)
    if (height > 0) != (width > 0):
        raise ConfigError("--input_h and --input_w: give both, or --input_res for a square input")
    if "keep_res" in given and "fix_res" in given:
        raise ConfigError("--keep_res and --fix_res exclude each other")
    keys = {option.key: given[option.dest] for option in EVERY if option.key and option.dest in given}
    flags = {option.key: f"--{option.dest}" for option in EVERY if option.key in keys}
    keys |= official.loss_keys(given)
    flags |= dict.fromkeys(official.loss_keys(given), "--reg_loss")
    if "lr_step" in given:
        keys["train.schedule.kind"] = "step"
    if "batch_size" in given and official.counts_all_processes(given):
        keys["train.global_batch_size"] = keys.pop("train.batch_size")
    return Choice(
        task=arguments.task,
        yaml=given.get("train_config"),
        words={word: given[word] for word in FAMILY_WORDS if word in given},
        keys=keys,
        flags=flags,
        assignments=given.get("set", []),
        input_size=(height, width) if height > 0 else None,
    )
