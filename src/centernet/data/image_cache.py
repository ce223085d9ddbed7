"""Images read once and kept for the following epochs, by all workers and processes of a machine together."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass as config_dataclass

from centernet.data import disk_images, memory, ram_images
from centernet.data.cache import cache_folder
from centernet.data.disk_images import DiskStore
from centernet.data.image_store import Filling, Kept, Origin, Store, origin_of
from centernet.data.images import Picture
from centernet.data.memory import size_text
from centernet.data.memory_file import FIRST, MemoryFile
from centernet.data.ram_images import RamStore
from centernet.errors import STRICT, ConfigError, DataError
from centernet.imaging import io
from centernet.structures import Array

Form = Literal["encoded", "decoded"]
_UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_AMOUNT = re.compile(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]*)")
_PER_IMAGE = np.dtype([("hits", np.uint32), ("misses", np.uint32)])


def _num_bytes(value: object) -> object:
    """Bytes as a number, from a number or a text such as `8GB`; `auto` stays."""
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None and found[2].upper() in _UNITS:
        value = float(found[1]) * _UNITS[found[2].upper()]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 1:
        return int(value)
    if value == "auto":
        return value
    raise ValueError(f"found {value!r}, expected a size such as 8GB, 500MB or 2TiB, a number of bytes, or auto")


def _section(value: object) -> object:
    """`cache: ram` in place of `cache: {kind: ram}`."""
    if value is None or isinstance(value, str):
        return {"kind": value or "none"}
    if isinstance(value, (bool, int, float)):
        raise ValueError(f"found {value!r}, expected none, ram, disk, or a section with 'kind'")
    return value


@config_dataclass(frozen=True, kw_only=True, config=STRICT)
class CacheConfig:
    """Where images are kept once they have been read.

    kind: ram ends with the run; disk stays, and pays where the data's own disk is slow. form: encoded keeps the files' bytes;
    decoded keeps pixels, 5 to 10 times as many bytes, and saves decoding. (Decoded images are whole: those more than twice as
    large as the input are no longer decoded smaller.) budget: of the machine, `8GB`, a number of bytes, or auto: half of what
    is free. folder: for disk; default `$XDG_CACHE_HOME/centernet/images`.
    """

    kind: Literal["none", "ram", "disk"] = "none"
    form: Form = "encoded"
    budget: Annotated[int | Literal["auto"], BeforeValidator(_num_bytes)] = "auto"
    folder: str | None = None

    def __post_init__(self) -> None:
        if self.folder is not None and self.kind == "ram":
            raise ValueError("folder is for kind: disk, and kind is ram; leave one of them out")


CacheSection = Annotated[CacheConfig, BeforeValidator(_section)]


@dataclass(frozen=True)
class Usage:
    """What a cache did so far, over all processes that share it. hits, misses: images found, and images read from their files."""

    filling: Filling
    hits: int
    misses: int

    def __str__(self) -> str:
        filling, reads = self.filling, self.hits + self.misses
        share = f"; {100 * self.hits / reads:.1f} % of {reads} reads were of kept images" if reads else ""
        return f"{filling.num_images} images kept, {size_text(filling.num_bytes)} of {size_text(filling.budget)}{share}"


class ImageCache:
    """The images of several data sets, each under numbers of its own; the same cache in every process it is pickled to."""

    def __init__(self, store: Store, counts: MemoryFile, form: Form) -> None:
        """Put together what `open_cache` and `attach` opened.

        Args:
            store: keeps the images.
            counts: of each image, how often it was found and not found.
            form: what is kept of an image.
        """
        self.store, self.counts, self.form = store, counts, form
        self._counts = counts.array(_PER_IMAGE, count=(counts.num_bytes - FIRST) // _PER_IMAGE.itemsize, start=FIRST)

    @classmethod
    def attach(cls, handle: str) -> ImageCache:
        """The cache of another process of this user on this machine.

        Args:
            handle: what its `handle()` returned.

        Raises:
            ConfigError: that process has ended, or is out of this one's sight.
        """
        kind, form, store, counts = json.loads(handle)
        try:
            opened = RamStore.attach(store) if kind == "ram" else DiskStore.attach(store)
            return cls(opened, MemoryFile.attach(counts), form)
        except ConfigError as error:
            raise ConfigError(f"data.cache: the processes of this machine cannot share it: {error}; or use data.cache: none") from error

    def handle(self) -> str:
        """What `attach` takes while this object lives."""
        kind = "ram" if isinstance(self.store, RamStore) else "disk"
        return json.dumps([kind, self.form, self.store.handle(), self.counts.handle()])

    def __len__(self) -> int:
        """How many images it has numbers for."""
        return len(self._counts)

    def images(self, first: int = 0) -> CachedImages:
        """The images of a data set whose image 0 has the number `first` in the cache; other data sets use other numbers."""
        return CachedImages(self, first)

    def usage(self) -> Usage:
        """What it did so far; exact when no image is being read."""
        return Usage(self.store.filling(), int(self._counts["hits"].sum()), int(self._counts["misses"].sum()))

    def get(self, key: int, origin: Origin) -> Kept | None:
        """An image, counted as found or not."""
        assert 0 <= key < len(self._counts), (key, len(self._counts))
        kept = self.store.get(key, origin)
        # No lock: an image is read by one worker at a time, but for rare repetitions at the end of an epoch.
        self._counts["misses" if kept is None else "hits"][key] += 1
        return kept

    def __reduce__(self) -> tuple[type[ImageCache], tuple[Store, MemoryFile, Form]]:
        return ImageCache, (self.store, self.counts, self.form)


@dataclass(frozen=True)
class CachedImages:
    """`Images` of one data set, read from their files at most once while there is room; a file that changed is read again."""

    cache: ImageCache
    first: int

    def picture(self, index: int, path: Path) -> Picture:
        """Image `index`; the same pixels and errors as without a cache."""
        key, origin = self.first + index, origin_of(path)  # before reading, so that a change meanwhile is noticed the next time
        kept = self.cache.get(key, origin)
        if self.cache.form == "encoded":
            if kept is not None:
                return io.EncodedImage(bytes(kept.data), str(path))
            encoded = io.read_encoded(path)
            self.cache.store.put(key, origin, Kept(memoryview(encoded.data), (0, 0)))
            return encoded
        if kept is not None:
            return _Pixels(np.frombuffer(kept.data, np.uint8).reshape(*kept.size, 3))
        return _Unread(io.read_encoded(path), lambda pixels: self._keep(key, origin, pixels))

    def _keep(self, key: int, origin: Origin, pixels: Array) -> None:
        height, width, _ = pixels.shape
        self.cache.store.put(key, origin, Kept(pixels.data.cast("B"), (height, width)))


@dataclass(frozen=True)
class _Pixels:
    """A picture that was decoded earlier."""

    pixels: Array

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def decode(self, reduction: int = 1) -> Array:
        """Whole, read-only."""
        return self.pixels


@dataclass(frozen=True)
class _Unread:
    """A picture to be decoded, and what to do with its pixels."""

    encoded: io.EncodedImage
    keep: Callable[[Array], None]

    @property
    def size(self) -> tuple[int, int]:
        return self.encoded.size

    def decode(self, reduction: int = 1) -> Array:
        """Whole whatever is asked, as it will be from the cache."""
        pixels = np.ascontiguousarray(self.encoded.decode())
        self.keep(pixels)
        return pixels


def open_cache(
    config: CacheConfig, num_images: int, *, batch: Sequence[Path] = (), sample_seconds: float | None = None
) -> ImageCache | None:
    """A new cache, for one process of a machine; the others `attach` to it. None for kind none.

    Args:
        config: what the user wants.
        num_images: of all data sets that share it.
        batch: the files of one batch of all processes of the machine, which must fit.
        sample_seconds: how long to look at those files at most, should one hang; None: for ever.

    Raises:
        ConfigError: the budget is more than the machine has free, or too small for one batch.
        OutputError: the folder cannot be written to.
    """
    if config.kind == "none":
        return None
    if config.kind == "ram":
        budget = _allowed(config, memory.available(), "memory")
        table = ram_images.table_bytes(num_images)
        needed = table + _batch_bytes(batch, config.form, ram_images.record_bytes, sample_seconds)
        check_budget(budget, batch_bytes=needed, num_images=len(batch))
        return ImageCache(RamStore.create(num_images, budget), _counts_of(num_images), config.form)
    folder = Path(config.folder).expanduser().absolute() if config.folder else default_folder()
    used = DiskStore.open(folder, 0, config.form).filling().num_bytes
    budget = _allowed(config, used + shutil.disk_usage(folder).free, f"the disk of {folder}")
    needed = _batch_bytes(batch, config.form, disk_images.entry_bytes, sample_seconds)
    check_budget(budget, batch_bytes=needed, num_images=len(batch))
    return ImageCache(DiskStore(folder, budget, config.form), _counts_of(num_images), config.form)


def check_budget(budget: int, *, batch_bytes: int, num_images: int) -> None:
    """ConfigError if not even one batch fits into the budget.

    Args:
        budget: bytes.
        batch_bytes: what one batch takes in the cache.
        num_images: in a batch.
    """
    if batch_bytes > budget:
        images = "image takes" if num_images == 1 else f"{num_images} images take"
        raise ConfigError(
            f"data.cache.budget: {size_text(budget)} cannot hold one batch: its {images} {size_text(batch_bytes)}; "
            "give more, a multiple of it, or use data.cache: none"
        )


def default_folder() -> Path:
    """Where images are kept on disk unless the configuration says otherwise."""
    return cache_folder() / "images"


def _counts_of(num_images: int) -> MemoryFile:
    try:
        return MemoryFile.create(FIRST + num_images * _PER_IMAGE.itemsize)
    except OSError as error:
        raise ConfigError(f"data.cache: shared memory for {num_images} images cannot be had: {error}; use data.cache: none") from error


def _allowed(config: CacheConfig, free: int | None, where: str) -> int:
    """The budget in bytes; ConfigError where it is more than `free`."""
    if config.budget == "auto":
        if free is None:
            raise ConfigError(f"data.cache.budget: how much is free in {where} cannot be found out; give a size, such as 8GB")
        return free // 2
    if free is not None and config.budget > free:
        raise ConfigError(
            f"data.cache.budget: found {size_text(config.budget)}, expected at most what is free in {where}: {size_text(free)}"
        )
    return config.budget


def _batch_bytes(batch: Sequence[Path], form: Form, with_overhead: Callable[[int], int], seconds: float | None) -> int:
    """What these images take; those that cannot be read, or not in time, are reported in their turn."""
    found: list[int] = []

    def look() -> None:
        for path in batch:
            with contextlib.suppress(DataError):
                found.append(with_overhead(origin_of(path).num_bytes if form == "encoded" else 3 * math.prod(io.image_size(path))))

    thread = Thread(target=look, name="sizes", daemon=True)  # one that hangs in a file system cannot be ended
    thread.start()
    thread.join(seconds)
    return sum(tuple(found))
