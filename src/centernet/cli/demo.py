"""`centernet demo`: detect in an image, a folder or a video; write pictures and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from centernet.cli import machine, options
from centernet.errors import ConfigError, DataError, OutputError

if TYPE_CHECKING:
    from centernet.experiment.detector import Detector
    from centernet.inference.predictor import Inspection
    from centernet.structures import Array, Detections

DESCRIPTION = """Detect objects and draw them.

  centernet demo --checkpoint FILE.h5 --demo IMAGE|FOLDER|VIDEO --output OUT

Writes OUT/NAME.jpg and OUT/NAME.json for every image, OUT/NAME.mp4 and OUT/NAME.json for a video."""

VIS_THRESHOLD, DEBUG = 0.2, 1
READABLE_HEIGHT = 256  # pixels: smaller network inputs are enlarged before they are drawn on


def main(typed: Sequence[str], *, program: str) -> int:
    """Detect, write and report."""
    parser = options.make_parser("demo", DESCRIPTION, program=program)
    arguments = options.parse(parser, "demo", typed)
    given = vars(arguments)
    if "demo" not in given:
        raise ConfigError("what to look at? Give --demo IMAGE, FOLDER or VIDEO")
    source: Path = given["demo"]
    if not source.exists():
        raise DataError(f"--demo {source}: no such file or folder")
    threshold = given.get("vis_thresh", VIS_THRESHOLD)
    if not 0 <= threshold <= 1:
        raise ConfigError(f"--vis_thresh {threshold}: scores are between 0 and 1")
    path = machine.checkpoint(arguments)

    from centernet.experiment.output import default_folder, make_folder
    from centernet.imaging import video

    debug = given.get("debug", DEBUG)
    detector, _ = machine.open_detector(path, arguments, with_maps=debug >= 2)
    folder = make_folder(given.get("output") or default_folder(detector.description.experiment))
    print(f"{path}: {detector.session.summary}; scores from {threshold}; writing to {folder}")
    demo = _Demo(detector, folder, threshold=threshold, debug=debug, theme=given.get("debugger_theme", "white"))
    if source.is_file() and video.is_video(source):
        demo.video(source)
    else:
        demo.images(source)
    demo.summarise()
    return 0


class _Demo:
    """Where pictures go and how they look; counts what was done."""

    def __init__(self, detector: Detector, folder: Path, *, threshold: float, debug: int, theme: Any) -> None:
        self.detector, self.folder = detector, folder
        self.threshold, self.debug, self.theme = threshold, debug, theme
        self.num_images, self.num_objects, self.seconds = 0, 0, 0.0
        self.unreadable = 0  # images of a folder

    def images(self, source: Path) -> None:
        """An image, or every image of a folder."""
        from centernet.imaging.io import list_images, read_image

        paths = list_images(source)
        for path, name in zip(paths, _output_names(paths), strict=True):
            start = perf_counter()
            try:
                image = read_image(path)
            except DataError as error:
                if source.is_file():
                    raise
                self.unreadable += 1
                print(f"skipped: {error}", file=sys.stderr)
                continue
            load = perf_counter() - start
            self._warm_up(image)
            inspection, detections = self._detect(image)
            seconds = {**self.detector.seconds, "load": load}
            self._write_json(name, {"image": str(path), **_as_json(image, detections)})
            if self.debug >= 1:
                self._draw(name, image, detections)
            if inspection is not None:
                self._draw_maps(name, inspection)
            self._report(str(path), seconds, detections)

    def video(self, source: Path) -> None:
        """Every frame of a video."""
        from tqdm import tqdm

        from centernet.imaging.draw import draw_detections
        from centernet.imaging.video import VideoWriter, read_frames

        frames = read_frames(source)
        records = []
        picture = VideoWriter(self.folder / f"{source.stem}.mp4", frames.rate) if self.debug >= 1 else nullcontext()
        with picture as writer:
            for number, frame in enumerate(tqdm(frames, total=frames.num_frames or None, unit="frame", disable=not sys.stderr.isatty())):
                self._warm_up(frame)
                _, detections = self._detect(frame, with_maps=False)
                records.append({"frame": number, "seconds": number / frames.rate, **_as_json(frame, detections)})
                if writer is not None:
                    writer.write(draw_detections(frame, detections))
                self._count(self.detector.seconds, detections)
        self._write_json(source.stem, {"video": str(source), "frames_per_second": frames.rate, "frames": records})

    def summarise(self) -> None:
        """One line about all of it."""
        rate = self.num_images / self.seconds if self.seconds else 0.0
        skipped = f", {self.unreadable} unreadable" if self.unreadable else ""
        print(f"{self.num_images} images{skipped}, {self.num_objects} objects, {self.seconds:.2f} s in the detector, {rate:.1f} images/s")

    def _warm_up(self, image: Array) -> None:
        """Let the runtime compile the network before the first image is timed."""
        if not self.num_images:
            self.detector.predict_batch([image])

    def _detect(self, image: Array, *, with_maps: bool = True) -> tuple[Inspection | None, Detections]:
        (detections,) = self.detector.predict_batch([image])
        seconds = dict(self.detector.seconds)
        inspection = self.detector.inspect(image) if self.debug >= 2 and with_maps else None
        self.detector.seconds = seconds  # of detecting, not of looking closer
        return inspection, detections.above(self.threshold)

    def _draw(self, name: str, image: Array, detections: Detections) -> None:
        from centernet.imaging.draw import draw_detections
        from centernet.imaging.io import write_image

        write_image(self.folder / f"{name}.jpg", draw_detections(image, detections))

    def _draw_maps(self, name: str, inspection: Inspection) -> None:
        """The network's own view: boxes over its input, and one heatmap per class."""
        from centernet.imaging.draw import draw_detections, heatmap_overlay
        from centernet.imaging.io import write_image
        from centernet.imaging.warp import resize_for_scale

        seen = inspection.fitted.warped
        enlarged = resize_for_scale(seen, max(1.0, READABLE_HEIGHT / seen.shape[0]))
        in_input = self.detector.in_input(inspection).above(self.threshold)
        write_image(self.folder / f"{name}_input.jpg", draw_detections(seen, in_input, self.detector.class_names, height=len(enlarged)))
        heatmaps = self.detector.maps(inspection)["heatmap"]
        for class_id, class_name in enumerate(self.detector.class_names):
            picture = heatmap_overlay(enlarged, heatmaps[class_id], class_id=class_id, theme=self.theme)
            write_image(self.folder / f"{name}_heatmap_{_file_name(class_name)}.jpg", picture)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / f"{name}.json"
        try:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from None

    def _report(self, name: str, seconds: dict[str, float], detections: Detections) -> None:
        self._count(seconds, detections)
        stages = " |".join(f"{stage} {value:.3f}s " for stage, value in seconds.items())
        print(f"{name}: {len(detections)} objects; tot {sum(seconds.values()):.3f}s |{stages}|")

    def _count(self, seconds: dict[str, float], detections: Detections) -> None:
        self.num_images += 1
        self.num_objects += len(detections)
        self.seconds += sum(seconds.values())


def _as_json(image: Array, detections: Detections) -> dict[str, Any]:
    height, width = image.shape[:2]
    found = [{"class_name": d.class_name, "class_id": d.class_id, "score": d.score, "box": list(d.box)} for d in detections]
    return {"width": width, "height": height, "detections": found}


def _output_names(paths: Sequence[Path]) -> Iterator[str]:
    """One name per input: its stem, or its whole name where two inputs share a stem."""
    stems = [path.stem for path in paths]
    return (path.stem if stems.count(path.stem) == 1 else path.name for path in paths)


def _file_name(class_name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in class_name)
