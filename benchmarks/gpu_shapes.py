"""Training on rendered shapes, in half precision or float32, up to AP: what `make gpu-correct` compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nnabla as nn

from centernet.engine.context import resolve
from centernet.experiment import batches, choice
from centernet.experiment.assembly import Assembly
from centernet.inference.session import NnablaSession
from centernet.structures import Detections
from gpu_files import Watch, trained
from gpu_parts import Settings
from report import ROOT

STEPS = 2000
MOST = 20  # objects in an image


def shapes_experiment(folder: Path, settings: Settings, *, half: bool) -> Any:
    """The quick start's network on rendered shapes, 2000 steps; in half precision as the `_mp` configurations say."""
    steps, size = (2, 2) if settings.quick else (STEPS, 16)
    epochs = 1 if settings.quick else 10
    keys: dict[str, Any] = {
        "data.root": str(folder / "shapes"),
        "data.dataset.num_train": steps * size // epochs,
        "data.dataset.num_val": 2 if settings.quick else 400,
        "data.color_on": "device",
        "data.workers": 0 if settings.quick else None,
        "train.global_batch_size": size,
        "train.epochs": epochs,
    }
    if settings.quick:
        keys |= {"model.backbone.width": 0.125, "data.input_size": [32, 32]}
    if half:
        on_gpu = settings.device != "cpu"
        keys |= {"train.precision.compute": "half", "train.precision.channel_last": on_gpu, "train.precision.pad_input_to": 4}
        keys |= {"train.precision.loss_scaling": {"scale": 1024, "dynamic": True}}
    return choice.experiment(choice.Choice(yaml=ROOT / "cfg" / "quickstart.yaml", keys=keys))


def train_shapes(settings: Settings, *, half: bool) -> tuple[Watch, float]:
    """What happened in training, and AP of what came out, computed in the same type."""
    config, watch = shapes_experiment(settings.folder, settings, half=half), Watch()
    device = resolve(settings.device, type_config="half" if half else "float")
    with trained(config, batches.open_splits(config.data), device=device, watch=watch) as (assembly, data):
        return watch, average_precision(assembly, data, device.context)


def average_precision(assembly: Assembly, data: batches.Data, context: nn.Context) -> float:
    """AP on the held-out images, decoded on the device; they are square, so that boxes only have to be enlarged."""
    network, grid = assembly.network, assembly.grid
    dataset = data.validation
    metric = assembly.task.metric(dataset.annotations, protocol="coco", classes=dataset.classes)

    def decoded(image: nn.Variable) -> dict[str, nn.Variable]:
        return dict(assembly.task.decode_graph(network(image)[-1], k=MOST, grid=grid, layout=network.layout))

    session = NnablaSession(decoded, context=context)
    first = 0
    for batch in data.validation_loader.epoch(0):
        found = assembly.task.read_decoded(session.run(batch.arrays["image"]), k=MOST)
        for index, detections in enumerate(found, first):
            factor = dataset.sample(index).image.shape[0] / grid.height
            metric.update(index, Detections(detections.boxes * factor, detections.scores, detections.class_ids))
        first += len(found)
    return float(str(metric.compute()["AP"]))
