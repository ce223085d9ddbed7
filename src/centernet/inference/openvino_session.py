"""Networks run by OpenVINO on the CPU: one image at a time as fast as possible, or as many as possible."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, Literal

import numpy as np

from centernet.errors import ConfigError, DeviceError
from centernet.inference.openvino_deformable import deformable_extension
from centernet.inference.session import Recent, Shape, in_batches_of, precision_text
from centernet.structures import Array

Precision = Literal["float32", "bfloat16"]
Performance = Literal["latency", "throughput"]
# An ONNX model: its bytes, its file, or what makes the bytes for an input shape.
OnnxSource = bytes | str | os.PathLike[str] | Callable[[Shape], bytes]


class OpenVinoSession:
    """OpenVINO on the CPU: one compiled model per input shape; may be run from several threads at a time."""

    def __init__(
        self,
        model: OnnxSource,
        *,
        precision: Precision = "float32",
        threads: int | None = None,
        performance: Performance = "latency",
        stored: str = "float32",
    ) -> None:
        """
        Args:
            model: an ONNX model, or what writes one for an input shape.
            precision: float32 is exact; bfloat16 is several times as fast on a CPU with AMX. What follows the last convolution
                is computed in float32 either way.
            threads: default: OpenVINO's choice, all physical cores.
            performance: latency gives every run all threads; throughput divides them among runs that are under way together.
            stored: the precision of the model's numbers.

        Raises:
            DeviceError: the CPU has no bfloat16.
            ConfigError: the file is missing or is not ONNX.
        """
        import openvino

        self._openvino: Any = openvino
        self._core = openvino_core()
        capabilities = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bfloat16" and "BF16" not in capabilities:
            raise DeviceError("precision bfloat16: this CPU has no bfloat16 arithmetic (AVX512-BF16 or AMX); use float32")
        self.precision, self.performance = precision_text(precision, stored), performance
        self._settings = {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "float32" else "bf16",
            "PERFORMANCE_HINT": performance.upper(),
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        cores = min(threads or num_cores(), num_cores())
        # One more than can be under way: it prepares its images meanwhile.
        self.parallel_runs = 1 if performance == "latency" or cores == 1 else cores + 1
        self._source = model
        self._model: Any = None if callable(model) else self._read(model)
        self._compiled = Recent(self._make)
        self._compiling = Lock()

    @property
    def summary(self) -> str:
        kind = "" if self.performance == "latency" else ", throughput mode"
        return f"OpenVINO {self._openvino.__version__.split('-')[0]}, {self.precision}{kind}"

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The model's own input shape, None for an open axis; None where the model is made for each shape."""
        if self._model is None:
            return None
        return tuple(axis.get_length() if axis.is_static else None for axis in self._model.input(0).partial_shape)

    @property
    def takes_pixels(self) -> bool:
        """Whether the input is bytes; of a model that is not made for each shape."""
        return bool(self._model.input(0).element_type == self._openvino.Type.u8)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of a model that is not made for each shape."""
        return tuple(output.get_any_name() for output in self._model.outputs)

    def run(self, image: Array) -> dict[str, Array]:
        return in_batches_of(self.input_shape, image, self._run, name=self._name)

    def _run(self, image: Array) -> dict[str, Array]:
        with self._compiling:
            requests, names = self._compiled[image.shape]
        request = requests.get()
        try:
            request.infer([image], share_inputs=True)
            return {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(names)}
        finally:
            requests.put(request)

    def _read(self, model: Any) -> Any:
        try:
            return self._core.read_model(model if isinstance(model, bytes) else os.fspath(model))
        except RuntimeError as error:
            what, said = "the model" if isinstance(model, bytes) else os.fspath(model), str(error).strip().splitlines()[-1]
            if what.endswith(".xml"):
                weights = Path(what).with_suffix(".bin")
                raise ConfigError(
                    f"{what}: cannot be read as OpenVINO's format together with its weights in {weights}: {said} "
                    "Expected the two files of one export; copy or export both again"
                ) from error
            raise ConfigError(f"{what}: cannot be read as ONNX: {said}") from error

    def _make(self, shape: Shape) -> tuple[SimpleQueue[Any], list[str]]:
        """Requests that are free, and the names of their outputs."""
        if callable(self._source):
            model = self._read(self._source(shape))
        else:
            model = self._model.clone()
            model.reshape(list(shape))  # kernels for one shape are faster than those for any batch
        # Not from the compiled model: there an output also bears the names of tensors that were optimised away.
        names = [output.get_any_name() for output in model.outputs]
        compiled = self._core.compile_model(model, "CPU", self._settings)
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")):
            requests.put(compiled.create_infer_request())
        return requests, names

    @property
    def _name(self) -> str:
        return "the model" if isinstance(self._source, bytes) or callable(self._source) else os.fspath(self._source)


@cache
def openvino_core() -> Any:
    """OpenVINO's core, the only one of this process.

    Each core moves the stack that signal handlers run on, and back again when it is dropped. Two that are dropped in the
    order they were made leave a stack that is freed memory, and the next SIGTERM or Ctrl-C kills the process.
    """
    import openvino

    # Two threads that both are the first to ask for an array's type would wait for each other forever, Python's lock held.
    for dtype in (np.uint8, np.float32):
        tensor = openvino.Tensor(np.zeros(1, dtype), shared_memory=True)
        assert tensor.get_element_type().to_dtype() == tensor.data.dtype
    core = openvino.Core()
    core.add_extension(deformable_extension())
    return core


def has_amx() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware (Intel AMX), as Linux tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return " amx_bf16" in flags and " amx_tile" in flags


def fastest_precision() -> Precision:
    """bfloat16 where it is a gain, on a CPU with AMX, else float32."""
    return "bfloat16" if has_amx() else "float32"


def num_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
