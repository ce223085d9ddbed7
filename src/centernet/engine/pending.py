"""Files of one checkpoint that take the place of an older one's together, whenever the process is killed.

All are written beside their places first, the description last: once it is there the new checkpoint is the one that counts,
wherever its files are by then. What a killed process left undone is read as if it were done, and done before the next save.
"""

from __future__ import annotations

import os
from pathlib import Path

NEW = ".new_"


def beside(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(NEW + path.name)


def current(path: Path, *, description: Path) -> Path:
    """The file that counts: the one still beside its place where the checkpoint is described there too."""
    new = beside(path)
    return new if beside(description).exists() and new.exists() else path


def descriptions(folder: Path) -> set[Path]:
    """The places of all checkpoints' descriptions, those not in place yet included."""
    waiting = (path.with_name(path.name.removeprefix(NEW)) for path in folder.glob(f"{NEW}checkpoint_*.json"))
    return {*folder.glob("checkpoint_*.json"), *waiting}


def finish(folder: Path) -> None:
    """Put every described checkpoint's files in place, the description last, and drop what belongs to none.

    Raises:
        OSError: a file cannot be moved; what is left is moved the next time.
    """
    for description in sorted(folder.glob(f"{NEW}checkpoint_*.json")):
        tag = description.stem.removeprefix(f"{NEW}checkpoint_")
        for path in [*sorted(folder.glob(f"{NEW}*_{tag}.h5")), description]:
            os.replace(path, path.with_name(path.name.removeprefix(NEW)))
    for path in folder.glob(f"{NEW}*"):
        path.unlink(missing_ok=True)
