"""Packages: what setup.py asks for, and what is said of those that are missing, too old or broken."""

from __future__ import annotations

from importlib import metadata

import pytest

from centernet.experiment.doctor import packages
from centernet.experiment.doctor.packages import Wanted
from centernet.experiment.doctor.probes import Answer

LINES = ["numpy<2,>=1.26", "nnabla==1.39.0", "types-PyYAML", 'onnxruntime<1.24,>=1.18; extra == "int8"']


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of what is installed, by name."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    return versions


def test_requirements_are_read_with_their_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: LINES)
    assert packages.wanted_packages() == [
        Wanted("numpy", ">=1.26,<2"),
        Wanted("nnabla", "==1.39.0"),
        Wanted("types-PyYAML", ""),
        Wanted("onnxruntime", ">=1.18,<1.24", "int8"),
    ]


def test_without_an_installed_package_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert packages.wanted_packages() == []
    assert packages.not_installed().status == "warning"


def test_a_package_that_works_is_ok(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    installed["onnx"] = "1.17.0"
    monkeypatch.setattr(packages, "ask", lambda program: Answer({"said": "fine"}))
    found = packages.tried(Wanted("onnx", ">=1.16,<1.18"))
    assert (found.name, found.status, found.found, found.cure) == ("ONNX", "ok", "1.17.0, fine", "")


def test_a_package_of_another_version_works_but_is_said(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    installed["onnx"] = "1.18.0"
    monkeypatch.setattr(packages, "ask", lambda program: Answer())
    found = packages.tried(Wanted("onnx", ">=1.16,<1.18"))
    assert found.status == "warning"
    assert found.cure.endswith("-m pip install 'onnx>=1.16,<1.18'")


def test_a_package_that_does_not_load_is_broken(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    installed["h5py"] = "3.16.0"
    monkeypatch.setattr(packages, "ask", lambda program: Answer(error="ImportError: libhdf5.so"))
    found = packages.tried(Wanted("h5py", ">=3.10"))
    assert (found.status, found.found) == ("broken", "3.16.0, ImportError: libhdf5.so")
    assert "--force-reinstall" in found.cure


def test_a_missing_package_is_broken_unless_it_is_optional(installed: dict[str, str]) -> None:
    needed, optional = packages.tried(Wanted("onnx", "")), packages.tried(Wanted("onnxruntime", "", "int8"))
    assert (needed.status, optional.status) == ("broken", "absent")
    assert needed.cure
    assert not optional.cure


def test_the_others_are_named_where_they_are_missing_or_unfit(installed: dict[str, str]) -> None:
    installed |= {"tqdm": "4.70", "numpy": "2.1.0"}
    wanted = [Wanted("tqdm", ">=4.66"), Wanted("numpy", ">=1.26,<2"), Wanted("pillow", ">=10")]
    assert packages.others(wanted[:1]).status == "ok"
    assert packages.others(wanted[:2]).status == "warning"
    found = packages.others(wanted)
    assert found.status == "broken"
    assert found.found == "pillow>=10: not installed; numpy 2.1.0"
    assert found.cure.endswith("'pillow>=10' 'numpy>=1.26,<2'")


def test_an_extra_is_there_when_all_its_packages_are(installed: dict[str, str]) -> None:
    installed["nncf"] = "3.2.0"
    wanted = [Wanted("nncf", ">=3.2,<3.3", "int8"), Wanted("rich", "<15", "int8")]
    by_name = {found.name: found for found in packages.extras(wanted)}
    assert by_name["extra 'int8'"].status == "absent"
    installed["rich"] = "16.0"
    unfit = {found.name: found for found in packages.extras(wanted)}["extra 'int8'"]
    assert unfit.status == "warning"
    assert "'rich<15'" in unfit.cure


@pytest.mark.parametrize("report", [Answer(error="ImportError: x"), Answer({"cpu": "computes 3 where 36 is right"})])
def test_nnabla_is_broken_where_it_does_not_load_or_computes_wrongly(installed: dict[str, str], report: Answer) -> None:
    wanted = [Wanted("nnabla", "==1.39.0")]
    assert packages.nnabla(wanted, report).status == "broken"  # not installed
    installed["nnabla"] = "1.39.0"
    assert packages.nnabla(wanted, report).status == "broken"
    assert packages.nnabla(wanted, Answer({"cpu": ""})).status == "ok"


def test_the_trials_are_for_packages_that_setup_asks_for() -> None:
    assert set(packages.TRIALS) <= {wanted.name for wanted in packages.wanted_packages()}
    assert set(packages.EXTRAS) <= {wanted.extra for wanted in packages.wanted_packages()}
