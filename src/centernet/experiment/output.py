"""Where results go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from centernet import plugins
from centernet.errors import OutputError
from centernet.experiment import family


def default_folder(experiment: Mapping[str, Any]) -> Path:
    """`exp/{task}_{dataset}_{arch}_{layers}_{time}` below the current folder, for an experiment's tree."""
    now = datetime.now().strftime("%Y%m%d%H%M%S")
    parts = [experiment.get("task", {}).get("name"), family.words(experiment)["dataset"], family.short_name(experiment), now]
    return Path("exp") / "_".join(plugins.short_name(str(part)) for part in parts if part)


def make_folder(folder: Path) -> Path:
    """The folder, made where it is missing; OutputError when it cannot be written to."""
    if folder.is_file():
        raise OutputError(f"{folder}: is a file, expected the output folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the output folder cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: the output folder is not writable")
    return folder


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """`make_folder`; after an error what was made and is still empty is taken away again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    try:
        yield folder
    except BaseException:
        for path in made:
            with suppress(OSError):  # not empty
                path.rmdir()
        raise
