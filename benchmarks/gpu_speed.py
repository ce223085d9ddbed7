"""How fast a GPU trains and detects: `make gpu-speed`, at most eight minutes, one JSON file and one table.

    make gpu-speed [PYTHON=...]                           on a machine with a GPU; results in exp/gpu
    python benchmarks/gpu_speed.py --device cpu --quick      anywhere: whether this program works

Training at 512x512 of ResNet-18 and DLAv0-34 with 80 classes: images per second and peak memory at batch 32 and at the largest batch that
fits, in float32 NCHW, with TF32, and in half precision NHWC; with batches from memory and with JPEG files from the disk; beside PyTorch on
the same card with equal networks, autocast, channels_last and cudnn.benchmark, in the machine's own python3 ($CENTERNET_PYTORCH names
another). Inference at batch 1 and 32, decoded on the device. Images always come as bytes from the host.

Aims: half NHWC at least 1.8 times float32, and 0.8 times PyTorch; at most 3 % of the time is spent waiting for data.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import nnabla as nn
import numpy as np

from centernet.data.pipeline import COLOR, IMAGE
from centernet.engine import memory
from centernet.engine.communicator import Single
from centernet.engine.context import resolve
from centernet.engine.precision import LossScaler, LossScalingConfig
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import StepReport, TrainStep
from centernet.engine.trainer import Trainer
from centernet.experiment import batches, choice
from centernet.experiment.assembly import assemble
from centernet.inference.session import NnablaSession
from centernet.models.color import network_input, normalized
from centernet.models.network import Network
from centernet.models.precision import in_float
from centernet.tasks.base import Task
from gpu_beside import pytorch
from gpu_networks import Arrays, Kind, batch_of, make, sizes
from gpu_parts import Part, Row, Settings, Skipped, main
from report import ROOT

CLASSES = 80
LARGEST = 512  # no larger batch is tried
MEAN, STD = (0.408, 0.447, 0.470), (0.289, 0.274, 0.278)
OF_HALF, OF_PYTORCH, WAITING = 1.8, 0.8, 3.0
MODES = {"float32": ({"NVIDIA_TF32_OVERRIDE": "0"}, False), "TF32": ({}, False), "half": ({}, True)}


def kind_of(settings: Settings, *, half: bool) -> Kind:
    """Half precision is what the `_mp` configurations mean by it; the CPU has no NHWC."""
    if not half:
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


def step_of(name: str, settings: Settings, *, half: bool) -> TrainStep:
    """What trains a network, in the current context."""
    task, network = make(name, num_classes=CLASSES, kind=kind_of(settings, half=half), tiny=settings.quick)
    return TrainStep(
        losses_of(task, network),
        loss_weights=task.loss_weights,
        solver=Solver(SolverConfig()),
        scaler=LossScaler(LossScalingConfig(scale=1024, dynamic=True, max_skips=30) if half else None),
        communicator=Single(),
        counts=task.counts,
        parameters=network.parameters(),
    )


def in_bytes(*, size: int, side: int) -> Arrays:
    """A batch whose images are bytes with their matrices of colour."""
    arrays = batch_of(size=size, side=side, num_classes=CLASSES)
    arrays[IMAGE] = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
    plain = np.concatenate([np.diag(1 / (255 * np.array(STD))), -(np.array(MEAN) / np.array(STD))[:, None]], axis=1)
    arrays[COLOR] = np.repeat(plain[None].astype(np.float32), size, axis=0)
    return arrays


def speed_of(step: TrainStep, arrays: Arrays, *, steps: int) -> float:
    """Images per second; a step ends when its losses are read, so that nothing is left to wait for."""
    for _ in range(min(5, steps)):
        step.run(arrays, 1e-4)
    started = perf_counter()
    for _ in range(steps):
        step.run(arrays, 1e-4)
    return len(arrays[IMAGE]) * steps / (perf_counter() - started)


def gigabytes(settings: Settings) -> float:
    """Of the GPU, in use after a measurement; of the process on a CPU."""
    found = memory.gpu_memory() if settings.device != "cpu" else None
    return (found[0] if found else memory.host_peak()) / 1e9


def training(name: str, mode: str) -> Callable[[Settings], list[Row]]:
    """A part that trains from memory at batch 32."""

    def run(settings: Settings) -> list[Row]:
        half = MODES[mode][1]
        side, batch, steps = sizes(settings)
        with nn.context_scope(kind_of(settings, half=half).context()):
            speed = speed_of(step_of(name, settings, half=half), in_bytes(size=batch, side=side), steps=steps)
        return [
            Row(what=f"train {name} {mode}", value=speed, unit="images/s"),
            Row(what=f"train {name} {mode} memory at batch {batch}", value=gigabytes(settings), unit="GB"),
        ]

    return run


def largest(name: str, mode: str) -> Callable[[Settings], list[Row]]:
    """A part that doubles the batch until it does not fit, and says so batch by batch, in case the last one kills it."""

    def run(settings: Settings) -> list[Row]:
        half = MODES[mode][1]
        side, batch, steps = sizes(settings)
        fitting, speed, used = 0, 0.0, 0.0
        with nn.context_scope(kind_of(settings, half=half).context()):
            while batch <= (4 if settings.quick else LARGEST):
                nn.clear_parameters()
                try:
                    speed = speed_of(step_of(name, settings, half=half), in_bytes(size=batch, side=side), steps=max(1, steps // 4))
                except Exception as error:  # NNabla's of memory has no class of its own
                    print(f"batch {batch}: {error}", file=sys.stderr)
                    break
                fitting, used = batch, gigabytes(settings)
                batch *= 2
        if not fitting:
            raise Skipped("not even the smallest batch fits", is_failure=True)
        return [
            Row(what=f"largest batch {name} {mode}", value=fitting, unit=f"images (up to {LARGEST}, doubled)"),
            Row(what=f"train {name} {mode} at batch {fitting}", value=speed, unit="images/s"),
            Row(what=f"train {name} {mode} memory at batch {fitting}", value=used, unit="GB"),
        ]

    return run


class Watch:
    """A monitor that adds up images, seconds and waiting once the first steps are over."""

    def __init__(self, *, skipped: int) -> None:
        self._left = skipped
        self.images, self.waited = 0, 0.0
        self.begun = self.ended_at = perf_counter()

    def stepped(self, progress: object, report: StepReport, *, num_images: int, wait: float, **_: object) -> None:
        self.ended_at = perf_counter()
        if self._left:
            self._left -= 1
            self.begun = self.ended_at
            return
        self.images += num_images
        self.waited += wait

    def started(self, *_: object, **__: object) -> None:
        """Nothing to add, and so do the others below."""

    epoch_ended = validated = ended = started


def real_input(settings: Settings) -> list[Row]:
    """ResNet-18 in half precision on JPEG files from the disk, with all augmentation, through our loader."""
    side, size, steps = sizes(settings)
    steps = 2 if settings.quick else 60
    with tempfile.TemporaryDirectory() as folder:
        keys: dict[str, Any] = {
            "data.dataset": {"name": "shapes", "num_train": steps * size, "num_val": 1, "image_size": max(side, 32)},
            "data.root": str(Path(folder) / "shapes"),
            "data.input_size": [side, side],
            "data.color_on": "device",
            "train.batch_size": size,
            "train.epochs": 1,
            "model.pretrained_model_dir": None,
        }
        if settings.device == "cpu":
            keys |= {"train.precision.channel_last": False, "data.workers": 0, "model.backbone.width": 0.125, "model.neck.width": 0.125}
        config = choice.experiment(choice.Choice(yaml=ROOT / "cfg" / "resnet_18_coco_mp.yaml", keys=keys))
        training_split, validation = batches.open_splits(config.data)
        assembly = assemble(config, training_split.classes, training_split.normalization)
        device = resolve(settings.device, type_config="half")
        data = batches.load(config, assembly, training_split, validation, Single(), on_gpu=device.is_gpu)
        watch = Watch(skipped=steps // 4)
        with nn.context_scope(device.context), assembly.network.parameter_scope():
            step = TrainStep(
                lambda inputs: assembly.losses(inputs, training=True),
                loss_weights=assembly.task.loss_weights,
                solver=Solver(config.train.solver),
                scaler=LossScaler(config.train.precision.loss_scaling),
                communicator=Single(),
                counts=assembly.task.counts,
                parameters=assembly.network.parameters(),
            )
            trainer = Trainer(
                step=step,
                loader=data.train_loader,
                learning_rate=lambda epoch, batch: 1e-4,
                num_epochs=1,
                communicator=Single(),
                monitors=[watch],
            )
            try:
                trainer.fit()
            finally:
                data.close()
    seconds = watch.ended_at - watch.begun
    return [
        Row(what="train resnet_18 half from JPEG files", value=watch.images / seconds, unit="images/s"),
        Row(what="waiting for data", value=100 * watch.waited / seconds, unit="% of the time", aim=WAITING),
    ]


def inference(name: str, mode: str) -> Callable[[Settings], list[Row]]:
    """A part that detects, from bytes to decoded boxes on the host."""

    def run(settings: Settings) -> list[Row]:
        kind = kind_of(settings, half=MODES[mode][1])
        side, most, steps = sizes(settings)
        rows = []
        with nn.context_scope(kind.context()):
            task, network = make(name, num_classes=CLASSES, kind=kind, tiny=settings.quick)

            def detections(pixels: nn.Variable) -> dict[str, nn.Variable]:
                image = normalized(pixels, MEAN, STD, layout=network.layout, channels=network.input_channels)
                k = 16 if settings.quick else 100
                return dict(task.decode_graph(network(image)[-1], k=k, stride=network.stride, layout=network.layout))

            session = NnablaSession(detections, context=kind.context())
            for size in (1, most):
                pixels = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
                for _ in range(min(5, steps)):
                    session.run(pixels)
                started, count = perf_counter(), steps * (4 if size == 1 else 1)
                for _ in range(count):
                    session.run(pixels)
                speed = size * count / (perf_counter() - started)
                rows.append(Row(what=f"detect {name} {mode} batch {size}", value=speed, unit="images/s"))
        return rows

    return run


def summary(values: dict[str, float]) -> list[Row]:
    """The ratios that the aims are about."""
    rows = []
    for name in ("resnet_18", "dlav0_34"):
        half = values.get(f"train {name} half")
        for other, aim in ((f"train {name} float32", OF_HALF), (f"PyTorch train {name} half", OF_PYTORCH)):
            if half is not None and other in values:
                rows.append(Row(what=f"half over {other}", value=half / values[other], unit="times", aim=aim, at_least=True))
    return rows


def parts() -> list[Part]:
    """What the aims are about first: the last ones may find no time left."""
    networks = ("resnet_18", "dlav0_34")
    trained = [
        Part(f"train-{mode}-{name}", training(name, mode), 45, False, MODES[mode][0]) for name in networks for mode in ("half", "float32")
    ]
    return [
        *trained,
        Part("real-input", real_input, 75),
        *(Part(f"pytorch-{name}", pytorch(name), 75) for name in networks),
        *(Part(f"detect-{mode}-resnet_18", inference("resnet_18", mode), 40, False, MODES[mode][0]) for mode in ("half", "float32")),
        Part("largest-half-resnet_18", largest("resnet_18", "half"), 60),
        Part("train-TF32-resnet_18", training("resnet_18", "TF32"), 45, needs_gpu=True),
        *(Part(f"detect-{mode}-dlav0_34", inference("dlav0_34", mode), 40, False, MODES[mode][0]) for mode in ("half", "float32")),
        Part("largest-half-dlav0_34", largest("dlav0_34", "half"), 60),
        Part("largest-float32-resnet_18", largest("resnet_18", "float32"), 60, False, MODES["float32"][0]),
        Part("train-TF32-dlav0_34", training("dlav0_34", "TF32"), 45, needs_gpu=True),
    ]


if __name__ == "__main__":
    sys.exit(main("How fast a GPU trains and detects", parts(), summary))
