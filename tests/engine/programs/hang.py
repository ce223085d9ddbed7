"""Train the toy; one rank hangs, for ever, in what the arguments say: `first` step, computing; `measuring`, computing or `asleep`.

Arguments: which of these, which rank.
"""

import sys
import time

import toy

from centernet.engine.communicator import create

what, guilty = sys.argv[1], int(sys.argv[2])
communicator = create(timeout=240.0)
if communicator.rank == guilty:
    communicator._pulse._timeout = 3.0  # its own alone: a healthy process of a busy machine may take longer than that


def hang():
    while what != "asleep":
        pass
    time.sleep(600)


def metrics(epoch):
    if communicator.rank == guilty and what != "first":
        hang()
    communicator.barrier()
    return {}


toy.draw_parameters()
trainer = toy.make_trainer(communicator, None, metrics=metrics)
if what == "first" and communicator.rank == guilty:
    trainer.step.run = lambda arrays, rate: hang()
trainer.fit()
