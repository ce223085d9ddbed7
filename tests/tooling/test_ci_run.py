""".ci/run fails below the AP50 it names and ends with pytest's own summary."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = "12 passed, 3 skipped in 4.56s"


def ci_run(folder: Path, *, ap50: float, tests_pass: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a copy of .ci/run beside a `make` that only pretends."""
    results = folder / "exp" / "quickstart" / "results.json"
    (folder / "results.json").write_text(json.dumps({"AP": ap50 / 2, "AP50": ap50, "seconds": 123.4, "files": []}))
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    make = folder / "bin" / "make"
    make.parent.mkdir()
    make.write_text(
        f"""#!/bin/sh
if [ "$1" = test ]; then echo "{SUMMARY}"; exit {int(not tests_pass)}; fi
mkdir -p "{results.parent}"; cp "{folder}/results.json" "{results}"; echo "made $1"
"""
    )
    make.chmod(0o755)
    return subprocess.run(
        [folder / ".ci" / "run"], env={"PATH": f"{make.parent}:/usr/bin:/bin"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_it_passes_at_the_least_ap50_and_ends_with_the_summary(tmp_path: Path) -> None:
    result = ci_run(tmp_path, ap50=0.80)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == SUMMARY
    assert "made quickstart" in result.stdout


@pytest.mark.parametrize("ap50", [0.799, float("nan")])
def test_it_fails_below_the_least_ap50(tmp_path: Path, ap50: float) -> None:
    result = ci_run(tmp_path, ap50=ap50)
    assert result.returncode != 0
    assert "expected at least 0.8" in result.stdout


def test_failing_tests_stop_it(tmp_path: Path) -> None:
    result = ci_run(tmp_path, ap50=0.9, tests_pass=False)
    assert result.returncode != 0
    assert "made quickstart" not in result.stdout
