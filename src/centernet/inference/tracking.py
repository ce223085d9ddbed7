"""Objects through a video: which detections of successive frames are one and the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from centernet.errors import ConfigError
from centernet.structures import Array, Detections

FARTHEST = 0.7  # 1 - intersection over union of an object's expected box and a detection, beyond which they do not belong together
MEMORY = 0.5  # seconds for which an object that is not detected is expected back


def check_installed() -> None:
    """ConfigError with the command that installs it, unless the package norfair is there."""
    try:
        import norfair  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--track needs the package norfair ({error}); install it: pip install 'norfair>=2.3,<3'") from None


class Tracker:
    """Numbers for objects, as Norfair finds them: a Kalman filter for each box, detections given to the nearest of their class."""

    def __init__(self, *, rate: float) -> None:
        """
        Args:
            rate: frames per second, > 0.

        Raises:
            ConfigError: the package norfair is not installed.
        """
        check_installed()
        from norfair import tracker as norfair

        self._detection: Any = norfair.Detection
        self._tracker: Any = norfair.Tracker(
            distance_function="iou",
            distance_threshold=FARTHEST,
            hit_counter_max=max(2, round(MEMORY * rate)),
            initialization_delay=0,  # a number from the first frame on
        )

    def update(self, detections: Detections) -> Array:
        """The numbers of the next frame's objects.

        Args:
            detections: of the frame; all of them, since every call is one frame.

        Returns:
            (n,) int64: from 1 in order of appearance, the same for the same object; 0 for what Norfair gives none.
        """
        low = np.minimum(detections.boxes[:, :2], detections.boxes[:, 2:]).astype(np.float64)
        high = np.maximum(np.maximum(detections.boxes[:, :2], detections.boxes[:, 2:]), low + 1)  # Norfair wants boxes with an area
        points = np.stack([low, high], axis=1)
        given = [self._detection(points[i], label=int(detections.class_ids[i]), data=i) for i in range(len(detections))]
        self._tracker.update(given)
        ids = np.zeros(len(detections), np.int64)
        for tracked in self._tracker.tracked_objects:
            last = tracked.last_detection
            if tracked.id is not None and last.data < len(given) and given[last.data] is last:
                ids[last.data] = tracked.id
        return ids
