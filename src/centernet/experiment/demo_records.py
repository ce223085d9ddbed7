"""What a demo found, written while it runs: a JSON line for each image or frame, and COCO's result list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from centernet.errors import OutputError
from centernet.experiment.demo_files import ResultFiles
from centernet.geometry.boxes import xyxy_to_xywh
from centernet.structures import Array, Detections

LINES, RESULTS = "detections.jsonl", "detections.json"


class Records:
    """`detections.jsonl` and `detections.json` in a folder; used as a context manager.

    The lines can be read while they are written. What was found before Ctrl-C stays, as complete files; an error, or Ctrl-C before
    the first line, leaves the folder as it was, in all that was written through `files`.
    """

    def __init__(self, folder: Path, *, category_ids: Sequence[int]) -> None:
        """
        Args:
            folder: exists; files of earlier runs are replaced.
            category_ids: what the annotation files call each class id.
        """
        self.files = ResultFiles(folder)
        self._paths = folder / LINES, folder / RESULTS
        self._category_ids = category_ids
        self._files: list[TextIO] = []
        self._opened = ExitStack()
        self._num_lines, self._num_results = 0, 0

    def __enter__(self) -> Records:
        """Begin both files; OutputError if they cannot be written."""
        try:
            self._begin()
        except BaseException:
            self.files.undo()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        is_kept = error is None or (isinstance(error, KeyboardInterrupt) and self._num_lines > 0)
        try:
            with self._opened:
                self._write(1, "\n]\n")
        except BaseException:
            is_kept = False
            raise
        finally:
            if is_kept:
                self.files.keep()
            else:
                self.files.undo()

    def _begin(self) -> None:
        with ExitStack() as opened:
            for path in self._paths:
                self.files.begin(path.name)
                try:
                    self._files.append(opened.enter_context(path.open("w", encoding="utf-8", buffering=1)))
                except OSError as error:
                    raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
            self._write(1, "[")
            self._opened = opened.pop_all()

    def add(
        self,
        heading: Mapping[str, Any],
        image_hw: tuple[int, int],
        detections: Detections,
        *,
        image_id: int,
        track_ids: Array | None = None,
    ) -> None:
        """One image or frame.

        Args:
            heading: what it is: file, frame, time.
            image_hw: (height, width) in pixels.
            detections: boxes xyxy in pixels of the image.
            image_id: in COCO's list, and on the line.
            track_ids: (n,) integers, the numbers of objects in a video, 0 where there is none yet.

        Raises:
            OutputError: the disk does not take it.
        """
        found: list[dict[str, Any]] = [
            {"class_name": d.class_name, "class_id": d.class_id, "score": d.score, "box": list(d.box)} for d in detections
        ]
        if track_ids is not None:
            for row, track_id in zip(found, track_ids.tolist(), strict=True):
                row["track_id"] = track_id or None
        line = {**heading, "image_id": image_id, "width": image_hw[1], "height": image_hw[0], "detections": found}
        self._write(0, json.dumps(line, ensure_ascii=False) + "\n")
        self._num_lines += 1
        for row, box in zip(found, xyxy_to_xywh(detections.boxes.astype(float)).tolist(), strict=True):
            result = {"image_id": image_id, "category_id": self._category_ids[row["class_id"]], "bbox": box, "score": row["score"]}
            self._write(1, ("," if self._num_results else "") + "\n" + json.dumps(result))
            self._num_results += 1

    def _write(self, file: int, text: str) -> None:
        try:
            self._files[file].write(text)
        except OSError as error:
            raise OutputError(f"{self._paths[file]}: cannot be written: {error.strerror}") from None


def image_ids(paths: Sequence[Path]) -> list[int]:
    """COCO's ids of image files: their numbers where all names are different numbers, as COCO's own are, else 1, 2, ..."""
    stems = [path.stem for path in paths]
    if all(stem.isascii() and stem.isdigit() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(1, len(paths) + 1))
