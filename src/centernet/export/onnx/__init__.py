"""NNabla graphs as ONNX: `to_onnx` makes a checked model, `save_onnx` writes it, `read_metadata` reads what it says of itself."""

from centernet.export.onnx.model import read_metadata, save_onnx, to_onnx

__all__ = ["read_metadata", "save_onnx", "to_onnx"]
