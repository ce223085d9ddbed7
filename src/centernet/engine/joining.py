"""A guard for the moment when processes join: whoever waits there cannot be interrupted, and cannot speak for itself.

MPI and NCCL wait inside one call, without an end, until every process has come. The guard is a process of its own, this very
file run as a program, so it needs nothing but the standard library.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

JOB, RANK, LOCAL_SIZE = "PMIX_NAMESPACE", "PMIX_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"  # what Open MPI tells its processes
STAGGER = 0.5  # seconds: the first message is enough
LAST = 4  # ranks that wait for their turn


@contextmanager
def joining(what: str, *, seconds: float, rank: int, size: int) -> Iterator[None]:
    """End this process, with a message that says who is missing, unless the block ends within `seconds`.

    mpirun then ends the others. Their guards say the same, if they come to it.

    Args:
        what: that connects the processes (`MPI`).
    """
    command = [sys.executable, "-I", "-S", __file__, what, str(seconds), str(rank), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as guard:  # its end of file is the end of the block, or of this process
        yield
        assert guard.stdin is not None
        guard.stdin.close()


def missing(size: int, processes: Path = Path("/proc")) -> str:
    """Which processes of this machine have not come so far, as the rest of a sentence; `size`: how many there are in all."""
    ranks, joined = _ranks(processes, os.environ.get(JOB, "")), _ranks(processes, os.environ.get(JOB, ""), Path(__file__).name)
    late = sorted(set(ranks) - set(joined))
    num_local = int(os.environ.get(LOCAL_SIZE, "0"))
    parts = [f"rank {rank} (process {ranks[rank]} of {platform.node()}) has not come so far" for rank in late]
    if num_local > len(ranks):
        ended = sorted(set(range(size)) - set(ranks)) if num_local == size else []
        which = f"rank {', '.join(map(str, ended))}" if ended else f"{num_local - len(ranks)} of the processes of {platform.node()}"
        parts.append(f"{which} ended before joining")
    if not parts:
        return f"all of {platform.node()} are there, so another machine's are missing, or its ports are closed, or it has another MPI"
    return ", and ".join(parts)


def _ranks(processes: Path, job: str, program: str = "") -> dict[int, int]:
    """Rank → process number, of the job's processes that run a program (or any)."""
    found: dict[int, int] = {}
    for folder in sorted(processes.glob("[0-9]*"), key=lambda path: int(path.name), reverse=True) if job else ():
        try:
            environment = dict(line.partition("=")[::2] for line in (folder / "environ").read_text(errors="replace").split("\0"))
            command = (folder / "cmdline").read_text(errors="replace")
        except OSError:
            continue  # another user's, or gone
        if environment.get(JOB) == job and environment.get(RANK, "").isdigit() and program in command:
            found[int(environment[RANK])] = int(folder.name)
    return found


def _main(what: str, seconds: str, rank: str, size: str) -> None:
    patience = float(seconds) + STAGGER * min(int(rank), LAST)
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # mpirun's are meant for the process that is guarded
        signal.signal(number, signal.SIG_IGN)
    if select.select([sys.stdin], [], [], patience)[0]:
        return
    waited = f"rank {rank} of {size} waited {time.monotonic() - started:.0f} s for all processes to join"
    print(f"error: {waited} ({what}): {missing(int(size))}; see docs/distributed.md", file=sys.stderr, flush=True)
    os.kill(os.getppid(), signal.SIGKILL)


if __name__ == "__main__":
    _main(*sys.argv[1:])
