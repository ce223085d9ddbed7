"""Rows of words as the lines of a table."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 40  # lines


def lines_of(rows: Sequence[Sequence[str]], *, most: int = MOST) -> list[str]:
    """The first column to the left, the others to the right; of many rows the first, and how many more there are."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]) for row in rows
    ]
    return lines if len(lines) <= most else [*lines[:most], f"... and {len(lines) - most} more"]
