"""The pinned requirements say the same as setup.py, and nothing about the machine that compiled them."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path.name for path in ROOT.glob("requirements*.txt"))


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py passes to `setuptools.setup`."""
    passed: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: passed.update(arguments))
    runpy.run_path(str(ROOT / "setup.py"))
    return passed


def pins(name: str) -> dict[str, str]:
    """{canonical package name: version} of a requirements file; every line must be `name==version`."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    for requirement in requirements:
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{name}: {requirement} is not pinned"
    return {canonicalize_name(r.name): next(iter(r.specifier)).version for r in requirements}


def assert_satisfied(wanted: list[str], pinned: dict[str, str]) -> None:
    for text in wanted:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{text} is not pinned; run `make requirements`"
        assert requirement.specifier.contains(version, prereleases=True), f"{text} is pinned to {version}; run `make requirements`"


def test_the_run_requirements_pin_what_setup_needs(declared: dict[str, Any]) -> None:
    assert_satisfied(declared["install_requires"], pins("requirements.txt"))


def test_what_the_package_imports_at_once_is_declared(declared: dict[str, Any]) -> None:
    """(An import inside a function may be of an extra.) Development tools bring packages that a user does not have."""
    wanted = {canonicalize_name(Requirement(text).name) for text in declared["install_requires"]}
    wanted.add("pydantic-core")  # what pydantic is made of
    found: dict[str, Path] = {}
    for path in (ROOT / "src" / "centernet").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            found |= {module.split(".")[0]: path for module in modules}
    packages = packages_distributions()
    foreign = {name: path for name, path in found.items() if name not in (*sys.stdlib_module_names, "centernet")}
    assert "numpy" in foreign
    missing = {
        name: str(path)
        for name, path in foreign.items()
        if not wanted & {canonicalize_name(distribution) for distribution in packages.get(name, [name])}
    }
    assert not missing


def test_every_extra_has_a_pinned_file(declared: dict[str, Any]) -> None:
    for extra, wanted in declared["extras_require"].items():
        assert_satisfied(wanted, pins(f"requirements-{extra}.txt"))


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("requirements.txt", "requirements-gpu.txt")])
def test_an_extra_never_changes_the_version_of_a_run_requirement(name: str) -> None:
    run, extra = pins("requirements.txt"), pins(name)
    assert {package: extra.get(package) for package in run} == run


def test_the_gpu_programs_need_a_part_of_the_run_requirements_in_the_same_versions() -> None:
    run, part = pins("requirements.txt"), pins("requirements-gpu.txt")
    assert {package: run.get(package) for package in part} == part


@pytest.mark.parametrize("name", FILES)
def test_there_is_one_opencv(name: str) -> None:
    assert [package for package in pins(name) if package.startswith("opencv")] == ["opencv-python-headless"]


@pytest.mark.parametrize("name", FILES)
def test_no_registry_is_named(name: str) -> None:
    for line in (ROOT / name).read_text().splitlines():
        assert not line.startswith("-"), f"{name}: {line}"
        assert "://" not in line, f"{name}: {line}"
        assert " @ " not in line, f"{name}: {line}"


def test_the_installed_package_leaves_the_scripts_out(declared: dict[str, Any]) -> None:
    assert {package.split(".")[0] for package in declared["packages"]} == {"centernet"}


def test_the_one_package_without_a_wheel_is_the_one_that_the_set_up_may_build(declared: dict[str, Any]) -> None:
    """tools/setup.sh lets pip take wheels only; filterpy 1.4.5, which norfair needs, is published as source only: without the flag nothing
    of requirements-track.txt could be installed. Where no file pins it any more, the flag is to go.
    """
    text = (ROOT / "tools" / "setup.sh").read_text()
    (line,) = [line for line in text.splitlines() if "--only-binary" in line]
    assert "--only-binary=:all:" in line
    named = {word for group in re.findall(r"--no-binary=(\S+)", line) for word in group.split(",")}
    assert named == {"filterpy"}, "what else may run its setup.py here?"
    assert {name for name in FILES if "filterpy" in pins(name)} == {"requirements-track.txt"}
    assert any(Requirement(text).name == "norfair" for text in declared["extras_require"]["track"])


def test_what_the_set_up_may_build_is_plain_python() -> None:
    try:
        files = distribution("filterpy").files or []
    except PackageNotFoundError:
        pytest.skip("the extra track is not installed")
    assert not [path for path in files if path.suffix in (".so", ".pyd", ".c", ".pyx")], "it would need a compiler"
