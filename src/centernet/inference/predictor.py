"""Images in, detections out: the one path that demo, test and the Python API take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from centernet.errors import DataError
from centernet.imaging.io import list_images, read_image
from centernet.inference.parallel import batches, in_order
from centernet.inference.preprocess import FittedImage, InputSpec, check_extent, fit, stack, to_image
from centernet.inference.session import Session
from centernet.structures import Array, Detections

Item = TypeVar("Item")

STAGES = ("load", "pre", "net", "dec", "post", "merge")


@runtime_checkable
class PillowImage(Protocol):
    """What is used of a PIL image; Pillow itself is not needed."""

    def convert(self, mode: str) -> Any:
        """The image in another mode."""

    def getexif(self) -> Any:
        """Its EXIF data, the orientation among them."""


Source = str | os.PathLike[str] | Array | PillowImage
Watch = Callable[[Sequence[int], Sequence[FittedImage], dict[str, Array]], None]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Everything about one image: `fitted` is what the network saw, `outputs` what it said.

    The outputs' batch axis is 1; of a flip test, raw head maps have 2, the image's and its mirror image's.
    """

    fitted: FittedImage
    outputs: dict[str, Array]
    detections: Detections


class Predictor:
    """A network with what belongs around it.

    `seconds` says what the last call of `predict_batch`, `predict` or `stream` spent on loading, preprocessing, network, decoding,
    going back to image pixels, and merging scales; where several images are under way at a time, all their seconds are added.
    """

    def __init__(
        self,
        session: Session,
        read: Callable[[dict[str, Array]], list[Detections]],
        spec: InputSpec,
        *,
        class_names: Sequence[str] = (),
        scales: Sequence[float] = (1.0,),
        merge: Callable[[list[Detections]], Detections] | None = None,
        batch_size: int = 1,
        mirrors: bool = False,
        memory: int | None = None,
    ) -> None:
        """
        Args:
            session: runs the network.
            read: the session's outputs as one Detections per image, in network-input pixels, best first.
            spec: what the network's input is.
            class_names: the whole table, in the order of class ids.
            scales: test scales, each > 0.
            merge: makes one of an image's detections at every scale; not needed for a single scale.
            batch_size: images a run, where several are given.
            memory: bytes there are for an image; None: unknown.
            mirrors: let the images' mirror images follow them in the batch; `read` merges what is said of both.

        Raises:
            ValueError: several scales and no way to merge them.
        """
        if len(scales) != 1 and merge is None:
            raise ValueError(f"{len(scales)} test scales, but no function to merge their detections")
        self.session = session
        self.spec = spec
        self.class_names = tuple(class_names)
        self.scales = tuple(scales)
        self.batch_size = batch_size
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._adding = Lock()
        self._read = read
        self._merge = merge
        self._mirrors = mirrors
        self._memory = memory

    def predict(self, source: Source | Sequence[Source]) -> Detections | list[Detections]:
        """Detect in an image, a file, a folder, or a list of images and files.

        Args:
            source: a path; a folder, whose images are taken by name; an array (H, W, 3) uint8 BGR or (H, W) grey; a PIL image;
                or a list of them.

        Returns:
            Detections in pixels of the image (boxes may reach over its border); a list of them for a folder or a list.

        Raises:
            DataError: a file is missing or not an image, or an array is no image.
        """
        if isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
            return self._predict_all(list_images(Path(source)))
        if isinstance(source, Sequence) and not isinstance(source, str):
            return self._predict_all(source)
        return self._predict_all([source])[0]

    def predict_batch(self, images: Sequence[Array], *, watch: Watch | None = None) -> list[Detections]:
        """Detect in images that are (H, W, 3) uint8 BGR, of any sizes; those with one network input size share a run.

        watch: told of every run which of the images it was for, how they were fitted, and the session's outputs.
        """
        self.seconds = dict.fromkeys(STAGES, 0.0)
        return self._detect(images, watch)

    def stream(self, items: Iterable[Item], image_of: Callable[[Item], Array]) -> Iterator[tuple[Item, Detections]]:
        """Detect in images as they come, in their order; as many at a time as the session has use for.

        Args:
            items: what the images are made of; asked for in the caller's thread, a few ahead.
            image_of: an item's image, (H, W, 3) uint8 BGR; called from several threads.
        """
        self.seconds = dict.fromkeys(STAGES, 0.0)

        def detect(batch: list[Item]) -> list[tuple[Item, Detections]]:
            with self._timed("load"):
                images = [image_of(item) for item in batch]
            return list(zip(batch, self._detect(images), strict=True))

        for found in in_order(detect, batches(items, self.batch_size), parallel=self.session.parallel_runs):
            yield from found

    def inspect(self, image: Array) -> Inspection:
        """Detect in one image at scale 1 and keep what lies between; image: (H, W, 3) uint8, BGR."""
        fitted = fit(image, self.spec)
        outputs = self.session.run(self._batch([fitted]))
        (detections,) = self._read(outputs)
        return Inspection(fitted=fitted, outputs=outputs, detections=self.finish([to_image(detections, fitted)]))

    def check_image(self, image: Array) -> None:
        """DataError where an image, (H, W, 3), is too large at one of the test scales."""
        for scale in self.scales:
            check_extent((image.shape[0], image.shape[1]), self.spec, scale=scale, memory=self._memory)

    def _predict_all(self, sources: Sequence[Source]) -> list[Detections]:
        return [detections for _, detections in self.stream(sources, as_image)]

    def finish(self, parts: list[Detections]) -> Detections:
        """One image's detections at every scale, in its pixels, as what is given out."""
        merged = parts[0] if self._merge is None else self._merge(parts)
        # A decoder fills up with cells that are no peaks, and gives them score 0: which ones, and of which class, is chance.
        return replace(merged.select(merged.scores > 0), class_names=self.class_names)

    def _detect(self, images: Sequence[Array], watch: Watch | None = None) -> list[Detections]:
        for image in images:
            self.check_image(image)
        parts: list[list[Detections]] = [[] for _ in images]
        for scale in self.scales:
            with self._timed("pre"):
                fitted = [fit(image, self.spec, scale=scale) for image in images]
            for size in dict.fromkeys(image.size for image in fitted):
                members = [i for i, image in enumerate(fitted) if image.size == size]
                found, outputs = self._run([fitted[i] for i in members])
                if watch is not None:
                    watch(members, [fitted[i] for i in members], outputs)
                for i, detections in zip(members, found, strict=True):
                    parts[i].append(detections)
        with self._timed("merge"):
            return [self.finish(of_image) for of_image in parts]

    def _run(self, fitted: list[FittedImage]) -> tuple[list[Detections], dict[str, Array]]:
        with self._timed("pre"):
            batch = self._batch(fitted)
        with self._timed("net"):
            outputs = self.session.run(batch)
        with self._timed("dec"):
            found = self._read(outputs)
        with self._timed("post"):
            return [to_image(detections, image) for detections, image in zip(found, fitted, strict=True)], outputs

    def _batch(self, fitted: list[FittedImage]) -> Array:
        mirrored = [replace(image, warped=image.warped[:, ::-1]) for image in fitted] if self._mirrors else []
        return stack([*fitted, *mirrored])

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        with self._adding:
            self.seconds[stage] += perf_counter() - start


def as_image(source: Source) -> Array:
    """What a user may call an image as (H, W, 3) uint8, BGR.

    Args:
        source: a file; an array (H, W, 3) uint8 BGR, or (H, W) grey; a PIL image (RGB, turned as its EXIF says).

    Raises:
        DataError: a file is missing or not an image; an array is no image.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_image(Path(source))
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or (source.ndim == 3 and source.shape[2] != 3) or not source.size:
            raise DataError(f"an array given as image is {source.dtype} {source.shape}, expected uint8 (H, W, 3) in BGR order, or (H, W)")
        return np.ascontiguousarray(np.repeat(source[:, :, None], 3, axis=2) if source.ndim == 2 else source)
    if isinstance(source, PillowImage):
        from PIL import ImageOps

        picture: Any = source
        return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))[:, :, ::-1])
    raise DataError(f"cannot take a {type(source).__name__} as an image, expected a path, a uint8 array in BGR order or a PIL image")
