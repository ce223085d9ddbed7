"""What a cache of images saves from the second epoch on: images per second of one core, from file or cache to batches.

    python benchmarks/image_cache.py      claim: decoded images in memory, 1.25 times an epoch that reads and decodes its files

The images and settings of `input_pipeline.py`, in CPU time of one thread. The files are in the system's own cache here, so what
is saved is decoding; with files on a slow disk or across a network, kept bytes save the waiting too, which is not measured.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import thread_time

from centernet.data.image_cache import CacheConfig, open_cache
from centernet.data.images import ImageFiles, Images
from centernet.data.loader import Loader
from centernet.imaging.io import limit_threads
from input_pipeline import BATCH, IMAGES, epochs, product
from photographs import photographs
from report import Claim, finish, interleaved

AIM = 1.25
ROUNDS = 6
SIDE, CLASSES = 512, 80
CACHES = {
    "ram, encoded": CacheConfig(kind="ram", budget=10**9),
    "ram, decoded": CacheConfig(kind="ram", form="decoded", budget=10**9),
    "disk, encoded": CacheConfig(kind="disk", budget=10**9),
    "disk, decoded": CacheConfig(kind="disk", form="decoded", budget=10**9),
}


def reading(images: Images, paths: list[Path]) -> Callable[[], float]:
    """A function that measures how fast images become pixels."""

    def measure() -> float:
        start = thread_time()
        for index, path in enumerate(paths):
            images.picture(index, path).decode()
        return len(paths) / (thread_time() - start)

    return measure


def main() -> int:
    limit_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = photographs(Path(folder), IMAGES, num_classes=CLASSES)
        paths = [dataset.image_path(index) for index in range(IMAGES)]
        sources: dict[str, Images] = {"none": ImageFiles()}
        for name, config in CACHES.items():
            cache = open_cache(replace(config, folder=f"{folder}/cache" if config.kind == "disk" else None), IMAGES)
            assert cache is not None
            sources[name] = cache.images()
        pixels = {name: reading(images, paths) for name, images in sources.items()}
        batches = {
            name: epochs(Loader(product(replace(dataset, images=images), SIDE, CLASSES), global_batch=BATCH))
            for name, images in sources.items()
        }
        for fill in pixels.values():
            fill()
        best = {}
        for what, measures in (("pixels", pixels), ("batches", batches)):
            values = interleaved(measures, rounds=ROUNDS, unit="images/s", verbose=False)
            best[what] = {name: max(of_measure) for name, of_measure in values.items()}
    for name in sources:
        ratios = ", ".join(f"{what} {best[what][name]:.0f}/s ({best[what][name] / best[what]['none']:.2f} times)" for what in best)
        print(f"{name:<14} {ratios}")
    ratio = best["batches"]["ram, decoded"] / best["batches"]["none"]
    return finish(Claim("image cache: batches, ram decoded over none", ratio, AIM, "times", at_least=True))


if __name__ == "__main__":
    sys.exit(main())
