"""CenterNet on NNabla: `centernet.load("model.h5").predict("street.jpg")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from centernet.experiment.detector import Detector
    from centernet.experiment.model_files import load
    from centernet.experiment.notebook.data_module import DataModule
    from centernet.experiment.notebook.files import demo, export_model
    from centernet.experiment.notebook.measuring import evaluate
    from centernet.experiment.notebook.model import Model, build
    from centernet.experiment.notebook.trainer import Trainer, Training
    from centernet.structures import Detection, Detections

__version__ = "0.1.0"
__all__ = [
    "DataModule",
    "Detection",
    "Detections",
    "Detector",
    "Model",
    "Trainer",
    "Training",
    "build",
    "demo",
    "evaluate",
    "export_model",
    "load",
]

_NOTEBOOK = "centernet.experiment.notebook"
_HOME = {
    "DataModule": f"{_NOTEBOOK}.data_module",
    "Detection": "centernet.structures",
    "Detections": "centernet.structures",
    "Detector": "centernet.experiment.detector",
    "Model": f"{_NOTEBOOK}.model",
    "Trainer": f"{_NOTEBOOK}.trainer",
    "Training": f"{_NOTEBOOK}.trainer",
    "build": f"{_NOTEBOOK}.model",
    "demo": f"{_NOTEBOOK}.files",
    "evaluate": f"{_NOTEBOOK}.measuring",
    "export_model": f"{_NOTEBOOK}.files",
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
