"""TensorBoard's event files, written without TensorBoard: by tensorboardX's record writer, in this thread, so that errors are seen."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from centernet.engine.checkpoint import Progress
from centernet.engine.rows import Rows

PICTURES = "pictures"  # the tag that pictures have; the others are KIND/NAME, as in the table of the monitor `csv`


class TensorBoard(Rows):
    """A monitor whose rows are scalars over iterations, and whose pictures are images.

    A resumed training goes on in a file of its own, which begins with the entry that tells TensorBoard to forget what earlier files
    hold of later steps; a new one removes the event files that it finds.
    """

    def __init__(self, folder: Path, *, every: int = 50) -> None:
        super().__init__(every=every)
        self.folder = folder
        self._writer: Any = None
        self._begun = Progress()

    def started(self, progress: Progress) -> None:
        """Open the file of this part of the training; OSError where that cannot be."""
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter

        super().started(progress)
        self._begun = progress
        self.folder.mkdir(parents=True, exist_ok=True)
        if not progress.iteration:
            for path in self.folder.glob("events.out.tfevents.*"):
                path.unlink()
        # TensorBoard reads files in the order of their names, and two trainings may begin within the same second.
        self._writer = RecordWriter(str(self.folder / f"events.out.tfevents.{int(time.time()):010}.{progress.iteration:09}"))
        self._add(0, file_version="brain.Event:2")  # from this version on the following entry counts
        if progress.iteration:
            self._add(progress.iteration + 1, session_log=SessionLog(status=SessionLog.START))
        self._writer.flush()

    def write(self, kind: str, epoch: int, numbers: Mapping[str, float]) -> None:
        """A scalar for each number."""
        if kind == "epoch" and self._progress is self._begun:
            return  # a measurement that a signal ended is made again: the epoch before it ended in an earlier file
        self._summarise(*({"tag": f"{kind}/{name}", "simple_value": value} for name, value in numbers.items()))

    def pictured(self, epoch: int, png: bytes) -> None:
        """An image at the iteration of the last step."""
        from tensorboardX.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])  # of the header that every PNG begins with
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._summarise({"tag": PICTURES, "image": image})

    def ended(self, text: str) -> None:
        """Close the file."""
        self._writer.close()

    def _summarise(self, *values: Mapping[str, Any]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        self._add(self._progress.iteration, summary=Summary(value=[Summary.Value(**value) for value in values]))
        self._writer.flush()

    def _add(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time.time(), step=step, **content).SerializeToString())
