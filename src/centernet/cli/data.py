"""`centernet data`: look at what a training is fed with."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from centernet.cli import parsing, values
from centernet.cli.actions import Actions, run_action
from centernet.cli.options import OPTIONS

SHOW = """Draw the samples a training begins with, as the network sees them, and the target heatmaps over them.

  centernet data show cfg/quickstart.yaml --data_dir data/shapes -o OUT

Writes OUT/samples_N.png with boxes and OUT/heatmap_N.png, as many sheets as the samples need."""

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


ACTIONS: Actions = {
    "show": (show, "draw augmented training samples, and their targets"),
}
