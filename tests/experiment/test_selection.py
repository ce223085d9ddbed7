"""Chosen classes and scores by class."""

from __future__ import annotations

import numpy as np
import pytest

from centernet.errors import ConfigError
from centernet.experiment.selection import check_scores, lowest_scores, shown
from centernet.structures import Detections

NAMES = ("person", "traffic light", "car")
INF = np.inf


@pytest.mark.parametrize(
    ("lowest", "classes", "expected"),
    [
        ({}, None, [0.2, 0.2, 0.2]),
        ({"": 0.4}, None, [0.4, 0.4, 0.4]),
        ({"car": 0.5}, None, [0.2, 0.2, 0.5]),
        ({"": 0.3, "traffic light": 0.1}, ["traffic light", "car"], [INF, 0.1, 0.3]),
        ({"person": 0.9}, ["car"], [INF, INF, 0.2]),
    ],
)
def test_a_class_has_its_own_score_or_that_of_all(lowest: dict[str, float], classes: list[str] | None, expected: list[float]) -> None:
    np.testing.assert_allclose(lowest_scores(NAMES, lowest, classes=classes, default=0.2), expected)


def test_detections_from_their_classes_score_on_are_shown() -> None:
    found = Detections(np.zeros((4, 4)), [0.9, 0.5, 0.5, 0.2], [1, 0, 2, 0])
    kept = shown(found, lowest_scores(NAMES, {"": 0.2, "car": 0.51}, classes=["person", "car"], default=0))
    assert kept.scores.tolist() == pytest.approx([0.5, 0.2])
    assert kept.class_ids.tolist() == [0, 0]


def test_classes_the_model_has_not_are_refused() -> None:
    with pytest.raises(ConfigError, match="--classes: the model has no class 'cat'; did you mean 'car'"):
        lowest_scores(NAMES, {}, classes=["person", "cat"], default=0.2)
    with pytest.raises(ConfigError, match="--classes: the model has no class ''"):
        lowest_scores(NAMES, {}, classes=[""], default=0.2)
    with pytest.raises(ConfigError, match="--vis_thresh: the model has no class 'x'"):
        lowest_scores(NAMES, {"x": 0.5}, default=0.2)


@pytest.mark.parametrize(("lowest", "said"), [({"": 1.1}, "--vis_thresh 1.1:"), ({"car": -1}, "car=-1:"), ({"": float("nan")}, "nan")])
def test_scores_that_cannot_be_are_refused(lowest: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_scores(lowest)
