"""`centernet weights`: the parameter files that the predecessor published."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from centernet.cli import values
from centernet.cli.actions import Actions, run_action
from centernet.cli.parsing import Parser

LIST = "List the published files: which are here, and where."
GET = """Download published files, and check them against what they were the first time.

  centernet weights get resnet18_nchw_imagenet    to weights/backbone, where a training looks for it
  centernet weights get resnet_18_coco_fp         to weights/ctdet, for demo, test, export and train --checkpoint

A download that was cut goes on where it ended. Proxies are those of the environment (https_proxy, no_proxy)."""


def main(typed: Sequence[str], *, program: str) -> int:
    """List or get."""
    return run_action(ACTIONS, typed, program=program)


def show_list(typed: Sequence[str], *, program: str) -> int:
    """One line for each file."""
    arguments = _parser(program, LIST).parse_args(typed)

    from centernet.data.memory import size_text
    from centernet.weights import published
    from centernet.weights.download import size_of_part

    folder = arguments.folder or published.FOLDER
    rows = [("NAME", "WHAT", "SIZE", "HERE", "PATH")]
    for file in published.PUBLISHED.values():
        path = folder / file.path
        part = size_of_part(path)
        size = path.stat().st_size if path.is_file() else None
        here = "yes" if size is not None else "no" if part is None else f"{size_text(part)} of it"
        rows.append((file.name, file.about, "-" if size is None else size_text(size), here, str(path)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def get(typed: Sequence[str], *, program: str) -> int:
    """Download one after the other; an error ends it, and what was got before stays."""
    parser = _parser(program, GET)
    parser.add_argument("names", nargs="+", metavar="NAME", help="a published file, see `centernet weights list`")
    parser.add_argument("--url", metavar="URL", help="of a mirror (default: $CENTERNET_WEIGHTS_URL, else the publisher's)")
    arguments = parser.parse_args(typed)

    from tqdm import tqdm

    from centernet.weights import published

    folder = arguments.folder or published.FOLDER
    for file in [published.named(name) for name in arguments.names]:  # all names are right before anything is downloaded
        with tqdm(desc=file.name, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False) as bar:

            def progress(done: int, total: int | None, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            path, is_new = published.get(file.name, folder=folder, address=arguments.url, progress=progress)
        said = f"wrote {path}" if is_new else f"{path}: is here already, and as it was"
        print(f"{said}; say what it is in use: {file.options}" if file.options else said)
    return 0


def _parser(program: str, description: str) -> Parser:
    parser = Parser(prog=program, description=description)
    parser.add_argument("--folder", type=values.path, metavar="DIR", help="where the files lie (default: weights)")
    return parser


ACTIONS: Actions = {
    "list": (show_list, "what there is, and what of it is here"),
    "get": (get, "download files by name"),
}
