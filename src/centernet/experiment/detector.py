"""A network that detects: its session, its preprocessing and its classes put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly
from centernet.experiment.description import Description
from centernet.experiment.inference_graph import Machine, session
from centernet.experiment.schema import Positive, TestConfig
from centernet.inference.predictor import Inspection, Predictor
from centernet.inference.preprocess import InputSpec
from centernet.inference.session import Session
from centernet.structures import Array, Detections


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to detect; None is what the file says, or the task's default. See `schema.TestConfig`."""

    k: Positive = 100
    max_detections: Positive = 128
    input_size: tuple[Positive, Positive] | None = None
    keep_resolution: bool = False
    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    batch_size: Positive = 1
    with_maps: bool = False  # also give the heatmap out, for drawing


def options_of(test: TestConfig) -> Options:
    """How a configuration's section `test` says to detect."""
    names = ("k", "max_detections", "keep_resolution", "scales", "batch_size")
    return Options(**{name: getattr(test, name) for name in names})


class Detector(Predictor):
    """A `Predictor` that knows its classes and where it came from: what `centernet.load` returns."""

    def __init__(self, session: Session, assembly: Assembly, options: Options) -> None:
        self.description = assembly.description
        self.assembly = assembly
        self._k = options.k
        super().__init__(
            session,
            self._read_outputs,
            input_spec(assembly.description, options),
            class_names=assembly.description.class_names,
            scales=options.scales,
            merge=partial(assembly.task.merge_scales, limit=options.max_detections),
            batch_size=options.batch_size,
        )

    def _read_outputs(self, outputs: dict[str, Array]) -> list[Detections]:
        """What the graph decoded, or, from a file with raw heads under their published names, what is decoded here."""
        task = self.assembly.task
        published = {head.scope: name for name, head in task.heads.items()}
        if not published.keys() <= outputs.keys():
            return task.read_decoded(outputs)
        axes = (0, 3, 1, 2) if self.description.layout == "nhwc" else (0, 1, 2, 3)
        raw = {name: outputs[scope].transpose(axes) for scope, name in published.items()}
        return task.decode(raw, k=min(self._k, raw[next(iter(raw))][0].size), stride=self.description.stride)

    def in_input(self, inspection: Inspection) -> Detections:
        """What `inspect` found, in pixels of the network's input."""
        return self._read_outputs(inspection.outputs)[0]

    def maps(self, inspection: Inspection) -> dict[str, Array]:
        """What every head said of the inspected image, (C, h, w) by its name; heatmaps in [0, 1], the rest as it is.

        The file must have been opened `with_maps`.

        Raises:
            ConfigError: the model is an exported file that gives detections only.
        """
        maps = {}
        for name, head in self.assembly.task.heads.items():
            values = next((inspection.outputs[key][0] for key in (name, head.scope) if key in inspection.outputs), None)
            if values is None:
                raise ConfigError("--debug 2: the model was exported with --decode, without its maps; use --debug 1, or the parameters (.h5)")
            values = values.transpose(2, 0, 1) if self.description.layout == "nhwc" else values
            maps[name] = np.exp(-np.logaddexp(0, -values)) if head.kind == "heatmap" else np.asarray(values)
        return maps


def detector(assembly: Assembly, machine: Machine, options: Options) -> Detector:
    """Detect with the parameters an assembly holds now; OpenVINO takes a copy, NNabla follows their changes."""
    size = input_spec(assembly.description, options).size
    return Detector(session(assembly, machine, k=options.k, size=size, with_maps=options.with_maps), assembly, options)


def input_spec(description: Description, options: Options) -> InputSpec:
    """The one preprocessing, as a model file fixes it and the options change it."""
    return InputSpec(
        size=options.input_size or description.input_size,
        normalization=description.normalization,
        channels=description.input_channels,
        layout=description.layout,
        keep_resolution=options.keep_resolution,
    )
