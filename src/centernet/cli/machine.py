"""What `test`, `demo` and `export` share: the model file, what it says of itself, and where it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centernet.cli import options
from centernet.errors import ConfigError

if TYPE_CHECKING:
    from centernet.experiment.choice import Choice
    from centernet.experiment.detector import Detector, Machine, Options


def checkpoint(arguments: argparse.Namespace) -> Path:
    """`--checkpoint`; ConfigError where it was not typed."""
    path: Path | None = vars(arguments).get("checkpoint")
    if path is None:
        raise ConfigError("which model? Give --checkpoint FILE (.h5, .nnp or .onnx)")
    return path.expanduser()


def machine(arguments: argparse.Namespace, **defaults: Any) -> Machine:
    """Where to run, from the options; `defaults` for those not typed."""
    from centernet.experiment.detector import Machine

    given = {**defaults, **vars(arguments)}
    fields = {"runtime": "runtime", "precision": "precision", "extension": "extension_module"}
    typed = {name: given[option] for name, option in fields.items() if option in given}
    return Machine(**typed, gpu=options.gpu(given.get("gpus"), index=0), threads=defaults.get("threads"))


def detection_options(arguments: argparse.Namespace, choice: Choice, **defaults: Any) -> Options:
    """How to detect, from the options; `defaults` for those not typed."""
    from centernet.experiment.detector import Options

    given = {**defaults, **vars(arguments)}
    if given.get("keep_res") and given.get("fix_res"):
        raise ConfigError("--keep_res and --fix_res exclude each other")
    fields = {"k": "K", "keep_resolution": "keep_res", "scales": "test_scales", "batch_size": "batch_size", "with_maps": "with_maps"}
    typed = {name: given[option] for name, option in fields.items() if option in given}
    return Options(**typed, input_size=choice.input_size)


def open_detector(path: Path, arguments: argparse.Namespace, **defaults: Any) -> Detector:
    """The model file as the options ask for it.

    Raises:
        ConfigError, WeightsError: what was typed contradicts the file, or the file does not fit.
    """
    from centernet.experiment import choice as choices
    from centernet.experiment import detector, published

    chosen = options.choice(arguments)
    described = published.describe(chosen) if chosen.names_a_network else None
    opened = detector.load(
        path, described=described, machine=machine(arguments, **defaults), options=detection_options(arguments, chosen, **defaults)
    )
    choices.check_agreement(chosen, opened.description.experiment, source=str(path))
    return opened
