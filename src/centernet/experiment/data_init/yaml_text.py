"""The YAML of an experiment on a data set that was looked at: the parts that depend on the data, and why they are so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from centernet.structures import Array

SIDES = (256, 320, 384, 448, 512, 640, 768)  # input sizes to choose from
LEGIBLE = 16.0  # input pixels: four cells of the heatmap
SMALL = 0.1  # share of boxes that may be smaller
VIEWS = 24_000  # of training images, in all epochs
FEWEST_EPOCHS, MOST_EPOCHS = 20, 300
BATCH = 16
MAX_OBJECTS, K = 128, 100  # what the task and the section `test` have where nothing is said


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the YAML depends on.

    root: of the data. plugin: data set that reads it. train, val: the sections. classes: to list, None: as they come.
    num_train: images. most_objects: in an image. box_sides: (n,) square roots of the areas of boxes, each as a share of its
    image's longer side.
    """

    root: Path
    plugin: str
    train: Mapping[str, Any]
    val: Mapping[str, Any]
    classes: Sequence[str] | None
    num_train: int
    most_objects: int
    box_sides: Array
    largest_image: int


def input_side(box_sides: Array, *, largest_image: int) -> tuple[int, str]:
    """A square input that shows nearly all boxes legibly, no larger than the images need; and why in a few words."""
    if not len(box_sides):
        return SIDES[0], "multiples of 32"
    small = float(np.quantile(box_sides, SMALL))
    side = next((side for side in SIDES if side * small >= LEGIBLE or side >= largest_image > 0), SIDES[-1])
    return side, f"here nine boxes in ten are {side * small:.0f} pixels or larger"


def yaml_text(facts: Facts, *, heading: str) -> str:
    """The whole file; `heading`: its first comment."""
    side, why = input_side(facts.box_sides, largest_image=facts.largest_image)
    epochs = int(min(max(VIEWS // max(facts.num_train, 1), FEWEST_EPOCHS), MOST_EPOCHS))
    batch = min(BATCH, 1 << (facts.num_train.bit_length() - 1))
    more_objects = f", max_objects: {-(-facts.most_objects // 32) * 32}" if facts.most_objects > MAX_OBJECTS else ""
    lines = [
        f"# {heading}",
        f"task: {{name: ctdet{more_objects}}}",
        "data:",
        f"  root: {json.dumps(str(facts.root), ensure_ascii=False)}  # or --data_dir",
        "  dataset:",
        f"    name: {facts.plugin}",
        *([f"    classes: {_flow(list(facts.classes))}"] if facts.classes is not None else []),
        f"    train: {_flow(facts.train)}",
        f"    val: {_flow(facts.val)}",
        f"  input_size: [{side}, {side}]  # height, width; multiples of 32; {why}",
        "model:",
        "  backbone: {name: resnet, num_layers: 18}",
        "  neck: {name: deconv}",
        "  head: {name: conv, hidden_channels: 64}",
        "  pretrained_model_dir: null  # random weights; `centernet weights list` names better ones",
        "train:",
        f"  epochs: {epochs}",
        f"  global_batch_size: {batch}  # images a step, over all processes",
        "  schedule: {kind: cosine, base_lr: 1e-3, warmup_epochs: 2}",
    ]
    if facts.most_objects > K:
        lines += ["test:", f"  k: {-(-facts.most_objects // 50) * 50}  # an image has {facts.most_objects} objects"]
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    """A value on one line, as YAML reads it: texts in quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
