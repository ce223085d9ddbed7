"""The picture that training draws at every measurement."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from centernet import config as configuration
from centernet.data.datasets.base import DetectionDataset
from centernet.experiment.assembly import Assembly, open_split
from centernet.experiment.detector import Options
from centernet.experiment.inference_graph import Machine
from centernet.experiment.schema import DataConfig
from centernet.experiment.sheet import TILE_HEIGHT
from centernet.experiment.validation_pictures import ValidationPictures
from centernet.structures import Array


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    """Six square images."""
    dataset = {"name": "shapes", "num_train": 2, "num_val": 6, "image_size": 64}
    tree = {"dataset": dataset, "root": str(tmp_path_factory.mktemp("shapes")), "input_size": [64, 64]}
    return open_split(configuration.validate(DataConfig, tree, source="test"), "val")


@pytest.fixture(scope="module")
def centers(assembled: Callable[..., Assembly]) -> Assembly:
    return assembled({"name": "resnet", "num_layers": 18, "width": 0.125}, {"name": "deconv", "width": 0.125}, side=64)


@pytest.fixture(scope="module")
def triplets(assembled: Callable[..., Assembly]) -> Assembly:
    head = {"name": "triplet", "width": 0.125}
    backbone = {"name": "hourglass", "num_layers": 52, "width": 0.125}
    return assembled(backbone, {"name": "identity"}, side=127, task="triplet", head=head, last={"": 2e-3})


def pictures(assembly: Assembly, dataset: DetectionDataset, *, num_images: int = 3, seed: int = 0) -> ValidationPictures:
    machine = Machine(extension="cpu", precision="float32", threads=1)
    return ValidationPictures(assembly, dataset, machine, Options(k=20), num_images=num_images, seed=seed)


def opened(png: bytes) -> Array:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


@pytest.mark.parametrize(("task", "columns"), [("centers", 3), pytest.param("triplets", 5, marks=pytest.mark.slow)])
def test_a_row_has_the_truth_the_detections_and_every_heatmap(
    request: pytest.FixtureRequest, dataset: DetectionDataset, task: str, columns: int
) -> None:
    png = pictures(request.getfixturevalue(task), dataset).draw(0)
    height, width = opened(png).shape[:2]
    assert columns * TILE_HEIGHT < width < (columns + 0.5) * TILE_HEIGHT
    assert 3 * TILE_HEIGHT < height < 4 * TILE_HEIGHT


def test_the_same_images_are_drawn_each_time_and_other_ones_with_another_seed(centers: Assembly, dataset: DetectionDataset) -> None:
    drawn = pictures(centers, dataset)
    first, other = drawn.draw(0), pictures(centers, dataset, seed=1).draw(0)
    assert first == drawn.draw(0) == pictures(centers, dataset).draw(0)
    assert first != other


def test_a_picture_follows_the_parameters(centers: Assembly, dataset: DetectionDataset) -> None:
    drawn = pictures(centers, dataset)
    before = drawn.draw(0)
    parameter = next(value for name, value in centers.network.parameters().items() if name.startswith("hm_final") and name.endswith("b"))
    kept = parameter.d.copy()
    parameter.d = kept + 3
    assert drawn.draw(0) != before
    parameter.d = kept
    assert drawn.draw(0) == before


def test_an_image_that_cannot_be_read_is_replaced_by_the_next(centers: Assembly, dataset: DetectionDataset) -> None:
    three, all_ = (pictures(centers, dataset, num_images=number) for number in (3, 6))
    before = opened(three.draw(0)), opened(all_.draw(0))
    broken = dataset.image_path(2)
    content = broken.read_bytes()
    try:
        broken.write_bytes(b"no image")
        after = opened(three.draw(0)), opened(all_.draw(0))
    finally:
        broken.write_bytes(content)
    assert after[0].shape == before[0].shape
    assert after[1].shape[0] < before[1].shape[0]
