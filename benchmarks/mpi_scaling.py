"""How much faster two processes train than one, on two cores and with the same batch per process.

python benchmarks/mpi_scaling.py    claim: at least 1.8 times the images per second, best of five interleaved rounds
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

from report import Claim, environment, finish, interleaved

ROUNDS = 5
AIM = 1.8
BATCH = 8  # per process
IMAGES = 320  # of one measurement


def images_per_second(folder: Path, processes: int) -> float:
    """One mpirun that trains an epoch to warm up and measures a second one."""
    command = ["mpirun", "-n", str(processes), sys.executable, __file__, "--train", str(folder)]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return float(result.stdout.splitlines()[-1])


def train(folder: Path) -> int:
    """What each process runs; rank 0 prints the images per second over all of them."""
    from centernet.engine import communicator
    from workload import workload

    world = communicator.create()
    work = workload(folder, num_images=IMAGES, batch_size=BATCH, communicator=world)
    trainer = work.trainer(world)
    with work.assembly.network.parameter_scope():
        trainer.fit()
        world.barrier()
        start = perf_counter()
        trainer.fit()
        world.barrier()
    if world.rank == 0:
        print(IMAGES / (perf_counter() - start), flush=True)
    return 0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        measures = {f"{n} process{'es'[: 2 * (n > 1)]}": partial(images_per_second, Path(folder), n) for n in (1, 2)}
        values = interleaved(measures, rounds=ROUNDS, unit="images/s")
    one, two = (max(of_measure) for of_measure in values.values())
    return finish(Claim("mpi_scaling", two / one, AIM, "ratio", at_least=True))


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[2])) if sys.argv[1:2] == ["--train"] else main())
