"""Write a network as a file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import nnabla as nn

from centernet.experiment.assembly import Assembly
from centernet.experiment.inference_graph import from_pixels, outputs_of, raw_outputs
from centernet.experiment.model_files import DESCRIPTION_KEY
from centernet.export.nnp import save_nnp
from centernet.export.onnx import save_onnx, to_onnx
from centernet.inference.session import PIXELS

Format = Literal["nnp", "onnx"]
NORMALIZED = {"nnp": "x", "onnx": "image"}  # the predecessor's name of an .nnp's input; ONNX has no predecessor


def export(assembly: Assembly, path: Path, *, format: Format, decode: bool = False, k: int = 100) -> Path:
    """Write the inference graph with the parameters the assembly holds now, and its description.

    Args:
        format: nnp or onnx.
        decode: from pixels, (B, H, W, 3) uint8 BGR named `image`, to boxes, scores and class ids: everything inside. Without it
            from a normalised image to the raw heads, which carry the published names (`hm`, `reg`, `wh`).
        k: detections per image, where decoded.

    Returns:
        The path.

    Raises:
        ExportError, OutputError: the graph or the file cannot be written.
    """
    network, grid = assembly.network, assembly.grid
    source = nn.Variable((1, grid.height, grid.width, 3) if decode else network.input_shape(1, grid.height, grid.width))
    description = assembly.description.to_json()
    inputs = {PIXELS if decode else NORMALIZED[format]: source}
    with network.parameter_scope(), nn.auto_forward(False):
        outputs = outputs_of(assembly, from_pixels(assembly, source), k=k) if decode else raw_outputs(assembly, source)
        if format == "nnp":
            save_nnp(path, outputs, inputs, description=description)
        else:
            metadata = {DESCRIPTION_KEY: description}
            save_onnx(path, to_onnx(outputs, inputs, metadata=metadata, dynamic_batch=True, uint8_inputs=inputs if decode else ()))
    return path
