"""The loaders of an experiment: who makes the colours of their batches, and what became of their samples."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet import config as configuration
from centernet.data.datasets.base import DetectionDataset
from centernet.engine.communicator import Single
from centernet.errors import ConfigError, DataError
from centernet.experiment.assembly import assemble
from centernet.experiment.batches import global_batch, load, open_splits
from centernet.experiment.held_out import validation_losses
from centernet.experiment.schema import ExperimentConfig, TrainConfig


def experiment(root: Path, **data: Any) -> ExperimentConfig:
    tree: dict[str, Any] = {
        "task": {"name": "ctdet"},
        "data": {
            "dataset": {"name": "shapes", "num_train": 4, "num_val": 4, "image_size": 64},
            "root": str(root),
            "input_size": [64, 64],
            "workers": 0,
            **data,
        },
        "model": {
            "backbone": {"name": "resnet", "num_layers": 18},
            "neck": {"name": "deconv"},
            "head": {"name": "conv", "hidden_channels": 8},
        },
        "train": {"batch_size": 4},
    }
    return configuration.validate(ExperimentConfig, tree, source="test")


@pytest.mark.parametrize(
    ("typed", "on_gpu", "is_bytes"),
    [({}, False, False), ({}, True, True), ({"color_on": "host"}, True, False), ({"color_on": "device"}, False, True)],
)
def test_batches_to_train_on_travel_as_bytes_where_the_device_colours_them(
    tmp_path: Path, typed: dict[str, str], on_gpu: bool, is_bytes: bool
) -> None:
    config = experiment(tmp_path, **typed)
    training, validation = open_splits(config.data)
    data = load(config, assemble(config, training.classes, training.normalization), training, validation, Single(), on_gpu=on_gpu)
    arrays = next(iter(data.train_loader.epoch(0))).arrays
    assert (arrays["image"].dtype == np.uint8) == is_bytes
    assert ("color" in arrays) == is_bytes
    assert next(iter(data.validation_loader.epoch(0))).arrays["image"].dtype == np.float32


def test_workers_do_not_load_nnabla(tmp_path: Path) -> None:
    config = experiment(tmp_path, workers=1, start_method="spawn")
    training, validation = open_splits(config.data)
    data = load(config, assemble(config, training.classes, training.normalization), training, validation, Single())
    next(iter(data.train_loader.epoch(0)))
    (worker,) = multiprocessing.active_children()
    mapped = Path(f"/proc/{worker.pid}/maps").read_text()
    data.close()
    assert "cv2" in mapped
    assert "nnabla" not in mapped


@pytest.mark.parametrize("form", ["encoded", "decoded"])
def test_an_image_that_hangs_does_not_keep_training_from_its_start(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = experiment(tmp_path, cache={"kind": "ram", "form": form, "budget": "10MB"}, sample_seconds=0.1)
    training, validation = open_splits(config.data)
    assembly = assemble(config, training.classes, training.normalization)
    ended = threading.Event()

    def hang(path: Path) -> None:
        ended.wait()
        raise DataError(f"{path}: gone")

    with monkeypatch.context() as patch:
        for look in ("origin_of", "io.image_size"):
            patch.setattr(f"centernet.data.image_cache.{look}", hang)
        data = load(config, assembly, training, validation, Single())  # whose watchdog names the file in its turn
        ended.set()
    assert data.cache is not None
    data.close()


def test_the_held_out_loss_is_that_of_the_images_that_can_be_read(tmp_path: Path) -> None:
    config = experiment(tmp_path, on_bad_image="skip")
    training, validation = open_splits(config.data)
    assembly = assemble(config, training.classes, training.normalization)
    validation.image_path(1).write_bytes(b"damaged")

    def measured(indices: list[int]) -> dict[str, float]:
        data = load(config, assembly, training, Part(validation, indices), Single())  # type: ignore[arg-type]
        return validation_losses(assembly, data, Single())()

    with assembly.network.parameter_scope():
        expected = measured([0, 2, 3])
        assert measured([0, 1, 2, 3]) == pytest.approx(expected, rel=1e-5)


def train_config(**given: Any) -> TrainConfig:
    return configuration.validate(TrainConfig, given, source="test")


def test_parts_multiply_the_batch_of_a_process_and_divide_the_global_one() -> None:
    assert global_batch(train_config(batch_size=4, accumulate=3), 2) == 24
    assert global_batch(train_config(global_batch_size=24, accumulate=3), 2) == 24
    with pytest.raises(
        ConfigError, match=r"32 cannot be shared by 2 processes in 3 parts each \(train\.accumulate\); expected a multiple of 6"
    ):
        global_batch(train_config(global_batch_size=32, accumulate=3), 2)


def test_held_out_images_go_through_the_network_as_many_at_a_time_as_in_training(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    config = replace(config, train=replace(config.train, batch_size=2, accumulate=2))
    training, validation = open_splits(config.data)
    data = load(config, assemble(config, training.classes, training.normalization), training, validation, Single())
    assert [len(part.names) for part in data.train_loader.epoch(0)] == [4]
    assert [len(part.names) for part in data.validation_loader.epoch(0)] == [2, 2]


class Part:
    """Some samples of a data set."""

    def __init__(self, whole: DetectionDataset, indices: list[int]) -> None:
        self._whole, self._indices, self.normalization = whole, indices, whole.normalization

    def __len__(self) -> int:
        return len(self._indices)

    def __getattr__(self, name: str) -> Any:
        return lambda index: getattr(self._whole, name)(self._indices[index])


def test_bad_images_and_emptied_samples_are_counted_over_all_processes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two processes, one after the other: each tells the other what it saw."""
    config = experiment(tmp_path, on_bad_image="skip")
    training, validation = open_splits(config.data)
    data = load(config, assemble(config, training.classes, training.normalization), training, validation, Single())
    data.train_loader.bad_images, data.train_loader.num_emptied = {1: "1.jpg: damaged", 2: "2.jpg: damaged"}, 3

    class Second(Single):
        """Beside a process that saw images 0 and 1 and 5 emptied samples."""

        def gather(self, value: Any) -> list[Any]:
            return [{0, 1} if isinstance(value, set) else 5, value]

    caplog.clear()  # whether rendering was logged depends on what set the level before
    with caplog.at_level(logging.INFO):
        data.tell_losses(Second())
    assert [record.getMessage() for record in caplog.records] == [
        "3 of 4 training images could not be used; others took their places",
        "8 training samples lost all objects to a transform and were kept as empty images",
    ]
    caplog.clear()
    data.train_loader.bad_images, data.train_loader.num_emptied = {}, 0
    data.tell_losses(Single())
    assert not caplog.records


def test_augmentation_that_no_epoch_is_left_with_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    config = experiment(tmp_path, augment={"mosaic": {"off_for_last": 140}})
    training, validation = open_splits(config.data)
    assembly = assemble(config, training.classes, training.normalization)
    with pytest.raises(ConfigError, match=r"^data\.augment\.mosaic\.off_for_last: the last 140 of 140 epochs"):
        load(config, assembly, training, validation, Single())


def test_the_last_epochs_are_counted_once_a_budget_has_said_how_many_there_are(tmp_path: Path) -> None:
    def images(augment: dict[str, Any], workers: int) -> list[bytes]:
        config = experiment(tmp_path, augment=augment, workers=workers)
        config = replace(config, train=replace(config.train, budget="1h", epochs=1))
        training, validation = open_splits(config.data)
        data = load(config, assemble(config, training.classes, training.normalization), training, validation, Single())
        next(iter(data.train_loader.epoch(0)))  # as when it is measured how long a step takes
        data.plan(replace(config, train=replace(config.train, budget=None, epochs=4)))
        found = [next(iter(data.train_loader.epoch(epoch))).arrays["image"].tobytes() for epoch in (2, 3)]
        data.close()
        return found

    mixed = {"mixup": {"probability": 1, "off_for_last": 1}}
    plain = images({}, 0)
    for workers in (0, 1):
        found = images(mixed, workers)
        assert [found[0] == plain[0], found[1] == plain[1]] == [False, True]


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        ({"mosaic": {"off_for_last": 1.5}}, r"data\.augment\.mosaic\.off_for_last: found 1\.5, expected a share"),
        ({"mosaic": {"zoom": [1, 0.5]}}, r"data\.augment\.mosaic\.zoom: is from 1 to 0\.5, expected the smaller number first"),
        ({"mixup": {"alpha": 0}}, r"data\.augment\.mixup\.alpha: found 0"),
        ({"erasing": {"of": "boxes"}}, r"data\.augment\.erasing\.of: found 'boxes'"),
        ({"erasing": {"probabilty": 1}}, r"data\.augment\.erasing\.probabilty: unknown key; did you mean 'probability'"),
        ({"mirror": "right"}, r"data\.augment\.mirror: found 'right'"),
    ],
)
def test_what_is_wrong_with_an_augmentation_is_told_with_its_place(tmp_path: Path, augment: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        experiment(tmp_path, augment=augment)
