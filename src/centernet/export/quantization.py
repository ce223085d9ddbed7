"""Networks in eight bits: weights and activations, with ranges that calibration images tell."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from tqdm import tqdm

from centernet.errors import DeviceError
from centernet.export.onnx import with_unsigned_activations
from centernet.structures import Array


def check_installed(*, for_onnx: bool = False) -> None:
    """DeviceError, with the cure, where what quantises is not installed."""
    needed = "nncf" if not for_onnx else "onnxruntime"
    try:
        if for_onnx:
            import onnxruntime  # noqa: F401

            needed = "nncf"
        _nncf()
    except ImportError as error:
        raise DeviceError(f"precision int8: {needed} is not installed; `pip install 'centernet-nnabla[int8]'`") from error


def quantized(model: Any, batches: Sequence[Array], *, ignored: Sequence[str], input_name: str | None, core: Any) -> Any:
    """A model whose convolutions compute in eight bits (NNCF's post-training quantisation).

    Args:
        model: an `openvino.Model` or an `onnx.ModelProto`; it is not changed.
        batches: what the input is fed with to see how large activations become, each as the model takes it.
        ignored: names of nodes that stay as they are.
        input_name: of an ONNX model; None: an OpenVINO model, which needs none.
        core: OpenVINO's, the only one of this process.

    Raises:
        DeviceError: NNCF is not installed.
    """
    check_installed(for_onnx=input_name is not None)
    nncf = _nncf()
    with _quiet(), _only_core(core), tqdm(desc="calibrate", unit="image", disable=None, leave=False) as bar:

        def transform(batch: Array) -> Any:
            bar.update(len(batch))  # of all passes; how many NNCF makes is its own affair
            return batch if input_name is None else {input_name: batch}

        found = nncf.quantize(
            model,
            nncf.Dataset(list(batches), transform),
            subset_size=len(batches),
            # Weights in -127..127 with one factor for each channel, activations with an offset: what follows a ReLU has no sign.
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=list(ignored), validate=False),
        )
    return found if input_name is None else with_unsigned_activations(found)


def _nncf() -> Any:
    os.environ.setdefault("NNCF_CI", "1")  # else it reports its use over the network
    import nncf

    return nncf


@contextmanager
def _only_core(core: Any) -> Iterator[None]:
    """NNCF makes cores of its own; two of them in one process end badly (`inference.openvino_session.openvino_core`)."""
    import openvino

    made = openvino.Core
    openvino.Core = lambda: core
    try:
        yield
    finally:
        openvino.Core = made


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's log, and without its progress bars: one for each of its steps, on files and pipes too."""
    track_progress: Any = import_module("nncf.common.logging.track_progress")

    shown = track_progress.Progress
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    track_progress.Progress = lambda *columns, **settings: shown(*columns, **{**settings, "disable": True})
    try:
        yield
    finally:
        logger.setLevel(level)
        track_progress.Progress = shown
