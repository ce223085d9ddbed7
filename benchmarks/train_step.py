"""What the trainer costs: one of its iterations over NNabla's bare forward, backward and update of the same graph.

    python benchmarks/train_step.py     claim: at most 1.05, best of five interleaved rounds

The trainer's part reads JPEG files, augments and encodes in its threads, feeds, sums counts, checks, updates and reports.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import nnabla as nn

from centernet.engine.communicator import Single
from centernet.engine.graph import LossGraph
from centernet.engine.solver import Solver
from report import Claim, finish, interleaved
from workload import Workload, workload

ROUNDS = 5
AIM = 1.05
BATCH = 8
STEPS = 10  # of one measurement


class Stopwatch:
    """A monitor, the last of them: when each step was done and reported."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def stepped(self, *_: object, **__: object) -> None:
        self.times.append(perf_counter())

    def started(self, *_: object, **__: object) -> None:
        """Not measured, and so are the others below."""

    epoch_ended = validated = ended = started


def bare(work: Workload) -> Callable[[], float]:
    """A function that measures seconds per step of nothing but NNabla on a fed graph."""
    arrays = next(iter(work.loader.epoch(0))).arrays
    shapes = tuple((name, () if name in work.assembly.task.counts else array.shape) for name, array in sorted(arrays.items()))
    graph = LossGraph(shapes, work.losses, work.assembly.task.loss_weights)
    graph.feed(arrays, {name: float(arrays[name].sum()) for name in work.assembly.task.counts})
    solver = Solver(work.config.train.solver)
    solver.set_parameters({name: p for name, p in work.assembly.network.parameters().items() if p.need_grad})

    def measure() -> float:
        start = perf_counter()
        for _ in range(STEPS):
            nn.forward_all([graph.losses, graph.total], clear_no_need_grad=True)
            solver.zero_grad()
            graph.total.backward(clear_buffer=True)
            solver.update(1e-3)
        return (perf_counter() - start) / STEPS

    return measure


def trained(work: Workload) -> Callable[[], float]:
    """A function that measures seconds from one iteration of the trainer to the next, within an epoch."""
    stopwatch = Stopwatch()
    trainer = work.trainer(Single(), stopwatch)

    def measure() -> float:
        stopwatch.times.clear()
        with work.assembly.network.parameter_scope():
            trainer.fit()
        return (stopwatch.times[-1] - stopwatch.times[0]) / (len(stopwatch.times) - 1)

    return measure


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        # Two networks of one architecture: neither may find the other's buffers in place.
        works = [workload(Path(folder), num_images=BATCH * STEPS, batch_size=BATCH, communicator=Single()) for _ in range(2)]
        measures = {"bare": bare(works[0]), "trainer": trained(works[1])}
        for measure in measures.values():
            measure()  # builds the graphs and allocates
        values = interleaved(measures, rounds=ROUNDS, unit="s")
    best = {name: min(of_measure) for name, of_measure in values.items()}
    return finish(Claim("train_step", best["trainer"] / best["bare"], AIM, "ratio", at_least=False))


if __name__ == "__main__":
    sys.exit(main())
