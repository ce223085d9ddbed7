"""A network that can be called: `build`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import nnabla as nn
import numpy as np

from centernet.engine.graph import GraphCache, LossGraph
from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.checkpoints import parameters_for
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.fine_tune import begin_with
from centernet.experiment.inference_graph import Machine, from_pixels
from centernet.experiment.model_files import with_settings
from centernet.experiment.notebook.reading import Settings, Source, read
from centernet.experiment.processes import join
from centernet.experiment.published import known_of
from centernet.experiment.schema import ExperimentConfig
from centernet.inference.session import NnablaSession
from centernet.structures import Array, Detections
from centernet.weights.store import write_parameters

Outputs = Mapping[str, Array]
Graph = Mapping[str, nn.Variable]


class Model:
    """A network and what its outputs mean: what `centernet.build` returns.

    assembly: the parts, for those who want them: `assembly.network` (an `nnabla` graph builder that owns the parameters),
    `assembly.task` (targets, losses, decoding). network: `assembly.network`.
    """

    def __init__(self, assembly: Assembly, *, context: nn.Context) -> None:
        """context: the device that arrays are computed on."""
        self.assembly = assembly
        self.network = assembly.network
        self.class_names = assembly.description.class_names
        self._context = context
        self._of_pixels = NnablaSession(lambda pixels: self._heads(from_pixels(assembly, pixels)), context=context)
        self._of_images = NnablaSession(self._heads, context=context)

    @overload
    def __call__(self, images: Array) -> dict[str, Array]: ...

    @overload
    def __call__(self, images: nn.Variable, *, training: bool = False) -> dict[str, nn.Variable]: ...

    def __call__(self, images: Any, *, training: bool = False) -> Any:
        """What the heads say of a batch, by name; those of the last stack, where there are several.

        Args:
            images: pixels, (B, H, W, 3) uint8 BGR (`centernet.imaging.io.read_image`, resized to H x W); or normalised, as the
                loader's `image` entry: (B, C, H, W) float32, (B, H, W, C) in NHWC; or a variable of the latter shape. H and W are
                of any size that the network takes, `data.input_size` or another.
            training: with a variable: parameters take gradients, and batch norm has the batch's own statistics.

        Returns:
            Of arrays, arrays (B, c, h, w) with h = H / stride, computed with the parameters as they are now; of a variable,
            variables in the network's layout, for a graph of one's own. Heatmaps are logits of each class (the sigmoid is the
            score); sizes and offsets are in heatmap cells.

        Raises:
            ConfigError: the shape or type is none of these, or the network does not take the size.
        """
        if isinstance(images, nn.Variable):
            return self.network(images, training=training)[-1]
        if training:
            raise ConfigError("training=True: gradients need a graph; give an nnabla.Variable")
        array = np.asarray(images)
        is_pixels = array.dtype == np.uint8
        shape = self._shape(array, is_pixels=is_pixels)
        if array.shape != shape:
            what = "pixels (uint8)" if is_pixels else f"normalised images ({array.dtype})"
            raise ConfigError(f"found {what} of shape {array.shape}, expected {shape}")
        found = self._of_pixels.run(array) if is_pixels else self._of_images.run(array.astype(np.float32, copy=False))
        axes = (0, 3, 1, 2) if self.network.layout == "nhwc" else (0, 1, 2, 3)
        return {name: values.transpose(axes) for name, values in found.items()}

    @overload
    def decode(self, outputs: Outputs, k: int = 100) -> list[Detections]: ...

    @overload
    def decode(self, outputs: Graph, k: int = 100) -> dict[str, nn.Variable]: ...

    def decode(self, outputs: Mapping[str, Any], k: int = 100) -> Any:
        """The k best objects of each image, from what a call returned.

        Returns:
            Of arrays one `Detections` for each image: boxes (k, 4) xyxy in pixels of the network's input, scores (k,), class_ids
            (k,), best first. Of variables the same as variables, (B, k, ...), by name. Of keypoint triplets the detections may be
            fewer than k, and the variables are (B, n, ...), n >= k, not suppressed, with score 0 where nothing is.

        Raises:
            ConfigError: heads are missing, or k is not between 1 and the number of cells (of variables: is below 1).
        """
        task, network = self.assembly.task, self.network
        missing = sorted(set(task.heads) - set(outputs))
        if missing:
            raise ConfigError(f"decode: no '{missing[0]}' among the outputs; expected {', '.join(task.heads)}")
        first = outputs[next(iter(task.heads))]
        is_graph = isinstance(first, nn.Variable)
        grid = self.assembly.grid.of_cells(*(first.shape[1:3] if is_graph and network.layout == "nhwc" else first.shape[2:4]))
        if not 1 <= k <= grid.num_cells:
            raise ConfigError(f"decode: found k={k}, expected 1 to {grid.num_cells}, the cells of the heatmap")
        if is_graph:
            return dict(task.decode_graph(outputs, k=k, grid=grid, layout=network.layout))
        found = task.decode({name: outputs[name] for name in task.heads}, k=k, grid=grid)
        return [replace(task.merge_scales([one], limit=k), class_names=self.class_names) for one in found]

    def losses(self, arrays: Outputs) -> LossGraph:
        """The losses of a batch of a training loader, as a graph that was fed with it and learns.

        Of the result `total` is the weighted sum, `losses` (n,) the terms that `names` names, for `nn.forward_all`; backward and
        update are yours. A graph is built for each shape of batches that comes up, and fed again when it comes again.
        """
        return self._loss_graphs.fed(arrays)

    def detector(self, **settings: Any) -> Detector:
        """Detect in photographs of any size with the parameters as they are now; settings as `centernet.load` takes them."""
        machine, options = with_settings(Machine(), Options(), settings)
        found = detector(self.assembly, machine, options)
        if "k" in settings:
            found.check_k(settings["k"], name="detector: k")
        return found

    def save(self, path: str | Path) -> Path:
        """Write a parameter file (.h5), which all commands and `centernet.load` read; OutputError where that cannot be."""
        values = {name: np.array(variable.d) for name, variable in self.network.parameters().items()}
        write_parameters(path, values, description=self.assembly.description.to_tree(), need_grad=self.network.trainable)
        return Path(path)

    @cached_property
    def _loss_graphs(self) -> GraphCache:
        task, assembly = self.assembly.task, self.assembly
        return GraphCache(
            lambda inputs: assembly.losses(inputs, training=True),
            loss_weights=task.loss_weights,
            communicator=join().communicator,
            counts=task.counts,
        )

    def _heads(self, image: nn.Variable) -> dict[str, nn.Variable]:
        return self.network(image)[-1]

    def _shape(self, array: Array, *, is_pixels: bool) -> tuple[int, ...]:
        """What the shape should be; ConfigError where it cannot be a batch, or the network does not take its size."""
        if array.ndim != 4 or not (is_pixels or np.issubdtype(array.dtype, np.floating)):
            raise ConfigError(
                f"found {array.dtype} {array.shape}, expected a batch: pixels (B, H, W, 3) uint8 BGR, or normalised "
                f"{'(B, H, W, C)' if self.network.layout == 'nhwc' else '(B, C, H, W)'} float32"
            )
        is_last = is_pixels or self.network.layout == "nhwc"
        height, width = array.shape[1:3] if is_last else array.shape[2:4]
        expected = self.network.input_shape(len(array), height, width)
        return (len(array), height, width, 3) if is_pixels else expected


def build(
    config: Source,
    *,
    data_dir: str | Path | None = None,
    settings: Settings | None = None,
    parameters: str | Path | None = None,
    machine: Machine | None = None,
) -> Model:
    """The network of an experiment, ready to be called.

    Args:
        config, data_dir, settings: see `reading.read`. The classes are the data set's where its folder is known, else those it is
            published with.
        parameters: a file to take them from, as `--checkpoint` of a training; default: drawn with `train.seed`.
        machine: where arrays are computed; a network for Tensor Cores (NHWC) is built as NCHW on a CPU.

    Raises:
        ConfigError: the configuration is wrong, or the classes are unknown without the data.
        WeightsError: the file does not fit.
    """
    experiment = read(config, data_dir=data_dir, settings=settings)
    device = (machine or Machine()).device()
    if not device.is_gpu:
        experiment = _for_cpu(experiment)
    assembly = assemble(experiment, *known_of(experiment.data))
    assembly.network.parameters()
    if parameters is not None:
        path = Path(parameters)
        begin_with(assembly, parameters_for(assembly.network, path), what=path)
    return Model(assembly, context=device.context)


def _for_cpu(experiment: ExperimentConfig) -> ExperimentConfig:
    precision = replace(experiment.train.precision, channel_last=False, pad_input_to=3)
    return replace(experiment, train=replace(experiment.train, precision=precision))
