"""What `test`, `demo` and `export` share: the model file, what it says of itself, and where it runs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from centernet.cli import parsing
from centernet.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from centernet.experiment.choice import Choice
    from centernet.experiment.description import Description
    from centernet.experiment.detector import Detector
    from centernet.experiment.inference_graph import Machine, PrecisionChoice
    from centernet.experiment.schema import ExperimentConfig
    from centernet.inference.openvino_session import Performance


def checkpoint(arguments: argparse.Namespace) -> Path:
    """`--checkpoint`; ConfigError where it was not typed."""
    path: Path | None = vars(arguments).get("checkpoint")
    if path is None:
        raise ConfigError("which model? Give --checkpoint FILE (.h5, .nnp, .onnx, .xml or .pth)")
    return path


def machine(
    arguments: argparse.Namespace, *, precision: PrecisionChoice = "auto", threads: int | None = None, performance: Performance = "latency"
) -> Machine:
    """Where to run, from the options; `precision` and `performance` where they were not typed."""
    from centernet.experiment import devices
    from centernet.experiment.inference_graph import Machine

    given = vars(arguments)
    return Machine(
        runtime=given.get("runtime", "auto"),
        precision=given.get("precision", precision),
        extension=given.get("extension_module", "auto"),
        gpu=devices.gpu(given.get("gpus"), index=0),
        threads=threads,
        performance=given.get("performance", performance),
    )


def description_of(path: Path, chosen: Choice) -> Description:
    """What a model file holds: its own words, else what was typed, and the keys of a checkpoint where that says nothing.

    What was typed must agree with a file's own words.

    Raises:
        WeightsError: the file cannot be read, or neither it nor the options name its network.
        ConfigError: what was typed is wrong, or contradicts the file.
    """
    from centernet.experiment import choice as choices
    from centernet.experiment import model_files, origin, published
    from centernet.weights.torch_import import is_checkpoint

    own = model_files.own_description(path)
    if own is None:
        if is_checkpoint(path):
            chosen = origin.completed(chosen, origin.identify(path, chosen), source=path)
        if not chosen.names_a_network:
            raise WeightsError(f"{path}: {model_files.NO_DESCRIPTION}")
        return published.describe(chosen)
    choices.check_agreement(chosen, own.experiment, source=str(path))
    choices.check_task(chosen.task, own.experiment, source=str(path))
    return own


def open_detector(
    path: Path,
    arguments: argparse.Namespace,
    *,
    with_maps: bool = False,
    precision: PrecisionChoice = "auto",
    threads: int | None = None,
    performance: Performance = "latency",
) -> tuple[Detector, ExperimentConfig]:
    """The model file as the options ask for it, and the experiment it is used in: the typed YAML's, or the file's own.

    Args:
        with_maps: also give the heatmap out.
        precision, performance: where none was typed.
        threads: of the runtime; None: all cores.

    Raises:
        ConfigError, WeightsError: what was typed contradicts the file, or the file does not fit.
    """
    from centernet.experiment import choice as choices
    from centernet.experiment import detector, model_files

    chosen = parsing.choice(arguments)
    description = description_of(path, chosen)
    config = (
        choices.experiment(chosen)
        if chosen.yaml is not None
        else choices.from_description(chosen, description.experiment, source=str(path))
    )
    how = replace(
        detector.options_of(config.test),
        input_size=chosen.input_size,
        with_maps=with_maps,
        batch_size=vars(arguments).get("batch_size", config.test.batch_size),
    )
    where = machine(arguments, precision=precision, threads=threads, performance=performance)
    opened = model_files.load(path, described=description, machine=where, options=how)
    if "soft_nms_reference" in vars(arguments) and opened.suppression is None:
        print("--soft_nms_reference: no effect without --nms or several --test_scales")
    return opened, config


def check_k(arguments: argparse.Namespace, detector: Detector) -> None:
    """ConfigError where more detections were typed than there can be."""
    if "K" in vars(arguments):
        detector.check_k(arguments.K, name="--K")
