"""`centernet doctor`: the exit code, and the two forms of what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from centernet import cli
from centernet.cli import launch
from centernet.errors import CommunicationError
from centernet.experiment import doctor
from centernet.experiment.doctor import Finding

Give = Callable[[str], None]


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """What the examination finds: one thing of this status."""

    def set_status(status: str) -> None:
        finding = Finding(name="disk", status=status, found="little", needed="much", cure="du -sh")  # type: ignore[arg-type]
        monkeypatch.setattr(doctor, "examine", lambda launcher, environment: [finding])

    return set_status


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("absent", 0), ("warning", 0), ("broken", 1)])
def test_the_exit_code_says_whether_something_needed_is_broken(
    give: Give, capsys: pytest.CaptureFixture[str], status: str, code: int
) -> None:
    give(status)
    assert cli.run("doctor", []) == code
    assert "disk" in capsys.readouterr().out
    assert cli.run("doctor", ["--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "ok": not code,
        "findings": [{"name": "disk", "status": status, "found": "little", "needed": "much", "cure": "du -sh"}],
    }


def test_no_mpirun_is_a_finding_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_mpirun(count: int) -> list[str]:
        raise CommunicationError("none")

    seen: list[object] = []
    monkeypatch.setattr(launch, "mpirun", no_mpirun)
    monkeypatch.setattr(doctor, "examine", lambda launcher, environment: seen.append(launcher) or [])
    assert cli.run("doctor", []) == 0
    assert seen == [None]


@pytest.mark.slow
def test_this_machine_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever these tests need is what the doctor calls needed."""
    assert cli.run("doctor", ["--json"]) == 0
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert {"Python", "NNabla", "MPI", "OpenCV", "OpenVINO", "pycocotools", "memory", "cores"} <= set(findings)
    assert findings["MPI"]["status"] == "ok"
