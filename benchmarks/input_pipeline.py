"""Images per second of one core from JPEG files to batches of a training run, beside a plain implementation of the same.

    python benchmarks/input_pipeline.py      claim: at least 3 times `naive_input.py` at COCO's and at Pascal's settings

Images of 500x375 pixels, JPEG quality 90, five boxes each, default augmentation, batches of 8. All in CPU time of one thread,
so that other work on the machine matters little. Mosaic, mixup and erasing are done to every image.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any
from unittest import mock

from centernet.data.augment import AugmentConfig
from centernet.data.datasets.base import DetectionDataset
from centernet.data.images import ImageFiles, Images, Picture
from centernet.data.loader import Loader
from centernet.data.mixing import ErasingConfig, MixupConfig, MosaicConfig
from centernet.data.pipeline import ColorOn, Pipeline
from centernet.geometry.gaussian import gaussian_radius
from centernet.imaging import color, warp
from centernet.imaging.io import limit_threads
from centernet.structures import Grid
from centernet.tasks.ctdet.targets import encode_centers
from naive_input import NaiveInput
from photographs import photographs
from report import Claim, finish, interleaved

AIM = 3.0
ROUNDS = 6
BATCH, IMAGES = 8, 64
MORE = {
    "mosaic": AugmentConfig(mosaic=MosaicConfig(probability=1)),
    "mixup": AugmentConfig(mixup=MixupConfig(probability=1)),
    "erasing": AugmentConfig(erasing=ErasingConfig(probability=1)),
}
SETTINGS = {"COCO 512": (512, 80), "Pascal 384": (384, 20)}  # side of the input, classes


def product(
    dataset: DetectionDataset, side: int, num_classes: int, *, color_on: ColorOn = "host", augment: AugmentConfig | None = None
) -> Pipeline:
    """The pipeline of a training run of ctdet; sections of more augmentation each do theirs to every sample."""
    encode = partial(encode_centers, num_classes=num_classes, max_objects=128, radius=gaussian_radius, min_overlap=0.7)
    return Pipeline(dataset, Grid(side, side), encode, augment=augment or AugmentConfig(), color_on=color_on)


def epochs(loader: Loader) -> Callable[[], float]:
    """A function that measures an epoch, each time another one."""
    number = iter(range(1000))

    def measure() -> float:
        start = thread_time()
        for _ in loader.epoch(next(number)):
            pass
        return IMAGES / (thread_time() - start)

    return measure


def naive_epochs(naive: NaiveInput) -> Callable[[], float]:
    """The same of the plain implementation; the batch before is let go when the next one is there."""
    number = iter(range(1000))

    def measure() -> float:
        epoch = next(number)
        start = thread_time()
        for first in range(0, IMAGES, BATCH):
            naive.batch(epoch, range(first, first + BATCH))
        return IMAGES / (thread_time() - start)

    return measure


@dataclass
class Shares:
    """CPU seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a stage."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + thread_time() - start

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The pipeline's warp and colours are timed."""
        module = "centernet.data.views"
        with (
            mock.patch(f"{module}.warp", self.timed("warp", warp.warp)),
            mock.patch.object(color, "with_fourth_channel", self.timed("warp", color.with_fourth_channel)),
            mock.patch.object(color, "without_fourth_channel", self.timed("warp", color.without_fourth_channel)),
            mock.patch.object(color, "grey_mean", self.timed("colour", color.grey_mean)),
            mock.patch.object(color, "network_input", self.timed("colour", color.network_input)),
        ):
            yield


@dataclass(frozen=True)
class TimedImages:
    """Images whose reading and decoding is timed."""

    images: Images
    shares: Shares

    def picture(self, index: int, path: Path) -> Picture:
        picture = self.shares.timed("decode", self.images.picture)(index, path)
        return TimedPicture(picture, self.shares)


@dataclass(frozen=True)
class TimedPicture:
    picture: Picture
    shares: Shares

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.size

    def decode(self, reduction: int = 1) -> Any:
        return self.shares.timed("decode", self.picture.decode)(reduction)


def shares(dataset: DetectionDataset, side: int, num_classes: int) -> Mapping[str, float]:
    """What part of the time each stage takes; `rest` is random numbers, bookkeeping and the loader."""
    watch = Shares()
    pipeline = product(replace(dataset, images=TimedImages(ImageFiles(), watch)), side, num_classes)
    pipeline.encode = watch.timed("targets", pipeline.encode)
    loader = Loader(pipeline, global_batch=BATCH)
    with watch.watching():
        for _ in loader.epoch(0):
            pass
        watch.seconds.clear()
        start = thread_time()
        for epoch in range(1, 4):
            for _ in loader.epoch(epoch):
                pass
        total = thread_time() - start
    watch.seconds["collation and rest"] = total - sum(watch.seconds.values())
    return {stage: seconds / total for stage, seconds in watch.seconds.items()}


def main() -> int:
    limit_threads(1)
    claims = []
    for name, (side, num_classes) in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            dataset = photographs(Path(folder), IMAGES, num_classes=num_classes)
            naive = NaiveInput(dataset=dataset, grid=Grid(side, side), num_classes=num_classes, augment=AugmentConfig())
            measures = {
                "pipeline": epochs(Loader(product(dataset, side, num_classes), global_batch=BATCH)),
                "colours on the device": epochs(Loader(product(dataset, side, num_classes, color_on="device"), global_batch=BATCH)),
                "naive": naive_epochs(naive),
            }
            for what, augment in MORE.items():
                measures[what] = epochs(Loader(product(dataset, side, num_classes, augment=augment), global_batch=BATCH))
            for measure in measures.values():
                measure()  # memory is allocated, files are in the system's cache
            print(f"{name}:")
            values = interleaved(measures, rounds=ROUNDS, unit="images/s")
            parts = shares(dataset, side, num_classes)
        best = {key: max(of_measure) for key, of_measure in values.items()}
        print(f"{name}, images/s on one core: " + ", ".join(f"{key} {value:.0f}" for key, value in best.items()))
        print(f"{name}, share of the pipeline's time: " + ", ".join(f"{stage} {share:.0%}" for stage, share in parts.items()))
        claims.append(Claim(f"input_pipeline {name}", best["pipeline"] / best["naive"], AIM, "ratio", at_least=True))
    return finish(*claims)


if __name__ == "__main__":
    sys.exit(main())
