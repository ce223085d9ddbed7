"""`centernet graph` and `save_graph.py`: the structure of a network as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from centernet.cli import machine, parsing

DESCRIPTION = """Draw a network's functions and variables as SVG. Needs Graphviz (the program `dot`).

  centernet graph --arch dlav0 --num_layers 34"""


def main(typed: Sequence[str], *, program: str) -> int:
    """Draw and say where it is."""
    parser = parsing.make_parser("graph", DESCRIPTION, program=program)
    arguments = parsing.parse(parser, "graph", typed)
    given = vars(arguments)
    from centernet.experiment import family, graph, published
    from centernet.experiment.assembly import from_description
    from centernet.experiment.output import default_folder, output_folder

    chosen = parsing.choice(arguments)
    path: Path | None = given.get("checkpoint")
    description = published.describe(chosen) if path is None else machine.description_of(path, chosen)
    assembly = from_description(description, source=str(path or "command line"))
    with output_folder(given.get("output") or default_folder(description.experiment)) as folder:
        print(f"wrote {graph.draw(assembly, folder / f'{family.short_name(description.experiment)}_graph.svg')}")
    return 0
