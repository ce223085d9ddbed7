"""Golden 03: matrices from centre, scale, rotation and shift, and points taken back with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.geometry.affine import center_scale_matrix, invert, transform_points


@pytest.mark.reference
def test_matrices_and_points_equal_the_predecessors(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "03_affine.npz")
    for i, expected in enumerate(golden["trans"]):
        scale = float(golden["scale"][i, 0]) if golden["scale_is_scalar"][i] else golden["scale"][i]
        center, (width, height) = golden["center"][i], golden["output_size_wh"][i].tolist()
        matrix = center_scale_matrix(center, scale, (width, height), rotation_degrees=float(golden["rot"][i]), shift=golden["shift"][i])
        found = invert(matrix) if golden["inv"][i] else matrix
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=f"row {i}")
        upright = center_scale_matrix(center, scale, (width, height))
        np.testing.assert_allclose(transform_points(golden["points"][i], invert(upright)), golden["transform_preds"][i], rtol=0, atol=1e-2)
