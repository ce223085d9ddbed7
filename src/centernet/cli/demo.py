"""`centernet demo`: detect in images, videos or a camera; write pictures, a video and JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from centernet.cli import machine, parsing
from centernet.errors import ConfigError, DataError

if TYPE_CHECKING:
    from centernet.imaging.sources import Source
    from centernet.inference.tiles import Tiling

DESCRIPTION = """Detect objects and draw them.

  centernet demo --checkpoint FILE.h5 --demo IMAGE|FOLDER|'PATTERN'|VIDEO|webcam[:N] --output OUT

Writes OUT/NAME.jpg for every image and OUT/NAME.mp4 for a video or camera (which Ctrl-C ends), OUT/detections.jsonl with a line
for each image or frame, and OUT/detections.json, COCO's result list; `image_id` in the one is that in the other."""

DEBUG = 1


def main(typed: Sequence[str], *, program: str) -> int:
    """Detect, write and report."""
    parser = parsing.make_parser("demo", DESCRIPTION, program=program)
    arguments = parsing.parse(parser, "demo", typed)
    given = vars(arguments)
    # What can be wrong without a model is said before one is loaded.
    from centernet.experiment import selection

    source, tiling, debug = _source(arguments), _tiling(arguments), given.get("debug", DEBUG)
    lowest = given.get("vis_thresh", {})
    selection.check_scores(lowest)
    path = machine.checkpoint(arguments)

    from centernet.experiment.demo import Demo, View, tiling_for
    from centernet.experiment.output import default_folder, output_folder

    is_many = len(source.images) > 1 or bool(source.videos)
    detector, _ = machine.open_detector(path, arguments, with_maps=debug >= 2, performance="throughput" if is_many else "latency")
    machine.check_k(arguments, detector)
    if debug >= 2:
        detector.check_maps()
    view = View(
        lowest=selection.lowest_scores(detector.class_names, lowest, classes=given.get("classes"), default=selection.DEFAULT_SCORE),
        debug=debug,
        theme=given.get("debugger_theme", "white"),
        tiling=None if tiling is None else tiling_for(detector, tile=tiling.tile, overlap=tiling.overlap),
        is_tracked="track" in given,
        batch_size=given.get("batch_size", 1),
    )
    shown = ", ".join(f"{name} {score}".strip() for name, score in {selection.EVERY: selection.DEFAULT_SCORE, **lowest}.items())
    if debug >= 2:
        _say_what_maps_show(debug, source, is_whole=tiling is None and detector.scales == (1,))
    with output_folder(given.get("output") or default_folder(detector.description.experiment)) as folder:
        print(f"{path}: {detector.session.summary}; scores from {shown}; writing to {folder}")
        demo = Demo(detector, folder, view)
        demo.run(source)
    print(demo.summary())
    return 0


def _say_what_maps_show(debug: int, source: Source, *, is_whole: bool) -> None:
    """One line where pictures of maps are not what the answer comes from, or where there are none."""
    if source.videos or source.camera is not None:
        print(f"--debug {debug}: no effect on videos and cameras beyond --debug 1")
    if source.images and not is_whole:
        print(
            f"--debug {debug}: input and maps are those of the whole image at scale 1, with what that alone finds; not of tiles and scales"
        )


def _source(arguments: argparse.Namespace) -> Source:
    """What `--demo` means; DataError if that does not exist, ConfigError where it was not typed or cannot be tracked."""
    from centernet.imaging.sources import check_readable, find_source

    given = vars(arguments)
    if "demo" not in given:
        raise ConfigError("what to look at? Give --demo IMAGE, FOLDER, 'PATTERN', VIDEO or webcam")
    try:
        source = find_source(given["demo"])
        check_readable(source)
    except DataError as error:
        raise DataError(f"--demo {error}") from None
    if "track" in given and source.images:
        raise ConfigError(f"--track follows objects through a video; --demo {given['demo']} has images")
    if "track" in given:
        from centernet.inference.tracking import check_installed

        check_installed()
    return source


def _tiling(arguments: argparse.Namespace) -> Tiling | None:
    """`--tile` and `--overlap`; ConfigError where they do not fit together."""
    from centernet.inference.tiles import OVERLAP, Tiling

    given = vars(arguments)
    if "tile" not in given:
        if "overlap" in given:
            raise ConfigError("--overlap is that of tiles: give --tile N too")
        return None
    tile, overlap = given["tile"], given.get("overlap", given["tile"] // OVERLAP)
    if overlap >= tile:
        raise ConfigError(f"--overlap {overlap}: tiles of {tile} pixels must overlap by less")
    return Tiling(tile=tile, overlap=overlap)
