"""Look at a part of the machine in a process of its own, so that a library that crashes or hangs takes nothing else with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 60.0
SOURCES = Path(__file__).resolve().parents[3]  # where the package is, installed or not
LONGEST = 300  # letters of an error


@dataclass(frozen=True)
class Answer:
    """What a probe said: the JSON object of its last line, or why there is none."""

    values: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def ask(program: Sequence[str], *, launcher: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Answer:
    """Run this Python with these arguments (`-c`, a text; or `-m`, a module) and read the JSON object it prints last.

    Args:
        launcher: what starts it: `mpirun` and its arguments.
        environment: of the process; default: this one's.
    """
    inherited = dict(os.environ if environment is None else environment)
    paths = [str(SOURCES), *filter(None, [inherited.get("PYTHONPATH")])]
    command = [*launcher, sys.executable, *program]
    try:
        ended = subprocess.run(
            command,
            env={**inherited, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(error=f"shows no sign of life after {SECONDS:.0f} seconds")
    except OSError as error:
        return Answer(error=f"{command[0]} cannot be started: {error.strerror or error}")
    out, err = (text.decode(errors="replace").strip().splitlines() for text in (ended.stdout, ended.stderr))
    if ended.returncode:
        return Answer(error=_reason(ended.returncode, err))
    try:
        return Answer(json.loads(out[-1]))
    except (IndexError, ValueError):
        return Answer(error="ends without an answer")


def _reason(code: int, lines: Sequence[str]) -> str:
    """The last line that Python or the launcher wrote, else the signal or code that ended it."""
    said = [line.strip(" *-=") for line in lines if line.strip(" *-=")]
    if code < 0:
        return f"crashes with signal {-code}" + (f" ({said[-1][:LONGEST]})" if said else "")
    errors = [line for line in said if "Error" in line or "error:" in line or "error occurred" in line] or said[-1:]
    return errors[-1][:LONGEST] if errors else f"ends with code {code}"
