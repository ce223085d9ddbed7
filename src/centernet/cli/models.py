"""`centernet models`: the networks that `--arch` can name."""

from __future__ import annotations

import json
from collections.abc import Sequence

from centernet.cli.parsing import Parser

DESCRIPTION = """List the networks that --arch can name: what they cost, whose weights fit them, and what was published of them.

  centernet models --json     everything, for programs"""


def main(typed: Sequence[str], *, program: str) -> int:
    """Print the table."""
    parser = Parser(prog=program, description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="all that is known of each, as JSON")
    arguments = parser.parse_args(typed)

    from centernet.experiment import model_table

    print(json.dumps(model_table.as_json(), indent=1) if arguments.json else model_table.text())
    return 0
