"""Golden 02: peaks drawn into heatmaps, at corners and edges, overlapping, and larger than the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.geometry.gaussian import draw_gaussian


@pytest.mark.reference
def test_drawn_heatmaps_equal_the_predecessors(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "02_draw_gaussian.npz")
    heatmaps = np.zeros_like(golden["heatmaps"])
    for index, class_id, x, y, radius in golden["objects"].tolist():
        draw_gaussian(heatmaps[index, class_id], (x, y), radius)
    np.testing.assert_allclose(heatmaps, golden["heatmaps"], rtol=0, atol=1e-6)
