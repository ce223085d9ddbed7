"""Golden 01: the radius of a heatmap's peak, as the predecessor computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.geometry.gaussian import gaussian_radius


@pytest.mark.reference
def test_radii_equal_the_predecessors(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "01_gaussian_radius.npz")
    radii = np.array([gaussian_radius(height, width) for height, width in golden["hw"].tolist()])
    np.testing.assert_allclose(radii, golden["radius"], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(radii.astype(int), golden["radius_int"])
