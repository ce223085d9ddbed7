"""What the heads of such tasks start from, and what their maps look like to people."""

from __future__ import annotations

from collections.abc import Mapping

from centernet.models.specs import HeadSpec
from centernet.structures import Array
from centernet.tasks._keypoints.decode import sigmoid

# The probability of an object at initialisation is 0.1 (arXiv:1708.02002, section 3.3).
HEATMAP_BIAS = -2.19


def with_probabilities(maps: Mapping[str, Array], heads: Mapping[str, HeadSpec]) -> dict[str, Array]:
    """The map of each head, heatmaps from logits to [0, 1], the others as they are."""
    return {name: sigmoid(maps[name]) if head.kind == "heatmap" else maps[name] for name, head in heads.items()}
