"""The way training goes on GPUs, with a stand-in for NNabla's communicator that works on the host: parameters as on CPUs.

Argument: the file, as of `train_and_save.py`. Backward itself communicates with NNabla's only, so gradients are summed after it.
"""

import sys
from pathlib import Path

import nnabla as nn
import nnabla.communicators
import numpy as np
import toy
from mpi4py import MPI

from centernet.engine import step as steps
from centernet.engine.communicator import Nccl
from centernet.engine.endings import ending_all

WORLD = MPI.COMM_WORLD


class StandIn:
    def __init__(self, context):
        assert all(backend.endswith(":float") for backend in context.backend), context
        self.size = self.rank = None
        self.asked = []

    def init(self):
        self.size, self.rank = WORLD.Get_size(), WORLD.Get_rank()

    def all_reduce(self, arrays, division, inplace):
        for array in arrays:
            WORLD.Allreduce(MPI.IN_PLACE, array.data)
            if division:
                array.data[...] /= self.size

    def all_reduce_callback(self, arrays, pack_size, division):
        assert not division, "losses are divided by the counts of the global batch"
        self.asked.append(len(arrays))


nnabla.communicators.MultiProcessDataParallelCommunicator = StandIn
steps.is_plain_cpu = lambda context: False

communicator = Nccl(nn.Context(["cpu:half", "cpu:float"], "CpuCachedArray", str(WORLD.Get_rank())))
with ending_all(communicator):
    toy.draw_parameters(seed=communicator.rank)
    step = toy.make_step(communicator, batch_stat=False, gradient_clip=20.0, accumulate=2)
    loader = toy.Loader(rank=communicator.rank, size=communicator.size)
    reports = [step.run(batch.arrays, 1e-2) for batch in list(loader.epoch(0))[:3]]
    assert communicator.core.asked == [5] * 3, "once in a step, for all gradients"
    everyone = communicator.gather(toy.parameter_values())
    assert all((values[name] == everyone[0][name]).all() for values in everyone for name in values), "ranks differ"
    if communicator.rank == 0:
        totals = {"totals": [report.total for report in reports], "norms": [report.gradient_norm for report in reports]}
        np.savez(Path(sys.argv[1]), **totals, **everyone[0])
