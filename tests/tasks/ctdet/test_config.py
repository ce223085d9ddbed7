from __future__ import annotations

import pytest
from pydantic import ValidationError

from centernet import plugins
from centernet.tasks.ctdet import Config


def test_defaults_are_the_published_models() -> None:
    config = Config()
    assert (config.max_objects, config.min_overlap, config.radius) == (128, 0.7, "cornernet")
    assert (config.heatmap_weight, config.size_weight, config.offset_weight) == (1, 0.1, 1)


@pytest.mark.parametrize(
    "wrong", [{"max_objects": 0}, {"size_weight": -1}, {"min_overlap": 1}, {"min_overlap": 0}, {"radius": "none"}, {"wh_weight": 1}]
)
def test_impossible_values_and_unknown_keys_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config(**wrong)  # type: ignore[arg-type]


def test_the_configuration_belongs_to_its_folder() -> None:
    assert plugins.name_of(Config()) == "ctdet"
