"""`centernet train`: read the experiment, choose the output folder, train."""

from __future__ import annotations

from collections.abc import Sequence

from centernet.cli import options

DESCRIPTION = """Train a detector.

  centernet train --data_dir DIR --train-config cfg/resnet_18_coco_fp.yaml -o OUT
  centernet train ... --processes 4               the same on four processes of this machine
  mpirun -n 4 centernet train ...                 the same, also on several machines
  centernet train ... -o OUT --resume-from latest go on where it stopped"""


def main(typed: Sequence[str], *, program: str) -> int:
    """Train; the exit code is 0, or 128 + the signal's number where one ended training early."""
    parser = options.make_parser("train", DESCRIPTION, program=program)
    arguments = options.parse(parser, "train", typed)
    from centernet.experiment import choice, devices, train  # here: --help must not wait for NNabla

    given = vars(arguments)
    chosen = options.choice(arguments)
    experiment = choice.experiment(chosen)
    return train.train(
        experiment,
        output=given.get("output"),
        start=train.Start(resume_from=given.get("resume_from"), checkpoint=given.get("checkpoint")),
        extension=given.get("extension_module", "auto"),
        gpu=devices.gpu(given.get("gpus")),
    )
