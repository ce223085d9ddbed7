"""The progress bar of a long demo, on terminals of every kind."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

PROGRAM = """
from centernet.experiment.demo import _watched
for _ in _watched(range(3), 3, "image", True):
    pass
"""


def test_a_terminal_without_a_size_shows_the_bar() -> None:
    """As those that containers give; a fresh pseudo-terminal has 0 rows of 0 columns."""
    ours, its = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", PROGRAM], stderr=its, check=True)
        shown = os.read(ours, 10_000).decode()
    finally:
        os.close(its)
        os.close(ours)
    assert "demo:   0%" in shown
    assert "0/3" in shown
