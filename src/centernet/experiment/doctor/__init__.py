"""Look at the machine and at what is installed: what was found, what is needed, and the cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from centernet.experiment.doctor import gpu, machine, mpi, packages
from centernet.experiment.doctor.findings import Finding, text
from centernet.experiment.doctor.probes import ask

__all__ = ["Finding", "examine", "text"]

REPORT = ("-m", "centernet.experiment.doctor.device_report")


def examine(launcher: Sequence[str] | None, environment: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order of the table; takes seconds, since libraries are loaded and two processes talk.

    Args:
        launcher: mpirun with the arguments for two processes; None: there is none.
        environment: to start it in.
    """
    wanted = packages.wanted_packages()
    required = [w for w in wanted if not w.extra]
    optional = {w.name: w for w in wanted if w.extra}
    with_trial = [w for w in required if w.name in packages.TRIALS]
    with_trial += [optional["onnxruntime"]] if "onnxruntime" in optional else []
    rest = [w for w in required if w.name not in packages.TRIALS and w.name not in packages.BY_THEMSELVES]
    with ThreadPoolExecutor() as threads:
        report = threads.submit(ask, REPORT)
        talk = None if report.result().error else threads.submit(mpi.mpi, wanted, launcher, environment)
        trials = [threads.submit(packages.tried, w) for w in with_trial]
        extension = gpu.extension_version()
        findings = [
            packages.python(),
            packages.nnabla(wanted, report.result()),
            *gpu.gpu(report.result(), is_there=gpu.has_gpu(), extension=extension),
            talk.result() if talk is not None else mpi.untried(),
            *(trial.result() for trial in trials),
            *([packages.others(rest)] if wanted else [packages.not_installed()]),
            *packages.extras(wanted),
        ]
    if findings[0].status == "broken":  # whatever is installed for another Python is of no use
        findings[1:] = [replace(finding, cure="") for finding in findings[1:]]
    return [*findings, *machine.examine()]
