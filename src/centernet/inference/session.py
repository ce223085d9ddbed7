"""One batch through a network, whatever runs it: what all runtimes have in common, NNabla and ONNX Runtime."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import nnabla as nn
import nnabla.functions as F
import numpy as np

from centernet.errors import ConfigError, DeviceError
from centernet.structures import Array

Shape = tuple[int, ...]

Graph = TypeVar("Graph")

PIXELS = "image"  # the name of an input that is pixels in formats whose inputs have no type
KEPT_GRAPHS = 4  # one per input shape; more than a few only come up with keep_resolution


class Session(Protocol):
    """What a predictor needs of a runtime; `parallel_runs`: from how many threads it is best run at a time, 1: from one only."""

    @property
    def parallel_runs(self) -> int: ...

    @property
    def summary(self) -> str:
        """Runtime and precision in a few words, for the log."""

    @property
    def precision(self) -> str:
        """What the network is computed in."""

    def run(self, image: Array) -> dict[str, Array]:
        """The network's outputs by name.

        image: what the model's input is: (B, H, W, 3) uint8 BGR where the graph begins with the normalisation, else normalised
            (B, C, H, W) or (B, H, W, C) float32. Outputs have the batch as their first axis.
        """


class Recent(Generic[Graph]):
    """What `make` makes of an input shape; the last few are kept."""

    def __init__(self, make: Callable[[Shape], Graph], keep: int = KEPT_GRAPHS) -> None:
        self._make, self._keep = make, keep
        self._made: OrderedDict[Shape, Graph] = OrderedDict()

    def __getitem__(self, shape: Shape) -> Graph:
        if shape not in self._made:
            while len(self._made) >= self._keep:
                self._made.popitem(last=False)
            self._made[shape] = self._make(shape)
        self._made.move_to_end(shape)
        return self._made[shape]


class SessionForEachSize:
    """Sessions of models that take one image of a fixed size, made when the size first comes up."""

    def __init__(self, make: Callable[[Shape], Session], first: Shape) -> None:
        """
        Args:
            make: a session for an input shape with a batch of 1. first: the shape it is made for at once.
        """
        self._sessions = Recent(make)
        self._any = self._sessions[first]

    @property
    def parallel_runs(self) -> int:
        return self._any.parallel_runs

    @property
    def summary(self) -> str:
        return self._any.summary

    @property
    def precision(self) -> str:
        return self._any.precision

    def run(self, image: Array) -> dict[str, Array]:
        single = (1, *image.shape[1:])
        return self._sessions[single].run(image)


class NnablaSession:
    """NNabla itself: one static graph per input shape."""

    parallel_runs = 1

    def __init__(self, build: Callable[[nn.Variable], Mapping[str, nn.Variable]], *, context: nn.Context | None = None) -> None:
        """
        Args:
            build: makes the outputs from the input variable, in inference mode; called once per input shape.
            context: the device; default: NNabla's current one.
        """
        self._build = build
        self._context = context or nn.get_current_context()
        self._graphs = Recent(self._make)

    @property
    def summary(self) -> str:
        return f"NNabla {nn.__version__} ({self._context.backend[0].split(':')[0]}), {self.precision}"

    @property
    def precision(self) -> str:
        return "float16" if any("half" in backend for backend in self._context.backend) else "float32"

    def run(self, image: Array) -> dict[str, Array]:
        source, outputs, everything = self._graphs[image.shape]
        with nn.context_scope(self._context):
            source.d = image
            everything.forward(clear_buffer=True)
            return {name: np.array(variable.d) for name, variable in outputs.items()}

    def _make(self, shape: Shape) -> tuple[nn.Variable, dict[str, nn.Variable], nn.Variable]:
        with nn.context_scope(self._context), nn.auto_forward(False):
            source, outputs = self._variables(shape)
            for variable in outputs.values():
                variable.persistent = True  # else clear_buffer clears it
            return source, outputs, F.sink(*outputs.values())

    def _variables(self, shape: Shape) -> tuple[nn.Variable, dict[str, nn.Variable]]:
        source = nn.Variable(shape)
        return source, dict(self._build(source))


class NnpSession(NnablaSession):
    """An .nnp file; height, width and the number of channels are the file's, and so is the batch in some."""

    def __init__(self, path: str | os.PathLike[str], *, context: nn.Context | None = None, network: str = "runtime") -> None:
        """
        Raises:
            ConfigError: the file is missing or is not an .nnp with that network.
        """
        from nnabla.utils.nnp_graph import NnpLoader

        self.path = Path(path)
        try:
            known = NnpLoader(str(path)).get_network_names()
        except Exception as error:
            raise ConfigError(f"{self.path}: cannot be read as .nnp: {error}") from error
        if network not in known:
            raise ConfigError(f"{self.path}: has no network '{network}'; it has: {', '.join(known)}")
        self._network = network
        super().__init__(self._no_build, context=context)
        with nn.auto_forward(False):
            # A file with a fixed batch answers with it, whatever batch is asked for.
            (name, source), *_ = self._network_of(1).inputs.items()
            one, two = source.shape, self._network_of(2).inputs[name].shape
        self.takes_pixels = name == PIXELS
        self.output_names = tuple(self._network_of(1).outputs)
        self.input_shape: tuple[int | None, ...] = (one[0] if one == two else None, *one[1:])

    def run(self, image: Array) -> dict[str, Array]:
        return in_batches_of(self.input_shape, image, super().run, name=str(self.path))

    @staticmethod
    def _no_build(_: nn.Variable) -> Mapping[str, nn.Variable]:
        raise AssertionError("the file holds the graph")

    def _network_of(self, batch: int) -> Any:
        from nnabla.utils.nnp_graph import NnpLoader

        # NNabla publishes the file's parameters in the current scope, where they would meet those of other networks. A loader
        # gives networks of one batch size only: shapes that depend on it are settled with the first.
        with nn.parameter_scope("", OrderedDict()):
            return NnpLoader(str(self.path)).get_network(self._network, batch_size=batch)

    def _variables(self, shape: Shape) -> tuple[nn.Variable, dict[str, nn.Variable]]:
        network = self._network_of(shape[0])
        (source,) = network.inputs.values()
        return source, dict(network.outputs)


class OnnxRuntimeSession:
    """ONNX Runtime on the CPU; slower than OpenVINO, here for comparison and where OpenVINO has no wheels."""

    parallel_runs = 1

    def __init__(self, model: bytes | str | os.PathLike[str], *, threads: int | None = None, stored: str = "float32") -> None:
        """
        Args:
            stored: the precision of the model's numbers.

        Raises:
            DeviceError: ONNX Runtime is not installed, or lacks an operator of the model.
            ConfigError: the file is missing or is not ONNX.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise DeviceError("runtime onnxruntime is not installed; `pip install onnxruntime`, or use --runtime openvino") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._version = onnxruntime.__version__
        self.precision = precision_text("float32", stored)
        self._name = "the model" if isinstance(model, bytes) else os.fspath(model)
        try:
            source = model if isinstance(model, bytes) else os.fspath(model)
            self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions derive from nothing more special
            if type(error).__name__ == "NotImplemented":
                what = str(error).rpartition(" : ")[2].strip()
                raise DeviceError(f"{self._name}: ONNX Runtime {self._version} cannot run it: {what}; use --runtime openvino") from error
            raise ConfigError(f"{self._name}: cannot be read as ONNX: {error}") from error

    @property
    def summary(self) -> str:
        return f"ONNX Runtime {self._version}, {self.precision}"

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The model's input shape, None for an open axis."""
        return tuple(axis if isinstance(axis, int) else None for axis in self._session.get_inputs()[0].shape)

    @property
    def takes_pixels(self) -> bool:
        """Whether the input is bytes."""
        return bool(self._session.get_inputs()[0].type == "tensor(uint8)")

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(output.name for output in self._session.get_outputs())

    def run(self, image: Array) -> dict[str, Array]:
        return in_batches_of(self.input_shape, image, self._run, name=self._name)

    def _run(self, image: Array) -> dict[str, Array]:
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {self._session.get_inputs()[0].name: image}), strict=True))


def precision_text(computed: str, stored: str) -> str:
    """What a model computes in, and what else its numbers are in: `int8 and float32`."""
    return computed if stored == computed else f"{stored} and {computed}"


def in_batches_of(
    shape: tuple[int | None, ...] | None, image: Array, run: Callable[[Array], dict[str, Array]], *, name: str
) -> dict[str, Array]:
    """`run(image)` where the model's input shape allows it; image by image where the model takes one at a time."""
    if shape is None:
        return run(image)
    single = shape[0] == 1
    accepted = (None, *shape[1:]) if single else shape
    if len(image.shape) != len(accepted) or any(want not in (None, have) for have, want in zip(image.shape, accepted, strict=True)):
        expected = "x".join("any" if size is None else str(size) for size in accepted)
        found = "x".join(map(str, image.shape))
        raise ConfigError(f"{name}: its input is {expected}, found {found}; use the size it was exported with, or export it again")
    if not single or len(image) == 1:
        return run(image)
    parts = [run(image[i : i + 1]) for i in range(len(image))]
    return {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}
