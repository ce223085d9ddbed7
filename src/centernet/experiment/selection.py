"""Which detections are shown: chosen classes, and a lowest score for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from centernet.errors import ConfigError, did_you_mean
from centernet.structures import Array, Detections

DEFAULT_SCORE = 0.2  # from which an object is shown
EVERY = ""  # the name under which the score for all other classes stands


def check_scores(lowest: Mapping[str, float]) -> None:
    """ConfigError unless every score is between 0 and 1."""
    for name, score in lowest.items():
        if not 0 <= score <= 1:
            raise ConfigError(f"--vis_thresh {f'{name}={score}' if name else score}: scores are between 0 and 1")


def lowest_scores(
    class_names: Sequence[str], lowest: Mapping[str, float], *, classes: Sequence[str] | None = None, default: float
) -> Array:
    """The score from which a class is shown, (C,) float32 by class id; infinite for classes that are not.

    Args:
        class_names: of the model, in the order of class ids.
        lowest: scores in [0, 1] by class name; '' is for all classes without one of their own.
        classes: names of those to show; None: all.
        default: where neither `lowest` nor its '' says anything.

    Raises:
        ConfigError: the model has no such class.
    """
    for option, names in (("--classes", classes or ()), ("--vis_thresh", lowest)):
        unknown = next((name for name in names if name not in class_names and (name or option == "--classes")), None)
        if unknown is not None:
            raise ConfigError(f"{option}: the model has no class '{unknown}'{did_you_mean(unknown, class_names)}")
    every = lowest.get(EVERY, default)
    shown = set(class_names if classes is None else classes)
    return np.array([lowest.get(name, every) if name in shown else np.inf for name in class_names], np.float32)


def shown(detections: Detections, lowest: Array) -> Detections:
    """Those that reach their class's lowest score; `lowest` as `lowest_scores` gives it."""
    return detections.select(detections.scores >= lowest[detections.class_ids])
