"""NVIDIA's side: the GPU, NNabla's extension, and the libraries it is linked to, from what the device report says."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from centernet.engine.cuda_versions import INSTALL_NCCL
from centernet.experiment.doctor.findings import Finding, Status, pip_install
from centernet.experiment.doctor.packages import OWN
from centernet.experiment.doctor.probes import Answer

EXTENSION = "nnabla-ext-cuda120"
SIGNS = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvidia0", "dev/dxg")  # dxg: Windows' subsystem for Linux
NO_GPU = "there is no NVIDIA GPU: the CPU computes"
NEEDED = {"CUDA": "12", "cuDNN": "8.8 or a later 8", "NCCL": "2, for several GPUs"}


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether there are signs of an NVIDIA GPU; `root`: where `dev` and `proc` are."""
    return any((root / sign).exists() for sign in SIGNS) or shutil.which("nvidia-smi") is not None


def extension_version() -> str | None:
    """Of the installed extension, whichever CUDA 12 it is for."""
    return next((found.version for found in metadata.distributions() if (found.name or "").startswith("nnabla-ext-cuda")), None)


def gpu(report: Answer, *, is_there: bool, extension: str | None) -> list[Finding]:
    """The GPU and the extension, and where both are there CUDA, cuDNN and NCCL.

    Args:
        report: what the device report said. is_there: there are signs of a GPU. extension: its version, None if not installed.
    """
    found, needed = f"{extension or 'not installed'}", "optional: to train on NVIDIA GPUs"
    if extension is None:
        status: Status = "warning" if is_there else "absent"
        what = "not installed, " + ("so the GPU is not used" if is_there else NO_GPU)
        return [Finding(name="GPU extension", status=status, found=what, needed=needed, cure=install() if is_there else "")]
    error = report.error or str(report.values.get("gpu", ""))
    if error and not is_there:
        what = f"{found}, but {NO_GPU}"
        return [Finding(name="GPU extension", status="warning", found=what, needed=needed, cure=DRIVER)]
    if error:
        problem = error.partition(": ")[2].partition(";")[0] or error
        return [Finding(name="GPU extension", status="broken", found=f"{found}, {problem}", needed="computes on the GPU", cure=install())]
    first = Finding(name="GPU extension", status="ok", found=f"{found}, {report.values['device']}", needed=needed)
    return [first, *_libraries(report), *_problems(report)]


DRIVER = "nvidia-smi    # must list the GPU; in a container, start it with `docker run --gpus all`"


def install() -> str:
    """The command that installs the extension and NVIDIA's libraries, as wheels."""
    return pip_install(f"{OWN}[cuda120]") if _is_published() else "make setup EXTRAS=cuda120"


def _is_published() -> bool:
    """Whether the package came from an index; one that was installed from a folder is set up there."""
    try:
        return metadata.distribution(OWN).read_text("direct_url.json") is None
    except metadata.PackageNotFoundError:
        return False


def _libraries(report: Answer) -> list[Finding]:
    versions = report.values["versions"]
    found = []
    for name, needed in NEEDED.items():
        version = versions.get(name)
        if version is None:
            cure = INSTALL_NCCL.strip("`") if name == "NCCL" else install()
            found.append(Finding(name=name, status="warning", found="cannot be loaded", needed=needed, cure=cure))
        else:
            driver = f", driver for CUDA {versions['driver']}" if name == "CUDA" and "driver" in versions else ""
            found.append(Finding(name=name, status="ok", found=f"{version}{driver}", needed=needed))
    return found


def _problems(report: Answer) -> list[Finding]:
    """What is known not to go together: each says its own cure."""
    found = []
    for problem in report.values["problems"]:
        what, _, cure = problem["text"].rpartition("; ")
        command = cure.partition("`")[2].partition("`")[0] or cure
        status: Status = "broken" if problem["stops"] else "warning"
        found.append(Finding(name="GPU libraries", status=status, found=what or problem["text"], needed="versions that fit", cure=command))
    return found
