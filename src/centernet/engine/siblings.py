"""Who of a machine's processes ended without a word: said by a process of its own, since whoever started them ends all others at once.

Every rank holds a connection to it. Its end, with no goodbye before, is the end of the rank. The program is this very file, so it
needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

GOODBYE, SAID = b"g", b"s"  # all is well; this rank has said why all end
TOGETHER = 0.1  # seconds within which a launcher ends all of a machine; it leaves those of the first one's machine more
CONNECTING = 60.0  # seconds; who cannot connect is in another container of the same name, and then there is no guard
COUNTERS = ("/sys/fs/cgroup/memory.events", "/proc/vmstat")  # that count what the kernel has killed for lack of memory


class Siblings:
    """This rank's connection; the guard of each machine is started by its first rank. Collective.

    Args:
        world: of mpi4py.
    """

    def __init__(self, world: Any) -> None:
        rank, host = world.Get_rank(), platform.node()
        name = world.bcast(uuid.uuid4().hex, root=0)
        hosts: list[str] = world.allgather(host)
        address = f"\0centernet-{name}-{hosts.index(host)}"
        if hosts.index(host) == rank:
            self._start(address, hosts.count(host), len(hosts))
        world.Barrier()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(address)
            self._socket.sendall(f"{rank} {os.getpid()}\n".encode())
        except OSError:  # another container with the same name
            self._socket.close()

    @staticmethod
    def _start(address: str, num_local: int, size: int) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(num_local)
            number = listener.fileno()
            command = [sys.executable, "-I", "-S", __file__, str(number), str(num_local), str(size)]
            quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), subprocess.DEVNULL)
            guard = subprocess.Popen(command, pass_fds=[number], start_new_session=True, **quiet)
        guard.returncode = 0  # nobody waits for it: it ends after this process

    def say(self, what: bytes) -> None:
        """GOODBYE or SAID, once; nothing where the guard is gone."""
        with contextlib.suppress(OSError):
            self._socket.sendall(what)
            self._socket.close()


def _main(listener: str, num_local: str, size: str) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    killed_before = _num_killed()
    with socket.socket(fileno=int(listener)) as server:
        server.settimeout(CONNECTING)
        ranks = dict(_hello(server) for _ in range(int(num_local)))
    poll = select.epoll()  # tells what happened in its order
    for number in ranks:
        poll.register(number, select.EPOLLIN)
    while ranks:
        for number, _ in poll.poll():
            connection, rank, process = ranks[number]
            try:
                said = connection.recv(1)
            except OSError:
                said = b""
            if said == SAID:
                return
            poll.unregister(number)
            del ranks[number]
            if said != GOODBYE:
                if int(size) == int(num_local) or _goes_on(poll, ranks):
                    _tell(f"rank {rank} of {size} on {platform.node()} (process {process})", by_kernel=_num_killed() > killed_before)
                return


def _hello(server: socket.socket) -> tuple[int, tuple[socket.socket, str, str]]:
    try:
        connection, _ = server.accept()
    except TimeoutError:
        sys.exit()
    line = b""
    while not line.endswith(b"\n") and (part := connection.recv(1)):
        line += part
    rank, _, process = line.decode().strip().partition(" ")
    return connection.fileno(), (connection, rank, process)


def _goes_on(poll: select.epoll, ranks: dict[int, Any]) -> bool:
    """Whether some of this machine are still there a little later: else all were ended, for one of another machine."""
    return bool(ranks) and len(poll.poll(TOGETHER)) < len(ranks)


def _num_killed() -> int:
    """How many processes the kernel has killed for lack of memory so far."""
    count = 0
    for path in COUNTERS:
        with contextlib.suppress(OSError):
            count += sum(int(line.split()[1]) for line in Path(path).read_text().splitlines() if line.startswith("oom_kill "))
    return count


def _tell(who: str, *, by_kernel: bool) -> None:
    reason = "killed by a signal, or ended by a library; the launcher's own message may have the signal"
    if by_kernel:
        reason = "killed by the kernel, which had no memory left: lower train.batch_size, or start fewer processes on a machine"
    print(f"error: {who} is gone without a word: {reason}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
