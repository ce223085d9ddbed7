"""Every state dict and golden network of the original systems is one that the importer knows, or waits for its task by name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.experiment import checkpoints, published
from centernet.experiment.choice import Choice
from centernet.experiment.origin import architecture_of, completed, network_of, origin_of
from centernet.models.torch_names import NEVER_USED

pytestmark = pytest.mark.reference

WAITING = {  # for the task of keypoint triplets
    "keypoint_triplets/Duankaiwen_CenterNet-104",
    "keypoint_triplets/Duankaiwen_CenterNet-52",
    "keypoint_triplets/zzzxxxttt_large_hourglass",
    "keypoint_triplets/zzzxxxttt_small_hourglass",
    "keypoint_triplets/zzzxxxttt_tiny_hourglass",
    "keypoint_triplets/zzzxxxttt_old_large_hourglass",
    "keypoint_triplets/zzzxxxttt_old_small_hourglass",
}
WAITING_GOLDENS = {"keypoint_triplets_104"}
LARGE = ("hourglass", "152", "101", "dla", "resnext", "wide", "mobilenet", "50")
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
    origin = origin_of(shapes, source=name)
    network = network_of(origin.architecture, origin.hidden_channels)
    if origin.is_backbone:
        _, report = checkpoints.import_backbone(name, network)
    else:
        _, report = checkpoints.import_checkpoint(name, network, keep_heads=tuple(origin.heads))
    assert report.missing == (), name
    assert all(any(fnmatchcase(key, pattern) for pattern in NEVER_USED) for key in report.unused_plain), name
    assert len(report.taken) + len(report.unused_plain) == len(shapes), name


def test_only_keypoint_triplets_wait(state_dicts: dict[str, Shapes], reference: Path) -> None:
    assert {name for name, shapes in state_dicts.items() if architecture_of(shapes) is None} == WAITING
    goldens = json.loads((reference / "torch" / "nets_index.json").read_text())
    assert {name for name in goldens if name.startswith("keypoint")} == WAITING_GOLDENS


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
    small = [name for name in state_dicts if name not in WAITING and not any(word in name for word in LARGE)]
    assert small
    for name in small:
        check_import(name, state_dicts[name], monkeypatch)


@pytest.mark.slow
def test_large_state_dicts_are_imported_whole(state_dicts: dict[str, Shapes], monkeypatch: pytest.MonkeyPatch) -> None:
    large = [name for name in state_dicts if name not in WAITING and any(word in name for word in LARGE)]
    assert large
    for name in large:
        check_import(name, state_dicts[name], monkeypatch)
