"""Train the toy with frozen batch norm; at batch 2 of epoch 1 something happens to one rank. Goes on from a checkpoint, if any.

Arguments: folder, what happens, to which rank. The parameters at the end go to `end.npz`, the first batch of images to `served`.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import toy

from centernet.engine import checkpoint
from centernet.engine.communicator import create

folder, how, guilty = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
# Where time is what ends the training, it is short; on a busy machine a healthy process may take longer than that.
communicator = create(timeout=240.0 if how in ("none", "kill", "term", "memory", "hang") else 6.0)


@dataclass
class Loader(toy.Loader):
    """In trouble before the batch is given."""

    def epoch(self, epoch, start_batch=0):
        for number, batch in enumerate(super().epoch(epoch, start_batch), start_batch):
            if (epoch, number, communicator.rank) == (1, 2, guilty):
                if how == "hang":
                    communicator._pulse._timeout = 3.0  # its own alone
                happen()
            yield batch


def happen():
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "hang":
        time.sleep(600)
    if how == "cut":
        subprocess.run(["ip", "link", "set", "eth0", "down"], check=True)
    if how == "memory":
        raise MemoryError("Unable to allocate 8.00 TiB")


toy.draw_parameters()
trainer = toy.make_trainer(
    communicator,
    folder,
    loader=Loader(rank=communicator.rank, size=communicator.size),
    step_options={"batch_stat": False},
    save_every=1000,
    save_seconds=600.0 if how == "term" else 0.0,
    data_seconds=0.0,
)
start = None
if (folder / "checkpoint_interrupted.json").exists():
    found = checkpoint.load(folder)
    checkpoint.restore(found, trainer.step)
    start = found.progress
communicator.barrier()  # all have read it before one writes the next
result = trainer.fit(start)
if communicator.rank == 0:
    np.savez(folder / "end.npz", **toy.parameter_values())
    (folder / "served").write_text(trainer.loader.served[0])
sys.exit(result.exit_code)
