"""Processes that share a cache of images; each function is a role, named by the first argument, and prints one line of JSON."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from centernet.data import disk_images
from centernet.data.image_cache import CacheConfig, CachedImages, ImageCache, open_cache
from centernet.data.image_store import Kept, Origin
from centernet.data.images import Images
from centernet.data.memory_file import MemoryFile
from centernet.data.ram_images import RamStore, record_bytes, table_bytes


def digests(images: Images, paths: list[Path]) -> list[str]:
    return [hashlib.sha256(images.picture(index, path).decode().tobytes()).hexdigest() for index, path in enumerate(paths)]


def _work(images: CachedImages, paths: list[Path], results: Connection) -> None:
    results.send(digests(images, paths))


def start(method: str, config: str, folder: str) -> object:
    """Fill half of the cache, then read everything in two workers; what they saw, and the counts here."""
    paths = sorted(Path(folder).iterdir())
    cache = open_cache(CacheConfig(**json.loads(config)), 2 * len(paths))
    assert cache is not None
    images = cache.images(len(paths))
    digests(images, paths[: len(paths) // 2])
    before = cache.usage()
    context = multiprocessing.get_context(method)
    seen = []
    for _ in range(2):
        results, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(images, paths, sender))
        worker.start()
        seen.append(results.recv())
        worker.join()
    usage = cache.usage()
    return {"seen": seen, "hits": usage.hits - before.hits, "misses": usage.misses - before.misses}


def read(handle: str, folder: str) -> object:
    """Attach to the cache of a process that knows nothing of this one."""
    cache = ImageCache.attach(handle)
    seen = digests(cache.images(), sorted(Path(folder).iterdir()))
    return {"seen": seen, "hits": cache.usage().hits, "misses": cache.usage().misses}


def hold(folder: str) -> object:
    """A cache that this process and a worker of it hold until they are killed."""
    paths = sorted(Path(folder).iterdir())
    cache = open_cache(CacheConfig(kind="ram", budget=10_000_000), len(paths))
    assert cache is not None
    digests(cache.images(), paths)
    worker = multiprocessing.get_context("spawn").Process(target=_sleep, args=(cache,))
    worker.start()
    print(json.dumps({"pids": [os.getpid(), worker.pid], "handle": cache.handle()}), flush=True)
    time.sleep(600)
    return None


def _sleep(cache: ImageCache) -> None:
    assert cache.usage().filling.num_images
    time.sleep(600)


def die(where: str, handle: str, path: str) -> object:
    """Be killed while image 0 is inserted: under the lock, or with half of the bytes written."""
    cache = ImageCache.attach(handle)

    def kill(*args: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_half(memory: MemoryFile, parts: list[bytes], place: int) -> bool:
        os.pwritev(memory.descriptor, [parts[0], parts[1][: len(parts[1]) // 2]], place)
        kill()
        return False

    if where == "locked":
        RamStore.get = disk_images.DiskStore.get = kill  # asked for the second time under the lock
        cache.get = lambda key, origin: None  # the first time
    else:
        MemoryFile.write = write_half
        os.replace = kill
    cache.images().picture(0, Path(path)).decode()
    return "survived"


def storm(num_kills: str, num_images: str, seconds: str) -> object:
    """Processes that insert at random and are killed at random, until there were so many of both; what is wrong with the store then."""
    count, rng = 3000, random.Random(0)
    sizes = [rng.randrange(100, 30_000) for _ in range(count)]
    store = RamStore.create(count, table_bytes(count) + sum(map(record_bytes, sizes)) // 2)
    until, num_killed = time.monotonic() + float(seconds), 0
    alive: list[int] = []
    is_over = False
    while not is_over or alive:
        is_enough = num_killed >= int(num_kills) and store.filling().num_images >= int(num_images)
        is_over = is_over or is_enough or time.monotonic() > until
        if not is_over and len(alive) < 4:
            pid = os.fork()
            if not pid:
                _insert(store, sizes, random.Random(os.getpid()))
            alive.append(pid)
        time.sleep(rng.random() * 0.005)
        if len(alive) == 4 or is_over:
            victim = alive.pop(rng.randrange(len(alive)))
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            num_killed += 1
    kept = {key: store.get(key, _origin(key)) for key in range(count)}
    wrong = [key for key, image in kept.items() if image is not None and bytes(image.data) != _content(key, sizes[key])]
    places = sorted((int(place), record_bytes(sizes[key])) for key, place in enumerate(store._places) if place > 0)
    overlaps = sum(start + space > following for (start, space), (following, _) in itertools.pairwise(places))
    with store.memory.locked() as is_locked:
        filling = store.filling()
    return {"killed": num_killed, "kept": filling.num_images, "wrong": wrong, "overlaps": overlaps, "is_locked": is_locked,
            "is_within_budget": filling.num_bytes <= filling.budget and all(s + n <= filling.budget for s, n in places)}  # fmt: skip


def _insert(store: RamStore, sizes: list[int], rng: random.Random) -> None:
    while True:
        key = rng.randrange(len(sizes))
        image = store.get(key, _origin(key))
        if image is None:
            store.put(key, _origin(key), Kept(memoryview(_content(key, sizes[key])), (0, 0)))
        elif bytes(image.data) != _content(key, sizes[key]):
            print(f"image {key} is damaged", file=sys.stderr, flush=True)


def crowd(folder: str, budget: str) -> object:
    """Four processes that insert the same images into one folder at once, half of which are killed."""
    store = disk_images.DiskStore.open(Path(folder), int(budget), "encoded")
    sizes = [1000 + 10 * key for key in range(200)]
    workers = []
    for number in range(4):
        pid = os.fork()
        if not pid:
            for key in random.Random(number).sample(range(len(sizes)), len(sizes)):
                store.put(key, _origin(key), Kept(memoryview(_content(key, sizes[key])), (0, 0)))
            os._exit(0)
        workers.append(pid)
    time.sleep(0.02)
    for pid in workers[:2]:
        os.kill(pid, signal.SIGKILL)
    for pid in workers:
        os.waitpid(pid, 0)
    kept = {key: store.get(key, _origin(key)) for key in range(len(sizes))}
    wrong = [key for key, image in kept.items() if image is not None and bytes(image.data) != _content(key, sizes[key])]
    return {"kept": store.filling().num_images, "noted": store.filling().num_bytes, "wrong": wrong}


def _origin(key: int) -> Origin:
    return Origin(b"%d" % key, key, key)


def _content(key: int, num_bytes: int) -> bytes:
    return (np.arange(num_bytes, dtype=np.uint32) * (2 * key + 1) >> 8).astype(np.uint8).tobytes()


ROLES: dict[str, Callable[..., object]] = {role.__name__: role for role in (start, read, hold, die, storm, crowd)}

if __name__ == "__main__":
    print(json.dumps(ROLES[sys.argv[1]](*sys.argv[2:])))
