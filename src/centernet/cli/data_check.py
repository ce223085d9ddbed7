"""`centernet data check`: what is wrong with a data set, as a table, as JSON and in pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from centernet.cli import parsing, values
from centernet.cli.options import OPTIONS
from centernet.cli.tables import lines_of

if TYPE_CHECKING:
    from centernet.experiment.data_check import Checked, Problem

CHECK = """List what is wrong with the data set of an experiment, in both splits: images that are missing, broken, blank, copies of each
other or of another size than annotated; boxes that are empty, outside, drawn twice, too small for this input or too many for
the targets; centres that fall together at this stride; classes without enough objects.

  centernet data check cfg/resnet_18_pascal_fp.yaml --data_dir VOCdevkit -o OUT

With -o also writes OUT/check.json and OUT/offenders_N.png. Exit code 1 where training would suffer, else 0."""

REFRESH = 0.5  # seconds between two looks of the progress bar


def check(typed: Sequence[str], *, program: str) -> int:
    """Print the problems; 1 if one of them is an error."""
    parser = parsing.Parser(prog=program, description=CHECK)
    parser.set_defaults(task=None)
    parser.add_argument("train_config", type=values.path, metavar="CONFIG", help="experiment as YAML")
    for option in OPTIONS:
        if option.dest in ("data_dir", "set"):
            option.add_to(parser, "data")
    parser.add_argument("-o", "--output", type=values.path, metavar="FOLDER", help="write check.json and pictures of the offenders there")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--decode",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="decode all pixels, to find damage inside of files (default: up to 1000 images)",
    )
    arguments = parser.parse_args(typed)

    from centernet.experiment import choice, data_check
    from centernet.experiment.output import output_folder
    from centernet.experiment.report import write_json

    experiment, folder, written = choice.experiment(parsing.choice(arguments)), arguments.output, []
    with output_folder(folder) if folder is not None else nullcontext():
        checked = data_check.check(experiment, decode=arguments.decode, track=_with_progress)
        if folder is not None:
            written = [write_json(folder / "check.json", checked.to_tree())]
            written += data_check.draw_offenders(checked.problems, checked.datasets, folder)
    print(json.dumps(checked.to_tree(), indent=1) if arguments.json else text(checked))
    for path in written:
        print(f"wrote {path}", file=sys.stderr if arguments.json else sys.stdout)
    return 0 if checked.is_sound else 1


def text(checked: Checked) -> str:
    """The summary, the classes, the problems, and a last line with the verdict."""
    height, width = checked.input_size
    sizes = ", ".join(
        f"{number} images, {checked.num_objects[split]} objects to {_DOING[split]}" for split, number in checked.num_images.items()
    )
    lines = [sizes if checked.is_decoded else f"{sizes}; pixels were not decoded (--decode)"]
    if checked.box_sides:
        low, middle, high = (f"{value:.0f}" for value in checked.box_sides)
        where = f"boxes in the {height}x{width} input"
        lines.append(f"{where}: {middle} pixels, eight in ten between {low} and {high}; a cell is {checked.stride} pixels")
    rows = [("class", *checked.num_images), *((name, *map(str, counts.values())) for name, counts in checked.counts.items())]
    lines += ["", *lines_of(rows)]
    for problem in checked.problems:
        lines += ["", *_told(problem)]
    errors = sum(problem.severity == "error" for problem in checked.problems)
    warnings = len(checked.problems) - errors
    counted = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    verdict = f"{counted}: training would suffer" if errors else f"{counted}: training can begin" if warnings else "nothing is wrong"
    return "\n".join([*lines, "", verdict])


_DOING = {"train": "train", "val": "validate"}


def _told(problem: Problem) -> Iterator[str]:
    share = f" ({problem.count / problem.total:.1%})" if problem.total and problem.what != "files" else ""
    number = f"{problem.count} of {problem.total} {problem.what}{share}: " if problem.what != "files" else ""
    yield f"{problem.severity.upper():<8}{problem.split:<6}{problem.code}: {number}{problem.text}"
    yield from (f"          {example}" for example in problem.examples)
    if problem.count > len(problem.examples) > 0:
        yield f"          ... {problem.count - len(problem.examples)} more"
    yield f"          cure: {problem.cure}"


def _with_progress(images: Iterable[Any]) -> Iterable[Any]:
    """A bar on a terminal; nothing in a log."""
    from tqdm import tqdm

    return tqdm(images, desc="images", unit="", disable=not sys.stderr.isatty(), mininterval=REFRESH, leave=False)
