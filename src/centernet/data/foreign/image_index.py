"""All images below a folder, found again by what an annotation calls them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from centernet.errors import DataError
from centernet.imaging.io import IMAGE_SUFFIXES

SKIPPED = {"__MACOSX", "__pycache__"}


def walk(root: Path) -> Iterator[str]:
    """The files below a folder as paths relative to it, in order; hidden ones, and those of hidden folders, are left out.

    Links are followed, but no folder is walked twice.
    """
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        here = Path(folder).relative_to(root)
        yield from ((here / name).as_posix() for name in sorted(files) if not name.startswith("."))


class ImageIndex:
    """The images among some files.

    Args:
        files: paths relative to one folder, with forward slashes.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.paths = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2].lower()
            self._by_name[name].append(path)
            self._by_stem[name.rpartition(".")[0]].append(path)

    def find(self, name: str, *, near: str = "") -> str | None:
        """The image that an annotation file calls `name`: a path of another machine, a bare name, or one without its suffix.

        Args:
            near: the annotation file. Of several images of that name, the one whose folders are most like its own is meant.

        Returns:
            Its path relative to the folder; None where there is none, or where several fit equally well.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts:
            return None
        last = parts[-1].lower()
        found = self._by_name.get(last) or self._by_stem.get(last) or []
        if len(found) < 2:
            return found[0] if found else None
        ranked = sorted(((self._likeness(path, parts, near), path) for path in found), reverse=True)
        return ranked[0][1] if ranked[0][0] > ranked[1][0] else None

    def of_stem(self, file: str) -> str | None:
        """The image that goes with an annotation file of the same name: `labels/train/a.txt` and `images/train/a.jpg`."""
        return self.find(PurePosixPath(file).name.rpartition(".")[0], near=file)

    def described_by(self, root: Path, file: str, *, says: str) -> str:
        """The image of an annotation file below `root`: the one of its own name, or else the one it `says`, often out of date.

        Raises:
            DataError: there is neither.
        """
        name = self.of_stem(file) or self.find(says, near=file)
        if name is None:
            raise DataError(f"{root / file}: its image is not there: neither one of that name nor '{says}'")
        return name

    @staticmethod
    def _likeness(path: str, parts: Sequence[str], near: str) -> tuple[int, int, int]:
        """How many of the name's own folders fit, from the last on; how many folders are shared with `near`, and whether all are."""
        folders = path.split("/")[:-1]
        matching = 0
        for mine, theirs in zip(reversed(folders), reversed(parts[:-1]), strict=False):
            if mine != theirs:
                break
            matching += 1
        beside = near.split("/")[:-1]
        return matching, len(set(folders) & set(beside)), int(folders == beside)
