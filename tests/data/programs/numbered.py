"""Samples that say which they are, and that misbehave on request; in a module of its own, since workers import it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_info

from centernet.data.parcel import Parcel
from centernet.data.pipeline import Item
from centernet.data.shared_memory import SharedMemory
from centernet.errors import DataError

COUNT = 11


class Numbered:
    """`COUNT` samples. image: (2, 3) float32, 100 * epoch + index; drawn: 1 at the sample's index, the previous 1 being erased.

    acts: index -> kill | exit | hang | hang_in_c | raise | broken | skip | empty. seconds: what odd samples take.
    wide_epochs: in those the image is (2, 6). diary: a file to note in what was begun, in any process: see `begun`.
    """

    def __init__(
        self,
        acts: Mapping[int, str] | None = None,
        *,
        seconds: float = 0.0,
        wide_epochs: tuple[int, ...] = (),
        diary: Path | None = None,
    ) -> None:
        self.acts, self.seconds, self.wide_epochs, self.diary = dict(acts or {}), seconds, wide_epochs, diary
        self.table = np.arange(COUNT, dtype=np.float32)

    def __len__(self) -> int:
        return COUNT

    def name(self, index: int) -> str:
        return f"file {index}"

    def specs(self, epoch: int) -> dict[str, Any]:
        width = 6 if epoch in self.wide_epochs else 3
        floats = np.dtype(np.float32)
        return {"image": ((2, width), floats), "drawn": ((COUNT,), floats), "count": ((), np.dtype(np.int32))}

    def partners(self, epoch: int, index: int) -> tuple[int, ...]:
        return ()

    def item(self, epoch: int, index: int, *, out: Mapping[str, Any] | None = None, first: int = 0, is_alone: bool = False) -> Item:
        assert out is not None
        number = (index + first) % COUNT
        if self.diary is not None:
            with self.diary.open("ab", buffering=0) as file:
                file.write(b"%d %d\n" % (epoch, number))
        time.sleep(self.seconds * (number % 2))
        before = int(out["count"])
        out["drawn"][before] = 0
        out["drawn"][number] = 1
        act = self.acts.get(number)
        if act is not None:
            _act(act, number)
        out["image"][...] = 100 * epoch + self.table[number]
        skipped = ((number, f"file {number}: broken"),) if act == "skip" else ()
        arrays = {"image": out["image"], "drawn": out["drawn"], "count": np.asarray(number, np.int32)}
        return Item(arrays, self.name(number), skipped, act == "empty")


def begun(diary: Path, epoch: int) -> list[int]:
    """The samples of an epoch that were begun, in order of their numbers, as often as they were."""
    lines = diary.read_text().splitlines() if diary.exists() else []
    return sorted(int(line.split()[1]) for line in lines if line.split()[0] == str(epoch))


def wait_for(condition: Callable[[], bool], *, seconds: float = 240.0) -> None:
    """Look again and again until it holds; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Threads(Numbered):
    """Named after the threads that its process may use."""

    def item(self, *args: Any, **options: Any) -> Item:
        blas = {pool["num_threads"] for pool in threadpool_info()}
        return replace(super().item(*args, **options), name=f"OpenCV {cv2.getNumThreads()}, BLAS {sorted(blas)}")


class Unopenable(Numbered):
    """Can be sent to a process, but not be opened there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("not a number",)


def _act(act: str, number: int) -> None:
    if act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "exit":
        os._exit(7)
    elif act == "hang":
        time.sleep(1000)
    elif act == "hang_in_c":
        re.match(r"(a+)+$", "a" * 60 + "b")  # years, without giving the interpreter's lock away
    elif act == "raise":
        raise ZeroDivisionError("a bug")
    elif act == "broken":
        raise DataError(f"file {number}: broken")


def fill(memory: SharedMemory, pipe: Connection) -> None:
    """Fill shared memory that was made larger since."""
    pipe.send(None)
    num_bytes = pipe.recv()
    memory.buffer(num_bytes)[:] = b"z" * num_bytes


def describe(parcel: Parcel[dict[str, Any]], pipe: Connection) -> None:
    """Tell what has arrived, and what memory that took of this process's own."""
    before = _private_megabytes()
    arrays = {name: value for name, value in parcel.value.items() if isinstance(value, np.ndarray)}
    pipe.send(
        {
            "sums": {name: array.sum() for name, array in arrays.items()},
            "writeable": {name: array.flags.writeable for name, array in arrays.items()},
            "length": len(parcel.value["text"]),
            "private_megabytes": _private_megabytes() - before,
        }
    )


def _private_megabytes() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024
