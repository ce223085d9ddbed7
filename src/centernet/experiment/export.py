"""Write a network as a file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import nnabla as nn

from centernet.experiment.assembly import Assembly
from centernet.experiment.inference_graph import outputs_of, raw_outputs
from centernet.experiment.model_files import DESCRIPTION_KEY
from centernet.export.nnp import save_nnp
from centernet.export.onnx import save_onnx, to_onnx

Format = Literal["nnp", "onnx"]
INPUT = {"nnp": "x", "onnx": "image"}  # the predecessor's name of an .nnp's input; exported ONNX has no predecessor


def export(assembly: Assembly, path: Path, *, format: Format, decode: bool = False, k: int = 100) -> Path:
    """Write the inference graph with the parameters the assembly holds now, and its description.

    Args:
        format: nnp or onnx.
        decode: give boxes, scores and class ids out (sigmoid, peaks and top-K inside) instead of the raw heads, which carry
            the published names (`hm`, `reg`, `wh`).
        k: detections per image, where decoded.

    Returns:
        The path.

    Raises:
        ExportError, OutputError: the graph or the file cannot be written.
    """
    network, grid = assembly.network, assembly.grid
    image = nn.Variable(network.input_shape(1, grid.height, grid.width))
    description = assembly.description.to_json()
    inputs = {INPUT[format]: image}
    with network.parameter_scope(), nn.auto_forward(False):
        outputs = outputs_of(assembly, image, k=k) if decode else raw_outputs(assembly, image)
        if format == "nnp":
            save_nnp(path, outputs, inputs, description=description)
        else:
            model = to_onnx(outputs, inputs, metadata={DESCRIPTION_KEY: description}, dynamic_batch=True)
            save_onnx(path, model)
    return path
