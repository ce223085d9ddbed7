"""Detect in images, videos and cameras, and write what was found: pictures, a video, JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from centernet.engine.progress import terminal_width
from centernet.errors import DataError, OutputError
from centernet.experiment.demo_maps import inspection_pictures
from centernet.experiment.demo_records import Records, image_ids
from centernet.experiment.detector import Detector
from centernet.experiment.selection import shown
from centernet.imaging.draw import Theme, draw_detections
from centernet.imaging.io import read_image, write_image
from centernet.imaging.sources import Source, output_names
from centernet.imaging.video import Camera, Frames, VideoWriter, read_frames
from centernet.inference.tiles import Tiling, detect_in_tiles
from centernet.inference.tracking import Tracker
from centernet.structures import Array, Detections

LONG = 10  # images from which a progress bar takes the place of a line for each

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class View:
    """How to look, and what of it to show.

    lowest: (C,), the score from which each class is shown, infinite for classes that are not. debug: 0 writes JSON only, 1 boxes,
    2 also what the network sees, 3 the same for every class. theme: of those pictures. tiling: how to cut large images; None: not.
    is_tracked: number the objects of videos.
    """

    lowest: Array
    debug: int = 1
    theme: Theme = "white"
    tiling: Tiling | None = None
    is_tracked: bool = False


class Demo:
    """Where results go and how they look; counts what was done."""

    def __init__(self, detector: Detector, folder: Path, view: View) -> None:
        """
        Args:
            detector: opened `with_maps` where the view wants them.
            folder: exists and can be written to.
        """
        self.detector, self.folder, self.view = detector, folder, view
        self.num_images, self.num_objects, self.num_unreadable, self.seconds = 0, 0, 0, 0.0
        self._stages: dict[str, float] = {}  # seconds of the current image

    def run(self, source: Source) -> None:
        """Everything the user pointed at.

        Raises:
            DataError: the one file named, or a video, cannot be read. OutputError: something cannot be written.
        """
        with Records(self.folder, category_ids=self.detector.description.classes.category_ids) as records:
            self._images(source.images, records, is_one=source.is_one)
            for path, name in zip(source.videos, output_names(source.videos), strict=True):
                self._video(read_frames(path), records, source=path, name=name)
            if source.camera is not None:
                try:
                    self._video(source.camera, records, source=None, name=f"webcam{source.camera.number}")
                except KeyboardInterrupt:  # the only end that a camera has
                    print("stopped")

    def summary(self) -> str:
        """One line about all of it."""
        rate = self.num_images / self.seconds if self.seconds else 0.0
        skipped = f", {self.num_unreadable} unreadable" if self.num_unreadable else ""
        done = f"{self.num_images} images{skipped}, {self.num_objects} objects"
        return f"{done}, {self.seconds:.2f} s in the detector, {rate:.1f} images/s"

    def _images(self, paths: Sequence[Path], records: Records, *, is_one: bool) -> None:
        is_watched = len(paths) > LONG and terminal_width() is not None
        names = output_names(paths)
        for path, name, image_id in _watched(list(zip(paths, names, image_ids(paths), strict=True)), len(paths), "image", is_watched):
            start = perf_counter()
            try:
                image = read_image(path)
            except DataError as error:
                if is_one:
                    raise
                self.num_unreadable += 1
                tqdm.write(f"skipped: {error}", file=sys.stderr)
                continue
            load = perf_counter() - start
            detections = self._detect(image)
            stages = {**self._stages, "load": load}
            self._count(stages, detections)
            records.add({"image": str(path)}, (image.shape[0], image.shape[1]), detections, image_id=image_id)
            if self.view.debug >= 1:
                self._write_picture(name, draw_detections(image, detections), source=path)
            if self.view.debug >= 2:
                self._write_maps(name, image, source=path)
            if not is_watched:
                spent = " |".join(f"{stage} {value:.3f}s " for stage, value in stages.items())
                print(f"{path}: {len(detections)} objects; tot {sum(stages.values()):.3f}s |{spent}|")

    def _video(self, frames: Frames | Camera, records: Records, *, source: Path | None, name: str) -> None:
        """Every frame of a video; of a camera those that come while nothing is being detected."""
        tracker = Tracker(rate=frames.rate) if self.view.is_tracked else None
        target = self._target(f"{name}.mp4", source)
        first, number = self.num_images, -1
        with VideoWriter(target, frames.rate) if self.view.debug >= 1 else nullcontext() as writer:
            begun = perf_counter()
            for number, frame in enumerate(_watched(frames, frames.num_frames or None, "frame", terminal_width() is not None)):
                now = perf_counter() - begun if source is None else number / frames.rate
                detections = self._detect(frame)
                self._count(self._stages, detections)
                ids = None if tracker is None else tracker.update(detections)
                what = {"video": str(source or name), "frame": number, "seconds": round(now, 4)}
                records.add(what, (frame.shape[0], frame.shape[1]), detections, image_id=first + number + 1, track_ids=ids)
                if writer is None:
                    continue
                drawn = draw_detections(frame, detections, track_ids=ids)
                if source is None:
                    writer.write_at(drawn, now)
                else:
                    writer.write(drawn)
        if number + 1 < 0.9 * frames.num_frames:  # the number in the file is often an estimate
            print(f"{source}: ended after {number + 1} of {frames.num_frames} frames; the file may be damaged", file=sys.stderr)

    def _detect(self, image: Array) -> Detections:
        """What is shown of an image; `_stages` says what took how long."""
        if not self.num_images:  # let the runtime compile the network before the first image is timed
            self.detector.predict_batch([image])
        self._stages = dict.fromkeys(self.detector.seconds, 0.0)
        if self.view.tiling is None:
            found = self._predict([image])[0]
        else:
            start = perf_counter()
            found = detect_in_tiles(self._predict, image, self.view.tiling, threshold=float(self.view.lowest.min()))
            self._stages["merge"] += perf_counter() - start - sum(self._stages.values())
        return shown(found, self.view.lowest)

    def _predict(self, images: Sequence[Array]) -> list[Detections]:
        found = self.detector.predict_batch(images)
        for stage, value in self.detector.seconds.items():
            self._stages[stage] = self._stages.get(stage, 0.0) + value
        return found

    def _write_maps(self, name: str, image: Array, *, source: Path) -> None:
        inspection = self.detector.inspect(image)
        pictures = inspection_pictures(self.detector, inspection, self.view.lowest, theme=self.view.theme, every_class=self.view.debug >= 3)
        for what, picture in pictures:
            self._write_picture(f"{name}_{what}", picture, source=source)

    def _write_picture(self, name: str, picture: Array, *, source: Path) -> None:
        write_image(self._target(f"{name}.jpg", source), picture)

    def _target(self, file_name: str, source: Path | None) -> Path:
        """A file of the output folder; OutputError where that is the very file we read."""
        target = self.folder / file_name
        if source is not None and target.exists() and target.samefile(source):
            raise OutputError(f"{target}: would be overwritten by its own result; give another folder with --output")
        return target

    def _count(self, stages: dict[str, float], detections: Detections) -> None:
        self.num_images += 1
        self.num_objects += len(detections)
        self.seconds += float(np.sum(list(stages.values())))


def cell_of(detector: Detector, *, tile: int) -> float:
    """Image pixels to a cell of the heatmap, where the network looks at tiles of so many pixels."""
    spec, stride = detector.spec, detector.description.stride
    return float(stride) if spec.keep_resolution else stride * tile / max(spec.size)


def _watched(items: Iterable[Item], total: int | None, unit: str, is_watched: bool) -> Iterator[Item]:
    """The items, with a progress bar where somebody looks."""
    yield from tqdm(items, total=total, desc="demo", unit=unit, disable=not is_watched, leave=False, mininterval=0.5)
