"""How loading scales: two workers beside one, processes beside threads, and how long a trainer waits that needs no processor.

    python benchmarks/loader_scaling.py     claims: 2 workers load at least 1.8 times as fast as 1 on two cores;
                                            a trainer that only sleeps, longer than a batch takes to load, waits under 2 %

COCO's settings (512x512, 80 classes) on JPEG files of 500x375 pixels, batches of 8. Wall time, so other work on the machine
makes every number worse; rounds are interleaved and the best one counts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from time import perf_counter

import numpy as np

from centernet.data import memory, sampler
from centernet.data.loader import Loader
from centernet.data.pipeline import Pipeline
from centernet.imaging.io import limit_threads
from input_pipeline import SETTINGS, product
from photographs import photographs
from report import Claim, finish, interleaved

AIM_SCALING, AIM_WAITING = 1.8, 0.02
ROUNDS, BATCH, IMAGES = 5, 8, 256
SLEEP = 1.5  # times what a batch takes to load


def by_processes(pipeline: Pipeline, workers: int) -> Callable[[], float]:
    """Images per second of the loader: an epoch, each time another one, after its first batch."""
    loader, number = Loader(pipeline, global_batch=BATCH, workers=workers, prefetch=4), iter(range(1000))

    def measure() -> float:
        batches = loader.epoch(next(number))
        next(batches)
        start = perf_counter()
        rest = sum(len(batch.names) for batch in batches)
        return rest / (perf_counter() - start)

    return measure


def by_threads(pipeline: Pipeline, workers: int) -> Callable[[], float]:
    """The same with threads that write into reused batches."""
    specs, number = pipeline.specs(0), iter(range(1000))
    slots = [{name: np.zeros((BATCH, *shape), dtype) for name, (shape, dtype) in specs.items()} for _ in range(5)]

    def fill(epoch: int, index: int, batch: int, position: int) -> None:
        pipeline.item(epoch, index, out={name: array[position, ...] for name, array in slots[batch % len(slots)].items()})

    def measure() -> float:
        epoch = next(number)
        with ThreadPoolExecutor(workers) as pool:
            start = perf_counter()
            batches = enumerate(sampler.batches_for_rank(len(pipeline), global_batch=BATCH, epoch=epoch))
            waiting = [pool.submit(fill, epoch, int(i), k, position) for k, indices in batches for position, i in enumerate(indices)]
            for future in waiting:
                future.result()
            return len(waiting) / (perf_counter() - start)

    return measure


def waiting(pipeline: Pipeline, seconds: float) -> float:
    """Share of the time that a trainer which sleeps for `seconds` a step waits for two workers; two epochs after one to warm up."""
    with Loader(pipeline, global_batch=BATCH, workers=2, prefetch=4, epochs=3) as loader:
        for epoch in range(3):
            if epoch == 1:
                start, before = perf_counter(), loader.wait_seconds
            for _ in loader.epoch(epoch):
                time.sleep(seconds)
        return (loader.wait_seconds - before) / (perf_counter() - start)


def worker_megabytes() -> float:
    """The largest memory of a worker that it shares with nobody."""
    sizes = []
    for child in active_children():
        lines = Path(f"/proc/{child.pid}/smaps_rollup").read_text().splitlines()
        sizes.append(sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean"))) / 1024)
    return max(sizes)


def main() -> int:
    limit_threads(1)
    side, num_classes = SETTINGS["COCO 512"]
    with tempfile.TemporaryDirectory() as folder:
        pipeline = product(photographs(Path(folder), IMAGES, num_classes=num_classes), side, num_classes)
        measures = {f"{kind} {workers}": make(pipeline, workers) for kind, make in KINDS.items() for workers in (1, 2)}
        best = {name: max(values) for name, values in interleaved(measures, rounds=ROUNDS, unit="images/s").items()}
        print(f"a worker process holds {worker_megabytes():.0f} MB of its own; estimated: {memory.WORKER_BYTES / 2**20:.0f} MB")
        for kind in KINDS:
            print(f"{kind}: {best[f'{kind} 1']:.0f} -> {best[f'{kind} 2']:.0f} images/s, {best[f'{kind} 2'] / best[f'{kind} 1']:.2f} times")
        seconds = SLEEP * BATCH / best["processes 2"]
        shares = interleaved({"waiting": partial(waiting, pipeline, seconds)}, rounds=ROUNDS, unit="of the time")
    return finish(
        Claim("loader_scaling", best["processes 2"] / best["processes 1"], AIM_SCALING, "ratio", at_least=True),
        Claim("loader_waiting", min(shares["waiting"]), AIM_WAITING, "share", at_least=False),
    )


KINDS: dict[str, Callable[[Pipeline, int], Callable[[], float]]] = {"processes": by_processes, "threads": by_threads}

if __name__ == "__main__":
    sys.exit(main())
