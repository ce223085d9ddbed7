"""`centernet doctor`: what is installed, what the machine has, and what to do about the rest."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence

from centernet.cli import launch
from centernet.cli.parsing import Parser
from centernet.errors import CommunicationError

DESCRIPTION = """Look at Python, NNabla, the GPU and its libraries, MPI (two processes are started and talk), the runtimes, the optional
extras, cores, memory and disk: what was found, what is needed, and a command to paste where they differ.

  centernet doctor --json     the same for programs

Exit code 1 where something that is needed is broken, else 0."""


def main(typed: Sequence[str], *, program: str) -> int:
    """Print what was found; 1 if something needed is broken."""
    parser = Parser(prog=program, description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="as JSON")
    arguments = parser.parse_args(typed)

    try:
        from centernet.experiment import doctor
    except ImportError as error:  # NumPy, which nothing here works without
        cure = shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall", "numpy>=1.26,<2"])
        finding = {"name": "NumPy", "status": "broken", "found": str(error).splitlines()[0], "needed": ">=1.26,<2", "cure": cure}
        print(json.dumps({"ok": False, "findings": [finding]}, indent=1) if arguments.json else f"NumPy: {finding['found']}\n  {cure}")
        return 1
    try:
        launcher: list[str] | None = launch.mpirun(2)
    except CommunicationError:
        launcher = None
    findings = doctor.examine(launcher, launch.processes_environment())
    is_sound = not any(finding.status == "broken" for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": is_sound, "findings": [dataclasses.asdict(finding) for finding in findings]}, indent=1))
    else:
        print(doctor.text(findings))
    return 0 if is_sound else 1
