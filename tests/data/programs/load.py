"""Load with two workers, in one of many ways to end: python load.py START_METHOD ENDING DIARY [processes under mpirun: any]."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numbered

from centernet.data.loader import Loader


def main(start_method: str, ending: str, diary: str) -> None:
    rank, size = 0, 1
    if "OMPI_COMM_WORLD_SIZE" in os.environ:
        from centernet.engine.communicator import create

        communicator = create()
        rank, size = communicator.rank, communicator.size
    received: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    hanging = ending in ("wait", "raise", "exit")
    source = numbered.Numbered({8: "hang_in_c", 9: "hang_in_c"} if hanging else None, seconds=0.01, diary=Path(diary))
    loader = Loader(
        source, global_batch=2, rank=rank, size=size, shuffle=False, workers=2, prefetch=5, epochs=1000, start_method=start_method
    )
    batches = loader.epoch(0)
    names = next(batches).names
    if hanging:
        numbered.wait_for(lambda: not {8, 9}.isdisjoint(numbered.begun(Path(diary), 0)))  # 9 may be queued behind 8
    print("loading", *names, flush=True)
    if ending == "raise":
        raise RuntimeError("the trainer's mistake")
    if ending == "exit":
        sys.exit(3)
    if ending == "die":
        os._exit(4)
    if ending == "wait":
        time.sleep(1000)
    for epoch in range(1000):  # until a signal comes
        for _ in batches if epoch == 0 else loader.epoch(epoch):
            if received:
                print("stopped in order", flush=True)
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
