"""Batches made by worker processes: who makes which sample, and what happens when one fails, hangs or dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import selectors
import signal
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from multiprocessing import util
from time import monotonic
from typing import Literal

from centernet.data.batch_slots import Draft, Job, Slots
from centernet.data.parcel import Parcel
from centernet.data.samples import LoaderError, Lost, Outcome, Source, Task, clear, name_of
from centernet.data.worker import Worker
from centernet.errors import CenterNetError
from centernet.imaging import io

LOG = logging.getLogger(__name__)

StartMethod = Literal["forkserver", "spawn", "fork"]

QUEUE = 3  # samples a worker has been asked for, so that it has work while this process is busy
START_SECONDS = 300.0  # for a worker to come up, which may have to load its modules from a slow disk
PATIENCE = 0.5  # seconds for a worker to finish its sample when nobody wants it any more
DYING_SECONDS = 5.0  # for one that has closed its connection to be gone, so that its exit code is known; more than a busy machine takes
DEATH = "its worker process {ending}; out of memory, or a crash in a library"
END_SECONDS = 10.0  # at most, for all of it to end
TICK = 1.0  # seconds between looks at the clock


class WorkerPool:
    """Makes the batches that are asked for, in their order, in `slots`. One thread of this process keeps the workers busy.

    Its methods are for the consumer's thread. What is wrong with a sample is in its outcome; what is wrong with the workers
    as such is raised by `get`, and then the pool can only be closed.
    """

    def __init__(
        self,
        source: Source,
        slots: Slots,
        *,
        workers: int,
        start_method: StartMethod,
        sample_seconds: float | None,
        is_skipping: bool,
    ) -> None:
        """Prepare; `start` starts the workers. Arguments: see `Loader`; is_skipping: another sample takes the place of one that is lost."""
        self._source, self.slots, self._num_workers = source, slots, workers
        self._sample_seconds = sample_seconds
        self._context, self._parcel = multiprocessing.get_context(start_method), Parcel(source)
        self._workers: list[Worker] = []
        self._drafts: deque[Draft] = deque()
        self._lost = Lost(source, is_skipping=is_skipping)
        self._failure: CenterNetError | None = None
        self._is_closing = False
        self._changed = threading.Condition()  # guards drafts, failure, the flag and `_wake`
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        util.register_after_fork(self, WorkerPool._close_descriptors)
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._was_started, self._ended = False, threading.Event()

    def start(self) -> None:
        """Begin; from now on `close` is needed, also when Ctrl-C interrupts this very call."""
        self._was_started = True
        self._thread.start()

    def put(self, job: Job) -> None:
        """Ask for a batch, begun with when `get` is next called, where the slots have room; OSError where there is not enough memory."""
        draft = self.slots.take(job)
        with self._changed:
            self._drafts.append(draft)

    def get(self) -> Draft:
        """Wait for the oldest batch; the slots lend it."""
        with self._changed:
            if self._drafts[0].missing:
                self._stir()
            self._changed.wait_for(lambda: self._failure or not self._drafts[0].missing)
            if self._failure:
                raise self._failure
            draft = self._drafts.popleft()
            self.slots.lend(draft)
        self._stir()  # last, since those who wake up may take this thread's core
        return draft

    def drop(self) -> None:
        """Forget all batches asked for. Waits for the samples that are in the making, since they are made in the slots."""
        with self._changed:
            for draft in self._drafts:
                draft.give_up()
            self._changed.wait_for(lambda: self._failure or not any(draft.missing for draft in self._drafts))
            while self._drafts:
                self.slots.give_back(self._drafts.popleft())

    def close(self) -> None:
        """End the workers."""
        with self._changed:
            self._is_closing = True
            self._stir()
        is_own = threading.current_thread() is self._thread  # it may collect garbage too
        if self._was_started and not is_own and self._ended.wait(END_SECONDS):
            self._thread.join()

    def _stir(self) -> None:
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def _woken(self) -> None:
        os.eventfd_read(self._wake)

    # What follows runs in the pool's own thread.

    def _run(self) -> None:
        try:
            looked = monotonic()
            while not self._is_closing:
                is_complete = len(self._workers) == self._num_workers
                if not is_complete:
                    self._start_worker()
                self._hand_out()
                for key, _ in self._selector.select(TICK if is_complete else 0):
                    key.data()
                now = monotonic()
                self._check_time(now, paused=now - looked - TICK)
                looked = now
        except CenterNetError as error:
            self._fail(error)
        except Exception as error:
            LOG.exception("the loader's thread failed")
            self._fail(LoaderError(f"the loader failed: {type(error).__name__}: {error}"))
        finally:
            self._end()

    def _fail(self, error: CenterNetError) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _end(self) -> None:
        for worker in self._workers:
            worker.dismiss()
        deadline = monotonic() + PATIENCE
        for worker in self._workers:
            worker.end(patience=max(0.0, deadline - monotonic()))
        with self._changed:
            self._close_descriptors()
        self._ended.set()

    def _close_descriptors(self) -> None:
        self._selector.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1  # a process forked later must not close what has this number then

    def _start_worker(self) -> None:
        is_forked = self._context.get_start_method() == "fork"
        try:
            with io.without_threads() if is_forked else nullcontext():
                worker = Worker(self._context, self._parcel, self.slots.memory, self.slots.batch, began=monotonic())
        except OSError as error:
            raise LoaderError(
                f"only {len(self._workers)} of {self._num_workers} worker processes could be started: {error.strerror}; use fewer workers"
            ) from error
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise LoaderError(f"what makes the samples cannot be sent to worker processes: {error}; workers=0 does without them") from error
        self._workers.append(worker)
        self._selector.register(worker.connection, selectors.EVENT_READ, partial(self._hear, worker))
        self._selector.register(worker.process.sentinel, selectors.EVENT_READ, partial(self._bury, worker))

    def _hand_out(self) -> None:
        """Give every worker something to do, the oldest batch first."""
        while True:
            idle = [worker for worker in self._workers if worker.is_ready and len(worker.tasks) < QUEUE]
            task = self._next_task() if idle else None
            if task is None:
                return
            min(idle, key=lambda worker: len(worker.tasks)).ask(task, now=monotonic())  # unlocked: it may cost this thread its turn

    def _next_task(self) -> Task | None:
        with self._changed:
            for draft in self._drafts:
                if draft.waiting:
                    position = draft.waiting[0]
                    task = self._lost.task(draft.slot, position, draft.job.epoch, int(draft.job.indices[position]))
                    draft.waiting.popleft()
                    return task
        return None

    def _hear(self, worker: Worker) -> None:
        """Take a worker's answer."""
        if worker not in self._workers:
            return
        try:
            outcome = worker.answer(now=monotonic())
        except (EOFError, OSError):
            self._replace(worker, DEATH, patience=DYING_SECONDS)
        else:
            if outcome is not None:
                self._settle(worker.tasks.popleft(), outcome)

    def _settle(self, task: Task, outcome: Outcome) -> None:
        judged = self._lost.judged(task, outcome)
        with self._changed:
            draft = next(draft for draft in self._drafts if draft.slot == task.slot)
            if judged is None:
                draft.waiting.appendleft(task.position)
                return
            draft.settle(task.position, judged)
            if not draft.missing:
                self._changed.notify_all()

    def _bury(self, worker: Worker) -> None:
        """A worker has died; what it said before comes first."""
        while worker in self._workers and worker.connection.poll():
            self._hear(worker)
        if worker in self._workers:
            self._replace(worker, DEATH, patience=DYING_SECONDS)

    def _check_time(self, now: float, *, paused: float) -> None:
        """End the workers that take too long. paused: how long this process itself stood still, which is no fault of theirs."""
        for worker in list(self._workers):
            if paused > TICK:
                worker.began += paused
            limit = self._sample_seconds if worker.is_ready else START_SECONDS
            is_working = bool(worker.tasks) or not worker.is_ready
            if limit is not None and is_working and now - worker.began > limit and not worker.connection.poll():
                self._replace(worker, f"not done after {now - worker.began:.0f} s (the limit is {limit:g} s); its worker process was ended")

    def _replace(self, worker: Worker, reason: str, *, patience: float = 0.0) -> None:
        """End a worker, for another to be started; the sample it was on is lost, for a reason in which {ending} says how it ended."""
        self._selector.unregister(worker.connection)
        self._selector.unregister(worker.process.sentinel)
        self._workers.remove(worker)
        reason = reason.replace("{ending}", _ending(worker.end(patience=patience)))
        if not worker.is_ready:
            raise LoaderError(f"a worker process did not come up: {reason}; what it said about it is above")
        self._take_over(worker.tasks, reason)

    def _take_over(self, tasks: Sequence[Task], reason: str) -> None:
        """What a worker leaves behind: the first task was in the making, and its place may hold half a sample."""
        if not tasks:
            LOG.warning("an idle worker is replaced: %s", reason)
            self._lost.count(reason)
            return
        lost, *others = tasks
        drafts = {draft.slot: draft for draft in self._drafts}
        for task in reversed(others):
            drafts[task.slot].waiting.appendleft(task.position)
        name = name_of(self._source, lost)
        clear(drafts[lost.slot].place(lost.position))
        self._settle(lost, Outcome(name, error=LoaderError(f"{name}: {reason}")))


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
