"""What the network itself sees of an image: its input, and the maps of every head over it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from centernet.experiment.detector import Detector
from centernet.experiment.selection import shown
from centernet.imaging.draw import Theme, draw_detections, heatmap_overlay
from centernet.imaging.maps import number_maps
from centernet.imaging.warp import resize_for_scale
from centernet.inference.predictor import Inspection
from centernet.structures import Array

READABLE_HEIGHT = 256  # pixels: smaller network inputs are enlarged before they are drawn on
SEEN = 0.1  # heat from which a class counts as seen


def inspection_pictures(
    detector: Detector, inspection: Inspection, lowest: Array, *, theme: Theme, every_class: bool = False
) -> Iterator[tuple[str, Array]]:
    """(name, picture) of the input with its detections, of the heatmaps, and of each other head's map.

    Args:
        inspection: of a detector opened `with_maps`.
        lowest: (C,), the score from which each class is shown, infinite for classes that are not.
        theme: what the image fades into under a map.
        every_class: a heatmap of each class that is shown, not only of those with some heat.
    """
    seen = inspection.fitted.warped
    enlarged = resize_for_scale(seen, max(1.0, READABLE_HEIGHT / seen.shape[0]))
    found = shown(detector.in_input(inspection), lowest)
    yield "input", draw_detections(seen, found, detector.class_names, height=len(enlarged))
    heads, maps = detector.assembly.task.heads, detector.maps(inspection)
    heat = np.zeros(next(iter(maps.values())).shape[1:])
    for name in (name for name, head in heads.items() if head.kind == "heatmap"):
        chosen = np.flatnonzero(np.isfinite(lowest))
        visible = np.where(np.isfinite(lowest)[:, None, None], maps[name], 0)
        heat = np.maximum(heat, visible.max(axis=0))
        yield name, heatmap_overlay(enlarged, visible, theme=theme)
        for class_id in chosen:
            if every_class or maps[name][class_id].max() >= min(SEEN, lowest[class_id]):
                label = _file_name(detector.class_names[class_id])
                yield f"{name}_{label}", heatmap_overlay(enlarged, maps[name][class_id], class_id=int(class_id), theme=theme)
    for name in (name for name, head in heads.items() if head.kind != "heatmap"):
        captions = heads[name].channel_names or tuple(f"channel {number}" for number in range(len(maps[name])))
        yield name, number_maps(enlarged, maps[name], captions, weight=heat, title=name, theme=theme)


def _file_name(class_name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in class_name)
