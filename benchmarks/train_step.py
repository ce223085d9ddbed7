"""What the trainer costs: one of its iterations over NNabla's bare forward, backward and update of the same graph.

    python benchmarks/train_step.py     claim: at most 1.05, best of five interleaved rounds

The trainer's part reads JPEG files, augments and encodes in its thread, feeds, sums counts, checks and updates.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import nnabla as nn
import nnabla.solvers as S
from report import Claim, finish, interleaved
from workload import LEARNING_RATE, Workload, workload

from centernet.engine.communicator import Single
from centernet.engine.graph import LossGraph

ROUNDS = 5
AIM = 1.05
BATCH = 8
STEPS = 6  # of one measurement


def bare(work: Workload) -> Callable[[], float]:
    """A function that measures seconds per step of nothing but NNabla on a fed graph."""
    arrays = next(iter(work.loader.epoch(0))).arrays
    shapes = tuple((name, () if name in work.task.counts else array.shape) for name, array in sorted(arrays.items()))
    graph = LossGraph(shapes, work.losses, work.task.loss_weights)
    graph.feed(arrays, {name: float(arrays[name].sum()) for name in work.task.counts})
    with work.network.parameter_scope():
        solver = S.Adam(LEARNING_RATE)
        solver.set_parameters(nn.get_parameters())

    def measure() -> float:
        start = perf_counter()
        for _ in range(STEPS):
            nn.forward_all([graph.losses, graph.total], clear_no_need_grad=True)
            solver.zero_grad()
            graph.total.backward(clear_buffer=True)
            solver.update()
        return (perf_counter() - start) / STEPS

    return measure


def trained(work: Workload) -> Callable[[], float]:
    """A function that measures seconds per iteration of a whole epoch of the trainer, the start of its loader included."""
    trainer = work.trainer(Single())

    def measure() -> float:
        start = perf_counter()
        with work.network.parameter_scope():
            trainer.fit()
        return (perf_counter() - start) / STEPS

    return measure


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        # Two networks of one architecture: neither may find the other's buffers in place.
        works = [workload(Path(folder) / "shapes", global_batch=BATCH, num_batches=STEPS, communicator=Single()) for _ in range(2)]
        measures = {"bare": bare(works[0]), "trainer": trained(works[1])}
        for measure in measures.values():
            measure()  # builds the graphs and allocates
        values = interleaved(measures, rounds=ROUNDS, unit="s")
    best = {name: min(of_measure) for name, of_measure in values.items()}
    return finish(Claim("train_step", best["trainer"] / best["bare"], AIM, "ratio", at_least=False))


if __name__ == "__main__":
    sys.exit(main())
