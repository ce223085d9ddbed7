"""Parts of `make gpu-speed`: how fast our networks train, from memory and from files, with how much memory, and how fast they detect."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import nnabla as nn
import numpy as np
from nnabla.ext_utils import import_extension_module

from centernet.data.pipeline import COLOR, IMAGE
from centernet.engine import memory
from centernet.engine.communicator import Single
from centernet.engine.context import library_versions, resolve
from centernet.engine.precision import LossScaler, LossScalingConfig
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import TrainStep
from centernet.experiment import choice
from centernet.inference.session import NnablaSession
from centernet.models.color import network_input, normalized
from centernet.models.network import Network
from centernet.models.precision import in_float
from centernet.structures import Grid
from centernet.tasks.base import Task
from gpu_files import Watch, trained
from gpu_networks import Arrays, Kind, batch_of, make, sizes
from gpu_parts import Row, Settings, Skipped
from gpu_search import found, next_batch
from photographs import photographs
from report import ROOT

CLASSES = 80
MEAN, STD = (0.408, 0.447, 0.470), (0.289, 0.274, 0.278)
WAITING = 3.0  # per cent
MODES = {"float32": ({"NVIDIA_TF32_OVERRIDE": "0"}, False), "TF32": ({}, False), "half": ({}, True)}  # environment; whether half
TF32 = (8, 0)  # the first compute capability that has it
PHOTOGRAPHS = 96  # files; three batches of 32
MOST = 4096  # no larger batch is tried


def kind_of(settings: Settings, mode: str) -> Kind:
    """Half precision is what the `_mp` configurations mean by it; the CPU has no NHWC."""
    if mode == "TF32" and (library_versions(gpu=0).capability or TF32) < TF32:
        raise Skipped("this GPU has no TF32")
    if not MODES[mode][1]:
        return Kind(device=settings.device)
    return Kind(device=settings.device, compute="half", layout="nchw" if settings.device == "cpu" else "nhwc", channels=4)


def losses_of(task: Task, network: Network) -> Callable[[dict[str, nn.Variable]], dict[str, nn.Variable]]:
    """From images in bytes, as training on a GPU has it."""

    def losses(inputs: dict[str, nn.Variable]) -> dict[str, nn.Variable]:
        image = network_input(inputs[IMAGE], inputs[COLOR], layout=network.layout, channels=network.input_channels)
        maps = network(image, training=True)
        with nn.context_scope(in_float(nn.get_current_context())):
            return dict(task.losses(maps, inputs))

    return losses


def step_of(name: str, kind: Kind, settings: Settings) -> TrainStep:
    """What trains a network, in the current context."""
    task, network = make(name, num_classes=CLASSES, kind=kind, tiny=settings.quick)
    scaling = LossScalingConfig(scale=1024, dynamic=True, max_skips=30) if kind.compute == "half" else None
    return TrainStep(
        losses_of(task, network),
        loss_weights=task.loss_weights,
        solver=Solver(SolverConfig()),
        scaler=LossScaler(scaling),
        communicator=Single(),
        counts=task.counts,
        parameters=network.parameters(),
    )


def in_bytes(*, size: int, side: int) -> Arrays:
    """A batch whose images are bytes with their matrices of colour; the 33rd is the first once more, since drawing takes time."""
    few = min(size, 32)
    arrays = batch_of(size=few, side=side, num_classes=CLASSES)
    arrays[IMAGE] = np.random.default_rng(0).integers(0, 256, (few, side, side, 3), dtype=np.uint8)
    plain = np.concatenate([np.diag(1 / (255 * np.array(STD))), -(np.array(MEAN) / np.array(STD))[:, None]], axis=1)
    arrays[COLOR] = np.repeat(plain[None].astype(np.float32), few, axis=0)
    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in arrays.items()}


class Peak:
    """The most GPU memory that is taken inside the block, looked at every 20 ms; on a CPU, the process's most ever.

    What was taken before does not count: the context with its code, and what other processes have.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_gpu = settings.device != "cpu"
        self._ended = threading.Event()
        self._before = self._used()
        self._most = 0

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def gigabytes(self) -> float:
        return self._most / memory.GB

    def _look(self) -> None:
        while True:
            self._most = max(self._most, self._used() - self._before if self._is_gpu else memory.host_peak())
            if self._ended.wait(0.02):
                self._most = max(self._most, self._used() - self._before)
                return

    def _used(self) -> int:
        found_ = memory.gpu_memory() if self._is_gpu else None
        return found_[0] if found_ else 0


def measured(name: str, kind: Kind, settings: Settings, *, size: int, steps: int, warm_up: int) -> tuple[float, float]:
    """Images per second and peak gigabytes; a step ends when its losses are read, so that nothing is left to wait for."""
    side, _, _ = sizes(settings)
    arrays = in_bytes(size=size, side=side)
    with nn.context_scope(kind.context()), Peak(settings) as peak:
        step = step_of(name, kind, settings)
        for _ in range(warm_up):
            step.run(arrays, 1e-4)
        began = perf_counter()
        for _ in range(steps):
            step.run(arrays, 1e-4)
        speed = size * steps / (perf_counter() - began)
    return speed, peak.gigabytes


def training(name: str, mode: str) -> Callable[[Settings], Iterator[Row]]:
    """A part that trains from memory at batch 32."""

    def run(settings: Settings) -> Iterator[Row]:
        _, batch, steps = sizes(settings)
        speed, used = measured(name, kind_of(settings, mode), settings, size=batch, steps=steps, warm_up=min(5, steps))
        yield Row(what=f"train {name} {mode}", value=speed, unit="images/s")
        yield Row(what=f"train {name} {mode} memory at batch {batch}", value=used, unit="GB")

    return run


def largest(name: str, mode: str) -> Callable[[Settings], Iterator[Row]]:
    """A part that looks for the largest batch, and says what it found batch by batch, in case the next one kills it."""

    def run(settings: Settings) -> Iterator[Row]:
        kind, most = kind_of(settings, mode), 4 if settings.quick else MOST
        tried: dict[int, bool] = {}
        took, last = 0.0, ""
        while (size := next_batch(tried, first=sizes(settings)[1], most=most)) is not None and settings.seconds_left > 2 * took:
            began = perf_counter()
            try:
                speed, used = measured(name, kind, settings, size=size, steps=2, warm_up=1)
            except Exception as error:  # NNabla's of memory has no class of its own
                tried[size], last = False, " ".join(str(error).split())
                print(f"batch {size}: {last}", file=sys.stderr)
            else:
                tried[size] = True
                yield Row(what=f"train {name} {mode} at batch {size}", value=speed, unit=f"images/s in {used:.3g} GB")
            gc.collect()
            import_extension_module("cpu" if settings.device == "cpu" else "cuda").clear_memory_cache()
            took = perf_counter() - began
        if not any(tried.values()):
            raise Skipped(f"not even a batch of {min(tried, default=0)} can be trained: {last}", is_failure=True)
        largest_ = max(size for size, fits in tried.items() if fits)
        yield Row(what=f"largest batch {name} {mode}", value=largest_, unit=found(tried, most=most))

    return run


def real_input(name: str, mode: str) -> Callable[[Settings], Iterator[Row]]:
    """A part that trains on JPEG files from the disk, with all augmentation, through our loader."""

    def run(settings: Settings) -> Iterator[Row]:
        kind, (side, size, _) = kind_of(settings, mode), sizes(settings)
        keys: dict[str, Any] = {
            "data.input_size": [side, side],
            "data.color_on": "device",
            "train.batch_size": size,
            "train.epochs": 1 if settings.quick else 20,
            "train.schedule": {"kind": "cosine", "base_lr": 1e-4},
            "model.pretrained_model_dir": None,
        }
        if settings.quick:
            keys |= {"data.workers": 0, "model.backbone.width": 0.125, "model.head.hidden_channels": 16}
            keys |= {"model.neck.width": 0.125} if name == "resnet_18" else {}
        if settings.device == "cpu" and mode == "half":
            keys["train.precision.channel_last"] = False
        yaml = ROOT / "cfg" / f"{name}_coco_{'mp' if mode == 'half' else 'fp'}.yaml"
        config = choice.experiment(choice.Choice(yaml=yaml, keys=keys))
        files = settings.folder / "photographs"
        files.mkdir(exist_ok=True)
        dataset = photographs(files, 2 * size if settings.quick else PHOTOGRAPHS, num_classes=CLASSES)
        watch = Watch(warm_up=1 if settings.quick else 15)
        with trained(config, (dataset, dataset), device=resolve(settings.device, type_config=kind.compute), watch=watch):
            yield Row(what=f"train {name} {mode} from JPEG files", value=watch.images / watch.seconds, unit="images/s")
            share = 100 * watch.waited / watch.seconds
            yield Row(what=f"waiting for data, {name} {mode}", value=share, unit="% of the time", aim=WAITING)

    return run


def inference(name: str, mode: str) -> Callable[[Settings], Iterator[Row]]:
    """A part that detects, from bytes to decoded boxes on the host."""

    def run(settings: Settings) -> Iterator[Row]:
        kind = kind_of(settings, mode)
        side, most, steps = sizes(settings)
        with nn.context_scope(kind.context()):
            task, network = make(name, num_classes=CLASSES, kind=kind, tiny=settings.quick)

            def detections(pixels: nn.Variable) -> dict[str, nn.Variable]:
                image = normalized(pixels, MEAN, STD, layout=network.layout, channels=network.input_channels)
                k = 16 if settings.quick else 100
                return dict(task.decode_graph(network(image)[-1], k=k, grid=Grid(side, side, network.stride), layout=network.layout))

            session = NnablaSession(detections, context=kind.context())
            for size in (1, most):
                pixels = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
                for _ in range(min(5, steps)):
                    session.run(pixels)
                began, count = perf_counter(), steps * (4 if size == 1 else 1)
                for _ in range(count):
                    session.run(pixels)
                speed = size * count / (perf_counter() - began)
                yield Row(what=f"detect {name} {mode} batch {size}", value=speed, unit="images/s")

    return run
