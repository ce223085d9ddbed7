"""Who of several processes has stopped working: noticed by a thread beside each one's main thread, said with name and place.

A process that hangs makes all others wait in their next collective operation, for ever and without a word. So each one's
thread tells rank 0 every second how its main thread is, and rank 0 answers. Not being quick is no crime: whoever computes, or
makes progress, is alive.
"""

from __future__ import annotations

import atexit
import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from centernet.engine.siblings import GOODBYE, SAID, Siblings

LIVELY = 0.01  # of a core: who computes less than that, computes nothing
LONGEST = 20  # times its longest turn a main thread that does compute may take for one more
TURNS = 3  # after so many it is known how long one takes
SLOWER = 5  # times the seconds that all others needed for the same piece of work may a process compute for it while they wait
STARTING = 1800.0  # seconds without a sign of life are granted before training: a download, or a lock that another rank holds
DEADLOCK = 10  # times the usual patience, where all wait for each other
FRAMES = 3  # of the stack are told, the innermost
LAST = 4  # ranks that wait for their turn to speak
GRACE = 4  # seconds that MPI gets to end the others, and twice as many that who started them gets to notice
STARTERS = ("mpirun", "mpiexec", "prterun", "prted")  # they wait for a machine that cannot be reached, without an end
EXIT_CODE = 3


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a main thread is. Seconds: in a collective operation (None: not in one); without a sign of life, and how many are granted.

    worked: what it needed to get where it waits. computed: of the processor, since it got on last.
    is_busy: it does compute, but without getting on. doing, where: what it is at, in words, and in the source. host: its machine.
    stopping: the number of the block (`stopping_at`) in which all are to stop; 0: none.
    """

    waiting: float | None
    quiet: float
    granted: float
    is_busy: bool
    doing: str
    where: str
    host: str
    worked: float = 0.0
    computed: float = 0.0
    stopping: int = 0


class Pulse:
    """What the main thread says of itself, as cheap as possible; `report` is called by the thread that watches."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._main = threading.main_thread().ident
        self._beats, self._extra, self._doing = 0, STARTING, "starting"
        self._waiting: tuple[str, float] | None = None
        self._begun, self._turns, self._longest, self._worked = time.monotonic(), 0, 0.0, 0.0
        self._seen = (-1, "")
        self._alive, self._cpu, self._cpu_begun = time.monotonic(), 0.0, 0.0
        self._signals: Collection[int] = ()
        self._block = 0  # all processes count alike
        self.heard = 0  # the last block that others are to stop in, said by the thread that watches

    def beat(self) -> None:
        """One more of what is done many times is done."""
        self._lap()
        self._turns += 1

    @contextmanager
    def doing(self, what: str, *, extra: float = 0.0) -> Iterator[None]:
        """For the time of the block: what the main thread does, and the seconds that it may give no sign of life for, besides the usual."""
        self._lap()
        before = self._doing, self._extra, self._turns, self._longest
        self._doing, self._extra, self._turns, self._longest = what, extra, 0, 0.0
        try:
            yield
        finally:
            self._doing, self._extra, self._turns, self._longest = before
            self._beats, self._begun = self._beats + 1, time.monotonic()

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """For the time of the block the main thread waits for other processes."""
        self._worked = time.monotonic() - self._begun
        self._lap()
        self._waiting = (what, self._begun)
        try:
            yield
        finally:
            self._beats, self._begun, self._waiting = self._beats + 1, time.monotonic(), None

    @contextmanager
    def stopping_at(self, signals: Collection[int]) -> Iterator[None]:
        """For the time of the block all are to stop as soon as there is something in `signals`."""
        self._signals, self._block = signals, self._block + 1
        try:
            yield
        finally:
            self._signals = ()

    @property
    def is_stopping(self) -> bool:
        """Whether all are to stop, as far as this process knows."""
        return bool(self._signals) or 0 < self.heard == self._block

    def excuse(self, now: float) -> None:
        """This process was stopped for a while, or got no turn: that time does not count."""
        self._alive = self._begun = now

    def _lap(self) -> None:
        now = time.monotonic()
        self._longest = max(self._longest, now - self._begun)
        self._beats, self._begun = self._beats + 1, now

    def report(self, *, now: float, cpu: float) -> Report:
        """How the main thread is.

        Args:
            now: of the monotonic clock. cpu: seconds this process has computed so far, without the thread that asks.
        """
        waiting, doing, seen = self._waiting, self._doing, (self._beats, self._doing)
        granted = self._timeout + self._extra
        if seen != self._seen:
            self._cpu_begun = cpu
        if seen != self._seen or cpu - self._cpu > LIVELY * (now - self._alive):
            self._seen, self._alive, self._cpu = seen, now, cpu
        quiet = now - self._alive
        is_busy = self._turns >= TURNS and now - self._begun > max(granted, LONGEST * self._longest) >= quiet
        if is_busy:
            quiet = now - self._begun  # it computes, but not what it did so far
        computed = cpu - self._cpu_begun
        where = self._where() if max(quiet, computed) > self._timeout / 3 else ""
        return Report(
            waiting=None if waiting is None else now - waiting[1],
            quiet=quiet,
            granted=granted,
            is_busy=is_busy,
            doing=doing if waiting is None else f"waiting for {waiting[0]}",
            where=where,
            host=platform.node(),
            worked=self._worked,
            computed=computed,
            stopping=self._block if self._signals else 0,
        )

    def _where(self) -> str:
        frame = sys._current_frames().get(self._main or 0)
        stack = traceback.extract_stack(frame, limit=FRAMES)
        return ", called by ".join(f"{Path(part.filename).name}:{part.lineno} {part.name}" for part in reversed(stack))


def verdict(heard: Mapping[int, tuple[float, Report]], *, size: int, timeout: float) -> str | None:
    """What is wrong with whom; None: nothing.

    Args:
        heard: rank → seconds since it was heard last, and what it said; those who have said goodbye are not there.
        size: number of processes. timeout: seconds that silence is borne.
    """
    # Who only seems to compute may be waiting inside a library, for one that is really gone: he is asked last.
    for rank, (age, report) in sorted(heard.items(), key=lambda item: (item[1][0] <= timeout, item[1][1].is_busy)):
        name = f"rank {rank} of {size} on {report.host}"
        if age > timeout:
            reasons = "it is stopped, or its machine is down or cannot be reached"
            return f"{name} has been silent for {age:.0f} s: {reasons}; when heard last it was {report.doing}"
        if report.waiting is None and report.quiet > report.granted:
            return f"{name} hangs: no progress for {report.quiet:.0f} s while {report.doing} ({report.where})"
        others = [other for number, (_, other) in heard.items() if number != rank]
        if _is_waited_for(report, others):
            return f"{name} hangs: all others wait while it computes, for {report.computed:.0f} s, {report.doing} ({report.where})"
    waits = [report.waiting for _, report in heard.values()]
    if len(waits) > 1 and all(wait is not None and wait > DEADLOCK * timeout for wait in waits):
        return "all processes wait for each other: " + ", ".join(f"rank {rank} is {report.doing}" for rank, (_, report) in heard.items())
    return None


def _is_waited_for(report: Report, others: Collection[Report]) -> bool:
    """Whether a process computes much longer than all others did for what they have done, and it has not."""
    if report.waiting is not None or not others:
        return False
    waited = min(-1.0 if other.waiting is None else other.waiting for other in others)
    longest = max(other.worked for other in others)
    return waited > report.granted and report.computed > max(report.granted, SLOWER * longest)


class Watch:
    """The thread of one process that watches, together with those of the others; `pulse` is what the main thread tells it.

    Rank 0 judges all, the others only whether rank 0 still speaks.

    Args:
        mpi: the module of mpi4py. world: a communicator that nobody else uses.
        timeout: seconds without a sign of life after which a process is taken to hang.
    """

    def __init__(self, mpi: Any, world: Any, *, timeout: float) -> None:
        self.pulse = Pulse(timeout)
        self._mpi, self._world, self._timeout = mpi, world, timeout
        self._rank, self._size = world.Get_rank(), world.Get_size()
        self._others = range(1, self._size) if self._rank == 0 else range(1)
        self._sent: dict[int, Any] = {}
        hosts = world.allgather(platform.node())
        unheard = [Report(waiting=None, quiet=0.0, granted=timeout, is_busy=False, doing="starting", where="", host=host) for host in hosts]
        self._heard = {rank: (time.monotonic(), unheard[rank]) for rank in self._others}
        self._looked = time.monotonic()
        self._siblings = Siblings(world)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # before MPI ends

    def close(self) -> None:
        """Say goodbye, and watch no longer."""
        self._ended.set()
        self._thread.join()
        self._siblings.say(GOODBYE)

    def ending_all(self) -> None:
        """This process has said why it ends all others, and is about to."""
        self._siblings.say(SAID)

    def _run(self) -> None:
        try:
            while not self._ended.wait(min(1.0, self._timeout / 10)):
                found = self._look()
                if found is not None:
                    self._end(found)
            for rank in self._others:
                self._send(rank, None)
        except self._mpi.Exception:
            return  # another process is gone, and whoever started them knows more about that

    def _look(self) -> str | None:
        now = time.monotonic()
        if now - self._looked > self._timeout / 3:  # Ctrl-Z, a machine that slept: the others are not to blame either
            self.pulse.excuse(now)
            self._heard = {rank: (now, report) for rank, (_, report) in self._heard.items()}
        self._looked = now
        own = self.pulse.report(now=now, cpu=time.process_time() - time.thread_time())
        self._receive()
        self.pulse.heard = max((report.stopping for _, report in self._heard.values()), default=0)
        for rank in self._others:  # rank 0 hands on what the others say
            self._send(rank, replace(own, stopping=max(own.stopping, self.pulse.heard)) if self._rank == 0 else own)
        now = time.monotonic()
        heard = {rank: (now - then, report) for rank, (then, report) in self._heard.items()}
        if self._rank == 0:
            return verdict({0: (0.0, own), **heard}, size=self._size, timeout=self._timeout)
        said = {rank: (age, replace(report, quiet=0.0)) for rank, (age, report) in heard.items()}
        return verdict(said, size=self._size, timeout=self._timeout + min(self._rank, LAST))

    def _send(self, rank: int, report: Report | None) -> None:
        """One message at a time: who does not read them is not sent more."""
        if rank not in self._sent or self._sent[rank].Test():
            self._sent[rank] = self._world.isend(report, dest=rank)

    def _receive(self) -> None:
        status = self._mpi.Status()
        while (message := self._world.improbe(status=status)) is not None:
            report = message.recv()
            if report is None:
                self._heard.pop(status.Get_source(), None)
            elif status.Get_source() in self._heard:
                self._heard[status.Get_source()] = (time.monotonic(), report)

    def _end(self, why: str) -> None:
        """End all processes, whatever their main threads are at."""
        print(f"error: {why}; rank {self._rank} has ended all", file=sys.stderr, flush=True)
        self.ending_all()
        threading.Timer(GRACE, os._exit, [EXIT_CODE]).start()  # where MPI cannot
        _kill_later(os.getppid(), among=STARTERS)
        self._world.Abort(EXIT_CODE)


def _kill_later(process: int, *, among: Collection[str]) -> None:
    """End a process, if it is one of these programs and still there when this one is gone for long."""
    try:
        program = Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return
    if program in among:
        quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        subprocess.Popen(["/bin/sh", "-c", f"sleep {2 * GRACE}; kill -9 {process}"], start_new_session=True, **quiet)
