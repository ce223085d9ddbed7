"""Tables of words."""

from __future__ import annotations

from centernet.cli.tables import lines_of


def test_a_long_table_says_how_much_of_it_is_not_shown() -> None:
    rows = [("", "train"), *((f"class {number}", str(number)) for number in range(60))]
    lines = lines_of(rows, most=10)
    assert lines[1] == "class 0       0"
    assert lines[-1] == "... and 51 more"
    assert len(lines) == 11
