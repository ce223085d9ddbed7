"""A network that detects: its session, its preprocessing and its classes put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

from pydantic import Field

from centernet.data.memory import available
from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly
from centernet.experiment.inference_graph import Machine, session
from centernet.experiment.schema import Positive, TestConfig
from centernet.geometry.nms import SoftNms
from centernet.inference.predictor import Inspection, Predictor
from centernet.inference.preprocess import InputSpec
from centernet.inference.session import Session
from centernet.structures import Array, Detections, Grid


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to detect; None is what the file says, or the task's default. See `schema.TestConfig`."""

    k: Positive = 100
    max_detections: Positive = 128
    input_size: tuple[Positive, Positive] | None = None
    keep_resolution: bool = False
    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    flip_test: bool = False
    nms: bool = False
    soft_nms: SoftNms | None = field(default_factory=SoftNms)
    soft_nms_reference: bool = False
    batch_size: Positive = 1
    with_maps: bool = False  # also give the heatmap out, for drawing


def options_of(test: TestConfig) -> Options:
    """How a configuration's section `test` says to detect."""
    return Options(**{name: getattr(test, name) for name in TestConfig.__dataclass_fields__})


def suppression(options: Options) -> SoftNms | None:
    """How detections of one class suppress each other: with several scales, or where it was asked for; None: not at all.

    Raises:
        ConfigError: it was asked for, but not how.
    """
    if options.nms and options.soft_nms is None:
        raise ConfigError("nms: soft_nms must say how to suppress, found none")
    return options.soft_nms if options.nms or len(options.scales) > 1 else None


class Detector(Predictor):
    """A `Predictor` that knows its classes and where it came from: what `centernet.load` returns."""

    def __init__(
        self,
        session: Session,
        assembly: Assembly,
        options: Options,
        *,
        mirrors_inside: bool = True,
        most: int | None = None,
        has_maps: bool = True,
    ) -> None:
        """
        Args:
            options: fewer detections than `k` are kept where there cannot be as many.
            mirrors_inside: where the options say `flip_test`, the session's graph makes the mirror images itself.
            most: detections that the session's graph decodes; None: as many as it was asked for.
            has_maps: whether the session can give raw heads out.
        """
        self.description = assembly.description
        self.assembly = assembly
        self._decodes, self._has_maps = most, has_maps
        places = None if options.keep_resolution else num_places(assembly, options.input_size or self.description.input_size)
        options = replace(options, k=min(limit for limit in (options.k, most, places) if limit is not None))
        self.options = options
        self.suppression = suppression(options) or assembly.task.suppression
        super().__init__(
            session,
            self._read_outputs,
            input_spec(assembly, options),
            class_names=assembly.description.class_names,
            scales=options.scales,
            merge=partial(
                assembly.task.merge_scales,
                limit=min(options.max_detections, options.k * len(options.scales)),
                soft_nms=self.suppression,
                as_reference=options.soft_nms_reference,
            ),
            batch_size=options.batch_size,
            mirrors=options.flip_test and not mirrors_inside,
            memory=available(),
        )

    def _read_outputs(self, outputs: dict[str, Array]) -> list[Detections]:
        """What the graph decoded, or, from a file with raw heads under their published names, what is decoded here."""
        task = self.assembly.task
        published = {name: head.scope for name, head in task.heads.items()}
        if not outputs.keys() >= set(published.values()):
            return task.read_decoded(outputs, k=self.options.k)
        raw = self._raw(outputs, published)
        grid = self._grid(next(iter(raw.values())))
        return task.decode(raw, k=min(self.options.k, grid.num_cells), grid=grid, flipped=self.options.flip_test)

    def _raw(self, outputs: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
        """The raw head maps, NCHW, those of mirror images too; `names`: what each head is called among the outputs."""
        axes = (0, 3, 1, 2) if self.description.layout == "nhwc" else (0, 1, 2, 3)
        return {head: outputs[name].transpose(axes) for head, name in names.items()}

    def _grid(self, maps: Array) -> Grid:
        """Of the input whose maps (B, C, h, w) these are."""
        stride = self.description.stride
        height, width = (cells * stride - missing for cells, missing in zip(maps.shape[2:], self.spec.missing, strict=True))
        return Grid(height, width, stride)

    @property
    def could_give_maps(self) -> bool:
        """Whether it can be opened `with_maps`: not where the model is an exported file that gives detections only."""
        return self._has_maps

    def check_maps(self) -> None:
        """ConfigError where the model is an exported file that gives detections only."""
        if not self._has_maps:
            raise ConfigError("--debug 2: the model was exported with --decode, without its maps; use --debug 1, or the parameters (.h5)")

    def check_k(self, k: int, *, name: str) -> None:
        """ConfigError, in which `k` is called `name`, where that many detections cannot be had."""
        if k <= self.options.k:
            return
        if self._decodes == self.options.k:
            raise ConfigError(
                f"{name}: found {k}, but the file was exported with --decode for {self._decodes}; export it again with --K {k}"
            )
        height, width = self.spec.size
        raise ConfigError(
            f"{name}: found {k}, expected at most {self.options.k}, the cells of the heatmap for an input of {width}x{height} pixels"
        )

    def decoded(self, inspection: Inspection) -> Detections:
        """What `inspect` found before `task.merge_scales`, in pixels of the network's input."""
        return self._read_outputs(inspection.outputs)[0]

    def in_input(self, inspection: Inspection) -> Detections:
        """What `inspect` found, in pixels of the network's input."""
        return self.finish([self.decoded(inspection)])

    def maps(self, inspection: Inspection) -> dict[str, Array]:
        """What every head said of the inspected image, (C, h, w) by its name; heatmaps in [0, 1], the rest as it is.

        Raises:
            ConfigError: as `raw_maps`.
        """
        maps = self.assembly.task.shown_maps(self.raw_maps(inspection), flipped=self.options.flip_test)
        return {name: values[0] for name, values in maps.items()}

    def raw_maps(self, inspection: Inspection) -> dict[str, Array]:
        """The same as `task.decode` takes them: (1, C, h, w) by the head's name, heatmaps as logits; (2, C, h, w) of a flip test.

        The file must have been opened `with_maps`.

        Raises:
            ConfigError: the model is an exported file that gives detections only.
        """
        self.check_maps()
        return self.head_maps(inspection.outputs)

    def head_maps(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The same of the session's outputs for a batch; the detector must have been opened `with_maps`."""
        heads = self.assembly.task.heads
        names = {name: key for name, head in heads.items() for key in (head.scope, name) if key in outputs}
        assert names.keys() == heads.keys(), "not opened `with_maps`"
        return self._raw(outputs, names)


def num_places(assembly: Assembly, size: tuple[int, int]) -> int:
    """Cells of the heatmap for an input of (height, width): more objects than those cannot be told apart."""
    rows, columns = (-(-side // assembly.network.stride) for side in size)
    return rows * columns


def detector(assembly: Assembly, machine: Machine, options: Options) -> Detector:
    """Detect with the parameters an assembly holds now; OpenVINO takes a copy, NNabla follows their changes."""
    size = input_spec(assembly, options).size
    runs = session(assembly, machine, k=options.k, size=size, with_maps=options.with_maps, flip_test=options.flip_test)
    return Detector(runs, assembly, options)


def input_spec(assembly: Assembly, options: Options) -> InputSpec:
    """The one preprocessing, as a model file fixes it and the options change it."""
    description = assembly.description
    return InputSpec(
        size=options.input_size or description.input_size,
        normalization=description.normalization,
        channels=description.input_channels,
        layout=description.layout,
        keep_resolution=options.keep_resolution,
        multiple=assembly.network.input_multiple,
    )
