"""What a user may point at: an image, a folder, a pattern, a video, a camera."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from centernet.errors import DataError
from centernet.imaging.io import IMAGE_SUFFIXES, list_images, read_image
from centernet.imaging.video import Camera, is_video, read_frames


@dataclass(frozen=True, kw_only=True)
class Source:
    """Files, images and videos apart; or a camera. is_one: a single file was named, not a folder or a pattern."""

    images: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    camera: Camera | None = None
    is_one: bool = False


def find_source(text: str) -> Source:
    """What was meant.

    Args:
        text: the path of an image, a video, or a folder of images; a pattern such as `shots/*.jpg` or `**/*.png`;
            `webcam` or `webcam:N`. What exists by that very name comes first.

    Raises:
        DataError: there is nothing of the kind, or the camera gives no picture.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return Source(images=tuple(_images_of(path)))
    if path.is_file():
        return Source(videos=(path,), is_one=True) if is_video(path) else Source(images=(path,), is_one=True)
    camera = re.fullmatch(r"webcam(?::(\d+))?", text)
    if camera:
        return Source(camera=Camera(int(camera.group(1) or 0)), is_one=True)
    if text.startswith("webcam:"):
        raise DataError(f"{text}: expected webcam or webcam:N with the camera's number, such as webcam:0")
    if glob.has_magic(text):
        return _matching(str(path))
    raise DataError(f"{text}: no such file or folder")


def check_readable(source: Source) -> None:
    """DataError where no file can be read: the only one, or every one of several; looks no further than the first that can."""
    errors: list[DataError] = []
    for path in (*source.images, *source.videos):
        try:
            if path in source.videos:
                read_frames(path)
            else:
                read_image(path)
            return
        except DataError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataError(f"none of {len(errors)} files can be read; the first is {errors[0]}")


def _images_of(folder: Path) -> list[Path]:
    try:
        return list_images(folder)
    except DataError as error:
        videos = [path for path in folder.iterdir() if is_video(path)]
        hint = f"; a pattern takes its {len(videos)} videos: '{folder}/*{videos[0].suffix}'" if videos else ""
        raise DataError(f"{error}{hint}") from None


def _matching(pattern: str) -> Source:
    files = [path for path in map(Path, sorted(glob.glob(pattern, recursive=True))) if path.is_file()]
    images = tuple(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))
    videos = tuple(path for path in files if is_video(path))
    if not images and not videos:
        others = f", only {len(files)} other files" if files else ""
        raise DataError(f"{pattern}: no image or video matches the pattern{others}")
    return Source(images=images, videos=videos)


def output_names(paths: Sequence[Path]) -> list[str]:
    """A name for what is written about each file: its stem, or, where that is another's too, more of its path, or a number."""
    levels = [
        [path.stem for path in paths],
        [path.name for path in paths],
        ["_".join([*path.parts[-2:-1], path.stem]) for path in paths],
        ["_".join(path.parts[-3:]) for path in paths],
    ]
    counts = [Counter(names) for names in levels]
    names: list[str] = []
    taken: set[str] = set()
    for candidates in zip(*levels, strict=True):
        name = next((name for name, count in zip(candidates, counts, strict=True) if count[name] == 1), candidates[-1])
        numbered = (f"{name}_{number}" for number in range(2, len(paths) + 2))
        name = next(unique for unique in (name, *numbered) if unique not in taken)
        names.append(name)
        taken.add(name)
    return names
