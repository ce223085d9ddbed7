"""CenterNet on NNabla: `centernet.load("model.h5").predict("street.jpg")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from centernet.experiment.detector import Detector
    from centernet.experiment.model_files import load
    from centernet.structures import Detection, Detections

__version__ = "0.1.0"
__all__ = ["Detection", "Detections", "Detector", "load"]

_HOME = {
    "Detection": "centernet.structures",
    "Detections": "centernet.structures",
    "Detector": "centernet.experiment.detector",
    "load": "centernet.experiment.model_files",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `centernet --help` must not wait for NNabla."""
    import importlib

    if name == "models":  # centernet.models.list()
        return importlib.import_module("centernet.models")
    if name not in _HOME:
        raise AttributeError(f"module 'centernet' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)
