"""What an examination finds: one thing, what is there, what is needed, and how to get from one to the other."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "absent", "warning", "broken"]
MARKS: dict[Status, str] = {"ok": "ok", "absent": "-", "warning": "warning", "broken": "BROKEN"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """status: `absent` is optional and not there; `warning` works, but not as well as it could; `broken` is needed and does not.

    cure: a line that can be pasted into a shell, or, where there is none, what to do; empty where all is well.
    """

    name: str
    status: Status
    found: str
    needed: str
    cure: str = ""


def pip_install(*requirements: str) -> str:
    """The command that installs them for this Python; nothing of how pip is configured here is in it."""
    return shlex.join([sys.executable, "-m", "pip", "install", *requirements])


def text(findings: Sequence[Finding]) -> str:
    """A table, then a cure for whatever is not as it should be, and a last line that says whether anything needed is broken."""
    table = [("", "", "found", "needed"), *((MARKS[f.status], f.name, f.found, f.needed) for f in findings)]
    widths = [max(len(row[column]) for row in table) for column in range(2)]
    wide = max(min(len(row[2]), 60) for row in table)
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{wide}}  {row[3]}".rstrip() for row in table]
    for finding in findings:
        if finding.cure:
            lines += ["", f"{finding.name}: {finding.found}", f"  {finding.cure}"]
    broken = [finding.name for finding in findings if finding.status == "broken"]
    return "\n".join([*lines, "", f"broken: {', '.join(broken)}" if broken else "everything that is needed works"])
