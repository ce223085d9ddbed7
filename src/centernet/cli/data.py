"""`centernet data`: from a folder to an experiment, what is wrong with it, and a look at what a training is fed with."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from centernet.cli import parsing, values
from centernet.cli.actions import Actions, run_action
from centernet.cli.data_check import check
from centernet.cli.options import OPTIONS
from centernet.cli.tables import lines_of
from centernet.errors import ConfigError

if TYPE_CHECKING:
    from centernet.experiment.data_init import Initialised

SHOW = """Draw the samples a training begins with, as the network sees them, and the target heatmaps over them.

  centernet data show cfg/quickstart.yaml --data_dir data/shapes -o OUT

Writes OUT/samples_N.png with boxes and OUT/heatmap_N.png, as many sheets as the samples need; a task with several heatmaps has
sheets of each, by its name."""

FORMATS = ("coco", "voc", "cvat", "yolo", "csv", "labelme")  # of `experiment.data_init`, which --help must not wait for

INIT = """Look at a folder of images and annotations, say what is in it, make the split, and write the YAML to train from.

  centernet data init DIR                       writes NAME.yaml, after the folder's name
  centernet data init DIR -o mine.yaml --val 0.1
  centernet train --train-config mine.yaml

Known are COCO-style JSON, Pascal VOC XML (devkits, labelImg, Roboflow), YOLO text files (Ultralytics, Darknet, CVAT), CSV with a
line an object, CVAT's XML and LabelMe's JSON. What is not read as it is gets converted: train.json and val.json below
DIR/centernet. The folder's own split is used where it has one; else every fifth image is held out, of every class its share,
always the same ones, and copies of an image never on both sides. Nothing is overwritten without --force."""

DEFAULT_SAMPLES = 12  # one sheet


def main(typed: Sequence[str], *, program: str) -> int:
    """Run the action that the first word names; without one, or with --help, say which there are."""
    return run_action(ACTIONS, typed, program=program)


def show(typed: Sequence[str], *, program: str) -> int:
    """Draw, and say what was drawn and what was not."""
    parser = parsing.Parser(prog=program, description=SHOW)
    parser.set_defaults(task=None)
    parser.add_argument("train_config", type=values.path, metavar="CONFIG", help="experiment as YAML")
    for option in OPTIONS:
        if option.dest in ("data_dir", "output", "set"):
            option.add_to(parser, "data")
    parser.add_argument("--samples", type=values.positive, default=DEFAULT_SAMPLES, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--epoch", type=values.from_zero, default=0, metavar="N", help="the epoch they begin (default: %(default)s)")
    arguments = parser.parse_args(typed)

    from centernet import config as configuration
    from centernet.experiment import choice
    from centernet.experiment.output import default_folder
    from centernet.experiment.show import show as draw

    experiment = choice.experiment(parsing.choice(arguments))
    folder = vars(arguments).get("output") or default_folder(configuration.to_tree(experiment))
    shown = draw(experiment, folder, num_samples=arguments.samples, epoch=arguments.epoch)
    for text in shown.skipped:
        print(f"skipped: {text}", file=sys.stderr)
    height, width = shown.input_size
    emptied = f"; {shown.num_emptied} lost all objects to a transform" if shown.num_emptied else ""
    print(f"the first {len(shown.names)} training samples of epoch {arguments.epoch}, input {height}x{width}{emptied}")
    print("\n".join(f"wrote {path}" for path in shown.files))
    return 0


def init(typed: Sequence[str], *, program: str) -> int:
    """Write an experiment for a folder, and say what was found in it."""
    parser = parsing.Parser(prog=program, description=INIT)
    parser.add_argument("folder", type=values.path, metavar="DIR", help="folder with images and annotations")
    parser.add_argument("-o", "--output", type=values.path, metavar="FILE", help="the YAML to write (default: the folder's name)")
    parser.add_argument("--format", choices=FORMATS, metavar="FORMAT", help=f"where there are several: {', '.join(FORMATS)}")
    parser.add_argument("--annotations", type=values.path, metavar="FILE", help="the annotation file, where there are several")
    parser.add_argument("--val", type=values.above_zero, metavar="SHARE", help="share of the images to hold out (default 0.2)")
    parser.add_argument("--resplit", action="store_true", help="make a split although the folder has one")
    parser.add_argument("--seed", type=values.from_zero, default=317, metavar="N", help="of the split (default: %(default)s)")
    parser.add_argument("--converted", type=values.path, metavar="FOLDER", help="where converted annotations go (default DIR/centernet)")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    arguments = parser.parse_args(typed)
    if arguments.val is not None and arguments.val >= 1:
        raise ConfigError(f"--val: expected a share between 0 and 1, found {arguments.val}")

    from centernet.experiment import data_init

    folder = arguments.folder
    output = arguments.output or Path(f"{folder.expanduser().resolve().name or 'data'}.yaml")
    made = data_init.init(
        data_init.Request(
            root=folder,
            output=output,
            converted=arguments.converted,
            kind=arguments.format,
            annotations=arguments.annotations,
            share=arguments.val,
            resplit=arguments.resplit,
            seed=arguments.seed,
            force=arguments.force,
        )
    )
    _tell(made, folder, data_init.FORMATS[made.kind])
    print(f"\nnext: centernet data check {shlex.quote(str(output))}\n      centernet train --train-config {shlex.quote(str(output))}")
    return 0


def _tell(made: Initialised, folder: Path, kind: str) -> None:
    print(f"{folder}: {kind}; {made.split}\n")
    rows = [("", "train", "val"), ("images", *map(str, made.num_images))]
    rows += [(name, str(first), str(second)) for name, (first, second) in made.counts.items()]
    print("\n".join([*lines_of(rows), ""]))
    print("\n".join([*(f"note: {note}" for note in made.notes), *(f"wrote {path}" for path in made.files)]))


ACTIONS: Actions = {
    "show": (show, "draw augmented training samples, and their targets"),
    "init": (init, "look at a folder of images and annotations, and write the YAML to train from"),
    "check": (check, "list what is wrong with a data set: files, boxes, classes, copies; in pictures too"),
}
