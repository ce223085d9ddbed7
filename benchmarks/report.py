"""What all benchmarks share: interleaved rounds, the machine's load, and the JSON line that a claim ends with."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Claim:
    """A number the README claims: `value` must be at least, or at most, `aim`; NaN where it could not be measured."""

    name: str
    value: float
    aim: float
    unit: str
    at_least: bool

    @property
    def ok(self) -> bool:
        """Whether the claim holds; NaN never does."""
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    def line(self) -> str:
        """The claim as one line of JSON."""
        value = None if math.isnan(self.value) else round(self.value, 4)
        return json.dumps({"name": self.name, "value": value, "aim": self.aim, "ok": self.ok, "unit": self.unit})


def finish(*claims: Claim) -> int:
    """Print the load and a line per claim, last of all; the exit code: 0 if all hold, else 1."""
    print_load()
    for claim in claims:
        print(claim.line(), flush=True)
    return int(not all(claim.ok for claim in claims))


def print_load() -> None:
    """Other work on the machine makes every number here worse; say how much there is."""
    average = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"load average {average} (1, 5, 15 minutes) on {len(os.sched_getaffinity(0))} cores", flush=True)


def interleaved(measures: Mapping[str, Callable[[], float]], *, rounds: int, unit: str, verbose: bool = True) -> dict[str, list[float]]:
    """Call every measure once a round, one after the other, so that a busy minute of the machine meets all of them.

    Args:
        verbose: print what each round measured.

    Returns:
        {name of the measure: its value in each round}.
    """
    values: dict[str, list[float]] = {name: [] for name in measures}
    print_load()
    for number in range(1, rounds + 1):
        for name, measure in measures.items():
            values[name].append(measure())
        if not verbose:
            continue
        shown = ", ".join(f"{name} {of_measure[-1]:.4g} {unit}" for name, of_measure in values.items())
        print(f"round {number} of {rounds}: {shown}", flush=True)
    return values


def environment() -> dict[str, str]:
    """The environment for processes a benchmark starts: this Python's programs first, mpirun also as root."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
