"""Every state dict and golden network of the original systems is one that the importer knows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.experiment import checkpoints, published
from centernet.experiment.choice import Choice
from centernet.experiment.origin import architecture_of, completed, network_of, origin_of
from centernet.models.torch_names import NEVER_USED
from centernet.weights.torch_import import plain

pytestmark = pytest.mark.reference

TRIPLETS = {
    "104": "large_hourglass",
    "large": "large_hourglass",
    "52": "small_hourglass",
    "small": "small_hourglass",
    "tiny": "tiny_hourglass",
}
LARGE = ("hourglass", "CenterNet", "152", "101", "dla", "resnext", "wide", "mobilenet", "50")
DETECTORS = {"ctdet_coco": (80, (512, 512)), "ctdet_pascal": (20, (384, 384)), "multi_pose": (1, (512, 512)), "ddd": (3, (384, 1280))}
Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def state_dicts(reference: Path) -> dict[str, Shapes]:
    models = json.loads(gzip.decompress((reference / "torch" / "torch_state_dicts.json.gz").read_bytes()))["models"]
    return {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in models.items()}


def check_import(name: str, shapes: Mapping[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a file of DataParallel, by what the file says of itself: all of the network is there, and nothing else is left over."""
    state: dict[str, Any] = {f"module.{key}": np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    monkeypatch.setattr(checkpoints, "read_checkpoint", lambda path: state)
    origin = origin_of(plain(shapes), source=name)
    network = network_of(origin.architecture, origin.hidden_channels)
    if origin.is_backbone:
        _, report = checkpoints.import_backbone(name, network)
    else:
        _, report = checkpoints.import_checkpoint(name, network, keep_heads=tuple(origin.heads))
    assert report.missing == (), name
    assert all(any(fnmatchcase(key, pattern) for pattern in NEVER_USED) for key in report.unused_plain), name
    assert len(report.taken) + len(report.unused_plain) == len(shapes), name


def test_every_network_is_one_that_is_built(state_dicts: dict[str, Shapes]) -> None:
    assert [name for name, shapes in state_dicts.items() if architecture_of(plain(shapes)) is None] == []


def test_every_detector_by_keypoint_triplets_is_known_with_its_task(state_dicts: dict[str, Shapes]) -> None:
    found = {name: origin_of(plain(shapes), source=name) for name, shapes in state_dicts.items() if name.startswith("keypoint_triplets/")}
    assert found
    for name, origin in found.items():
        assert origin.architecture == next(own for word, own in TRIPLETS.items() if word in name)
        assert (origin.claim.task if origin.claim else None, origin.num_classes, origin.hidden_channels) == ("triplet", 80, 256)
        description = published.describe(completed(Choice(), origin, source=name))
        assert (description.experiment["task"]["name"], description.input_size, description.stride) == ("triplet", (511, 511), 4)
        with pytest.raises(WeightsError, match=r"task 'ctdet' was asked for, but keypoint_.* is for task 'triplet'"):
            completed(Choice(task="ctdet"), origin, source=name)


def test_every_official_detector_is_known_with_its_classes_and_input_size(state_dicts: dict[str, Shapes]) -> None:
    found = {name: origin_of(shapes, source=name) for name, shapes in state_dicts.items() if name.startswith("xy/")}
    for name, origin in found.items():
        _, arch, task = name.split("/")
        assert origin.architecture == {"hourglass": "hourglass_104", "dlav0_34": "dlav0_ida_34"}.get(arch, arch)
        assert origin.hidden_channels == (64 if arch.startswith("res") else 256)
        assert origin.is_of_another_task == (task == "exdet_coco")
    for task, (num_classes, size) in DETECTORS.items():
        of_task = next(origin for name, origin in found.items() if name.endswith(task) and not name.startswith("xy/hourglass"))
        description = published.describe(completed(Choice(), of_task, source=task))
        assert (len(description.class_names), description.input_size) == (num_classes, size)


def test_small_state_dicts_are_imported_whole(state_dicts: dict[str, Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    small = [name for name in state_dicts if not any(word in name for word in LARGE)]
    assert small
    for name in small:
        check_import(name, state_dicts[name], monkeypatch)


@pytest.mark.slow
def test_large_state_dicts_are_imported_whole(state_dicts: dict[str, Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    large = [name for name in state_dicts if any(word in name for word in LARGE)]
    assert large
    for name in large:
        check_import(name, state_dicts[name], monkeypatch)
