"""`centernet train`: read the experiment, choose the output folder, train."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from centernet.cli import launch, parsing
from centernet.errors import ConfigError

DESCRIPTION = """Train a detector.

  centernet train --data_dir DIR --train-config cfg/resnet_18_coco_fp.yaml -o OUT
  centernet train ... --processes 4               the same on four processes of this machine
  mpirun -n 4 centernet train ...                 the same, also on several machines
  centernet train ... -o OUT --resume-from latest go on where it stopped"""


def main(typed: Sequence[str], *, program: str) -> int:
    """Train; the exit code is 0, or 128 + the signal's number where one ended training early."""
    parser = parsing.make_parser("train", DESCRIPTION, program=program)
    arguments = parsing.parse(parser, "train", typed)
    # Here: --help must not wait for NNabla.
    from centernet.experiment import choice, data_folder, devices, model_files, origin, processes, train
    from centernet.weights.torch_import import is_checkpoint

    count: int = vars(arguments).get("processes", 1)
    if count > 1 and not launch.is_launched():
        if processes.num_started() > 1:
            raise ConfigError(
                f"--processes {count}: mpirun has started {processes.num_started()} processes already; leave one of the two out"
            )
        return launch.run_processes([sys.executable, "-m", "centernet", "train", *typed], count=count)

    given = vars(arguments)
    chosen, path = parsing.choice(arguments), given.get("checkpoint")
    if path is not None:
        chosen = origin.with_its_network(chosen, path) if is_checkpoint(path) else model_files.with_its_experiment(chosen, path)
    resumed = given.get("output") if "resume_from" in given else None
    experiment = data_folder.with_data_folder(choice.experiment(chosen), training=resumed)
    devices.tell_unused(given.get("gpus"))
    return train.train(
        experiment,
        output=given.get("output"),
        start=train.Start(resume_from=given.get("resume_from"), checkpoint=path, allow_partial="allow_partial" in given),
        extension=given.get("extension_module", "auto"),
        gpu=devices.take(given.get("gpus")),
    )
