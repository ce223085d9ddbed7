"""`python -m centernet` and the console command `centernet`."""

from __future__ import annotations

import sys

from centernet.cli import dispatch


def main() -> int:
    """Run the command that was typed and return its exit code."""
    return dispatch(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
