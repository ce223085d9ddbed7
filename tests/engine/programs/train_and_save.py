"""Train the toy for three steps with frozen batch norm and save the parameters; the global batch is always 4.

Arguments: the file; `in_parts`: parameters in groups; `accumulate`: two batches one after the other make a step;
`average`: the parameters' moving average is saved too.
"""

import sys
from pathlib import Path

import numpy as np
import toy

from centernet.engine.communicator import create
from centernet.engine.endings import ending_all
from centernet.engine.moving_average import MovingAverage, MovingAverageConfig

communicator = create()
with ending_all(communicator):
    toy.draw_parameters(seed=communicator.rank)  # different on purpose: training must start from rank 0's
    options = toy.IN_PARTS if "in_parts" in sys.argv else {}
    if "accumulate" in sys.argv:
        options = {**options, "accumulate": 2}
    average = MovingAverage(MovingAverageConfig(decay=0.6)) if "average" in sys.argv else None
    step = toy.make_step(communicator, batch_stat=False, gradient_clip=20.0, average=average, **options)
    loader = toy.Loader(rank=communicator.rank, size=communicator.size)
    reports = [step.run(batch.arrays, 1e-2) for batch in list(loader.epoch(0))[:3]]
    averages = average.values() if average is not None else {}
    everyone = communicator.gather(toy.parameter_values() | {f"average of {name}": values for name, values in averages.items()})
    assert all((values[name] == everyone[0][name]).all() for values in everyone for name in values), "ranks differ"
    if communicator.rank == 0:
        totals = {"totals": [report.total for report in reports], "norms": [report.gradient_norm for report in reports]}
        np.savez(Path(sys.argv[1]), **totals, **everyone[0])
