"""What a model file says about itself."""

from __future__ import annotations

import json

import pytest

from centernet.errors import WeightsError
from centernet.experiment import description
from centernet.experiment.description import Description
from centernet.structures import ClassTable, Normalization

FULL = Description(
    experiment={"task": {"name": "ctdet"}, "model": {"backbone": {"name": "resnet"}}},
    class_names=("cat", "dog"),
    category_ids=(7, 3),
    input_size=(64, 96),
    mean=(0.1, 0.2, 0.3),
    std=(1.0, 2.0, 3.0),
    stride=4,
    layout="nhwc",
    input_channels=4,
)


def test_a_description_survives_as_a_tree_and_as_json() -> None:
    assert description.read(FULL.to_tree(), source="x") == FULL
    assert description.read(FULL.to_json(), source="x") == FULL
    assert json.loads(FULL.to_json())["format"] == description.FORMAT


def test_it_knows_its_classes_and_colours() -> None:
    assert FULL.classes == ClassTable(("cat", "dog"), (7, 3))
    assert FULL.normalization == Normalization((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ("{", "x: its description is not JSON"),
        ("[]", "x: its description is list, expected a JSON object"),
        (FULL.to_tree() | {"format": description.FORMAT + 1}, "x: its description has format 2, this version reads up to 1; update"),
        (FULL.to_tree() | {"colour": 1}, r"x: colour: unknown key.*in the file's own description"),
        (FULL.to_tree() | {"stride": 0}, "x: stride: found 0"),
        (FULL.to_tree() | {"layout": "nhcw"}, "x: layout: found 'nhcw'"),
        (FULL.to_tree() | {"experiment": {"model": 3}}, "x: experiment.model: found 3"),
        ({"format": 1}, "x: experiment: is missing"),
    ],
)
def test_what_is_no_description_of_this_format_is_refused(tree: dict[str, object] | str, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        description.read(tree, source="x")
