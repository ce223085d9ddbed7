"""NNabla graphs as ONNX: `to_onnx` makes a checked model, `save_onnx` writes it, `read_metadata` reads what it says of itself.

`with_open_size` leaves height and width open; `in_float16` and `with_bfloat16_weights` halve a model; `with_unsigned_activations` is for
one in eight bits.
"""

from centernet.export.onnx.eight_bits import with_unsigned_activations
from centernet.export.onnx.graph import Deform
from centernet.export.onnx.model import read_metadata, save_onnx, to_onnx, with_metadata
from centernet.export.onnx.open_size import with_open_size
from centernet.export.onnx.reduced import in_float16, network_nodes, with_bfloat16_weights

__all__ = [
    "Deform",
    "in_float16",
    "network_nodes",
    "read_metadata",
    "save_onnx",
    "to_onnx",
    "with_bfloat16_weights",
    "with_metadata",
    "with_open_size",
    "with_unsigned_activations",
]
