from __future__ import annotations

import pytest
from pydantic import ValidationError

from centernet.tasks.triplet.config import Config


def test_defaults_are_the_published_models() -> None:
    config = Config()
    assert (config.max_objects, config.min_overlap, config.radius) == (128, 0.7, "cornernet_fixed")
    assert (config.heatmap_weight, config.pull_weight, config.push_weight, config.offset_weight) == (1, 0.1, 0.1, 1)
    assert (config.corners, config.ae_threshold, config.soft_nms.method, config.soft_nms.sigma) == (70, 0.5, "gaussian", 0.5)


@pytest.mark.parametrize(
    "wrong",
    [{"max_objects": 0}, {"pull_weight": -1}, {"min_overlap": 1}, {"radius": "ttf"}, {"corners": 0}, {"ae_threshold": 0}, {"K": 70}],
)
def test_impossible_values_and_unknown_keys_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config(**wrong)  # type: ignore[arg-type]
