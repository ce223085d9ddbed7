"""Where results go."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from centernet import config as configuration
from centernet import plugins
from centernet.errors import OutputError
from centernet.experiment import family
from centernet.experiment.schema import ExperimentConfig


def default_folder(config: ExperimentConfig) -> Path:
    """`exp/{task}_{dataset}_{arch}_{layers}_{time}` below the current folder."""
    words = family.words(configuration.to_tree(config))
    parts = [plugins.name_of(config.task), words["dataset"], words["arch"], words["num_layers"], datetime.now().strftime("%Y%m%d%H%M%S")]
    return Path("exp") / "_".join(str(part) for part in parts if part is not None)


def make_folder(folder: Path) -> Path:
    """The folder, made where it is missing; OutputError when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the output folder cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: the output folder is not writable")
    return folder
