"""Detect in images, videos and cameras, and write what was found: pictures, a video, JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from centernet.engine.progress import ROWS, terminal_width
from centernet.errors import DataError
from centernet.experiment.demo_files import SourceFiles, together
from centernet.experiment.demo_maps import inspection_pictures
from centernet.experiment.demo_records import Records, image_ids
from centernet.experiment.detector import Detector
from centernet.experiment.selection import shown
from centernet.imaging.draw import Theme, draw_detections
from centernet.imaging.io import read_image, write_image
from centernet.imaging.sources import Source, output_names
from centernet.imaging.video import Camera, Frames, VideoWriter, read_frames
from centernet.inference.parallel import batches, in_order
from centernet.inference.tiles import Tiling, detect_in_tiles
from centernet.inference.tracking import Tracker
from centernet.structures import Array, Detections

LONG = 10  # images from which a progress bar takes the place of a line for each

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class View:
    """How to look, and what of it to show.

    lowest: (C,), the score from which each class is shown, infinite for classes that are not. debug: 0 writes JSON only, 1 boxes,
    2 also what the network sees, 3 the same for every class. theme: of those pictures. tiling: how to cut large images; None: not.
    is_tracked: number the objects of videos. batch_size: images, frames or tiles that the network sees at once.
    """

    lowest: Array
    debug: int = 1
    theme: Theme = "white"
    tiling: Tiling | None = None
    is_tracked: bool = False
    batch_size: int = 1


@dataclass(frozen=True, kw_only=True)
class Look:
    """An image and what is shown of it; stages: seconds by what they were spent on."""

    image: Array
    detections: Detections
    stages: dict[str, float]


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
        self._parallel = detector.session.parallel_runs
        self._sources = SourceFiles()

    def run(self, source: Source) -> None:
        """Everything the user pointed at; of several files those that cannot be read are said and left out.

        An error leaves the folder as it was before; Ctrl-C leaves what was found until then.

        Raises:
            DataError: the one file named cannot be read, or an image is too large for the options. OutputError: something cannot
                be written, or a result would replace a file that is read.
        """
        self._sources = SourceFiles((*source.images, *source.videos))
        self._check_targets(source)
        with Records(self.folder, category_ids=self.detector.description.classes.category_ids) as records:
            if self._parallel > 1:
                self._warm_up(np.zeros((*self.detector.spec.size, 3), np.uint8))
            begun = perf_counter()
            self._images(source.images, records, is_one=source.is_one)
            for path, name in zip(source.videos, output_names(source.videos), strict=True):
                self._video_file(path, records, name=name, is_one=source.is_one)
            if source.camera is not None:
                self._parallel = 1  # several at a time would be late
                try:
                    self._video(source.camera, records, source=None, name=f"webcam{source.camera.number}")
                except KeyboardInterrupt:  # the only end that a camera has
                    print("stopped")
            if self._parallel > 1:
                self.seconds = perf_counter() - begun

    def summary(self) -> str:
        """One line about all of it."""
        rate = self.num_images / self.seconds if self.seconds else 0.0
        skipped = f", {self.num_unreadable} unreadable" if self.num_unreadable else ""
        spent = "with reading and writing" if self._parallel > 1 else "in the detector"
        return f"{self.num_images} images{skipped}, {self.num_objects} objects, {self.seconds:.2f} s {spent}, {rate:.1f} images/s"

    def _images(self, paths: Sequence[Path], records: Records, *, is_one: bool) -> None:
        is_watched = len(paths) > LONG and terminal_width() is not None
        looks = self._in_order(self._read_and_look, paths)
        named = zip(paths, output_names(paths), image_ids(paths), looks, strict=True)
        for path, name, image_id, look in _watched(named, len(paths), "image", is_watched):
            if isinstance(look, DataError):
                self._skip(look, is_one=is_one)
                continue
            self._count(look)
            image, detections = look.image, look.detections
            with together():
                records.add({"image": str(path)}, (image.shape[0], image.shape[1]), detections, image_id=image_id)
                for picture_name, picture in self._pictures(name, image, detections):
                    write_image(self._target(f"{picture_name}.jpg", records), picture)
            if not is_watched:
                spent = " |".join(f"{stage} {value:.3f}s " for stage, value in look.stages.items())
                print(f"{path}: {len(detections)} objects; tot {sum(look.stages.values()):.3f}s |{spent}|")

    def _skip(self, error: DataError, *, is_one: bool) -> None:
        """Count a file that cannot be read, and say so; where it is the only one, raise the error."""
        if is_one:
            raise error
        self.num_unreadable += 1
        tqdm.write(f"skipped: {error}", file=sys.stderr)

    def _video_file(self, path: Path, records: Records, *, name: str, is_one: bool) -> None:
        try:
            frames = read_frames(path)
        except DataError as error:
            self._skip(error, is_one=is_one)
        else:
            self._video(frames, records, source=path, name=name)

    def _video(self, frames: Frames | Camera, records: Records, *, source: Path | None, name: str) -> None:
        """Every frame of a video; of a camera those that come while nothing is being detected."""
        tracker = Tracker(rate=frames.rate) if self.view.is_tracked else None
        target = self._target(f"{name}.mp4", records) if self.view.debug >= 1 else None
        first, number = self.num_images, -1
        is_live = source is None
        times: list[float] = []
        with nullcontext() if target is None else VideoWriter(target, frames.rate) as writer:
            looks = self._in_order(self._look, _timed(frames, times, is_live=is_live), batch_size=1 if is_live else None)
            for number, look in enumerate(_watched(looks, frames.num_frames or None, "frame", terminal_width() is not None)):
                self._count(look)
                frame, detections = look.image, look.detections
                ids = None if tracker is None else tracker.update(detections)
                seconds = round(times[number], 4)
                what = {"video": str(source or name), "frame": number, "seconds": seconds}
                image_id = first + number + 1
                with together():
                    records.add(what, (frame.shape[0], frame.shape[1]), detections, image_id=image_id, track_ids=ids)
                    if writer is not None:
                        writer.write_at(draw_detections(frame, detections, track_ids=ids), seconds)
        if number + 1 < 0.9 * frames.num_frames:  # the number in the file is often an estimate
            print(f"{source}: ended after {number + 1} of {frames.num_frames} frames; the file may be damaged", file=sys.stderr)

    def _in_order(
        self, look: Callable[[list[Item]], list[Result]], items: Iterable[Item], *, batch_size: int | None = None
    ) -> Iterator[Result]:
        """What `look` makes of the items, in their order, a batch of them at a time."""
        for found in in_order(look, batches(items, batch_size or self.view.batch_size), parallel=self._parallel):
            yield from found

    def _read_and_look(self, paths: Sequence[Path]) -> list[Look | DataError]:
        """Image files; several threads do this at a time."""
        start = perf_counter()
        read = [self._read(path) for path in paths]
        load = (perf_counter() - start) / len(paths)
        looks = iter(self._look([image for image in read if not isinstance(image, DataError)]))
        return [image if isinstance(image, DataError) else _loaded(next(looks), load) for image in read]

    def _read(self, path: Path) -> Array | DataError:
        try:
            image = read_image(path)
        except DataError as error:
            return error
        try:
            self.detector.check_image(image)
        except DataError as error:  # it can be read; the options do not fit
            raise DataError(f"{path}: {error}") from None
        return image

    def _look(self, images: Sequence[Array]) -> list[Look]:
        """What is shown of each image; several threads do this at a time."""
        if not images:
            return []
        if self._parallel == 1 and not self.num_images:
            self._warm_up(images[0])
        stages: dict[str, float] = dict.fromkeys(self.detector.seconds, 0.0)

        def predict(parts: Sequence[Array]) -> list[Detections]:
            found = self.detector.predict_batch(parts)
            for stage, value in self.detector.seconds.items():
                stages[stage] += value
            return found

        start = perf_counter()
        if (tiling := self.view.tiling) is None:
            found = predict(images)
        else:
            lowest, batch_size = float(self.view.lowest.min()), self.view.batch_size
            found = [detect_in_tiles(predict, image, tiling, threshold=lowest, batch_size=batch_size) for image in images]
        total = perf_counter() - start
        if self._parallel > 1:
            stages = {"detect": total}  # who spent what cannot be told apart
        elif self.view.tiling is not None:
            stages["merge"] += total - sum(stages.values())
        each = {stage: value / len(images) for stage, value in stages.items()}
        return [Look(image=image, detections=shown(one, self.view.lowest), stages=each) for image, one in zip(images, found, strict=True)]

    def _warm_up(self, image: Array) -> None:
        """Let the runtime compile the network before the first image is timed."""
        self.detector.predict_batch([image])
        if self.view.tiling is not None:
            self.detector.predict_batch([image[: self.view.tiling.height, : self.view.tiling.tile]])

    def _pictures(self, name: str, image: Array, detections: Detections) -> Iterator[tuple[str, Array]]:
        """(name, picture) of the detections and of what the network sees, as far as they are wanted."""
        if self.view.debug >= 1:
            yield name, draw_detections(image, detections)
        if self.view.debug >= 2:
            inspection, every_class = self.detector.inspect(image), self.view.debug >= 3
            pictures = inspection_pictures(self.detector, inspection, self.view.lowest, theme=self.view.theme, every_class=every_class)
            yield from ((f"{name}_{what}", picture) for what, picture in pictures)

    def _check_targets(self, source: Source) -> None:
        """OutputError where a result would replace a file that is read, as far as that is known before."""
        if self.view.debug >= 1:
            for paths, suffix in ((source.images, ".jpg"), (source.videos, ".mp4")):
                for name in output_names(paths):
                    self._sources.check(self.folder / f"{name}{suffix}")

    def _target(self, file_name: str, records: Records) -> Path:
        """A file of the output folder; OutputError where that is one that we read."""
        self._sources.check(self.folder / file_name)
        return records.files.begin(file_name)

    def _count(self, look: Look) -> None:
        self.num_images += 1
        self.num_objects += len(look.detections)
        self.seconds += sum(look.stages.values())


def _loaded(look: Look, seconds: float) -> Look:
    return replace(look, stages={**look.stages, "load": seconds})


def tiling_for(detector: Detector, *, tile: int, overlap: int) -> Tiling:
    """Tiles of so many image pixels as the detector looks at them: as wide as its input, and no higher."""
    spec, stride = detector.spec, detector.description.stride
    height, width = spec.size
    repeats = len(detector.scales) > 1 or detector.assembly.task.suppression is not None
    if spec.keep_resolution:
        return Tiling(tile=tile, overlap=overlap, cell=stride, repeats=repeats)
    return Tiling(tile=tile, overlap=overlap, cell=stride * tile / width, aspect=min(1.0, height / width), repeats=repeats)


def _timed(frames: Frames | Camera, times: list[float], *, is_live: bool) -> Iterator[Array]:
    """The frames; when each one was, in seconds after the first, goes to `times`."""
    begun = 0.0
    for number, frame in enumerate(frames):
        begun = begun or perf_counter()
        times.append(perf_counter() - begun if is_live else number / frames.rate)
        yield frame


def _watched(items: Iterable[Item], total: int | None, unit: str, is_watched: bool) -> Iterator[Item]:
    """The items, with a progress bar where somebody looks."""
    yield from tqdm(
        items, total=total, desc="demo", unit=unit, disable=not is_watched, leave=False, mininterval=0.5, ncols=terminal_width(), nrows=ROWS
    )
