"""How long `--help` of every script takes: nothing heavy may be imported before it is needed.

python benchmarks/startup.py        claim: the slowest script's median of five is at most 0.5 s
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from report import ROOT, Claim, environment, finish, interleaved

ROUNDS = 5
AIM_SECONDS = 0.5
SUBCOMMANDS = ("train", "test", "demo", "export", "convert")


def commands() -> dict[str, list[str]]:
    """{what to call it: the command line} of all scripts and of the console command with each of its subcommands."""
    scripts = sorted((ROOT / "src").glob("*.py")) + sorted((ROOT / "src" / "tools").glob("*.py"))
    found = {str(path.relative_to(ROOT)): [sys.executable, str(path), "--help"] for path in scripts}
    console = str(Path(sys.executable).parent / "centernet")
    found["centernet"] = [console, "--help"]
    for word in SUBCOMMANDS:
        found[f"centernet {word}"] = [console, word, "--help"]
    return found


def seconds_of(command: list[str]) -> float:
    """One run; a script that cannot even help fails the benchmark."""
    start = perf_counter()
    subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - start


def main() -> int:
    measures: dict[str, Callable[[], float]] = {name: partial(seconds_of, command) for name, command in commands().items()}
    for measure in measures.values():
        measure()  # so that the disk is not what is measured
    medians = {name: median(values) for name, values in interleaved(measures, rounds=ROUNDS, unit="s", verbose=False).items()}
    for name, seconds in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{seconds:.3f} s  {name} --help")
    return finish(Claim("startup", max(medians.values()), AIM_SECONDS, "s", at_least=False))


if __name__ == "__main__":
    sys.exit(main())
