"""Golden 07: an image on its way into the network, at its own or a test scale, resized or padded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from centernet.imaging.color import Layout, normalize
from centernet.imaging.warp import fit_matrix, input_size_for, resize_for_scale, warp
from centernet.structures import Array, Normalization

# The predecessor's data sets (the numbers are applied to BGR as they are).
NORMALIZATION = {
    "coco": Normalization((0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835)),
    "pascal": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def synthetic_image(height: int, width: int, variant: int) -> Array:
    """The golden images' formula: integer ramps and checks, blocks of 6x3 pixels."""
    y, x = np.mgrid[0:height, 0:width]
    y, x = 6 * (y // 6), 3 * (x // 3)

    def channel(c: int) -> Array:
        a, b, period = 2 + (variant + c) % 3, 1 + (2 * variant + c) % 4, 61 + 10 * c
        ramp = np.abs((a * x + b * y + 13 * variant) % (2 * period) - period)
        checks = 40 * ((x // (15 + 3 * c) + y // (12 + 6 * (variant % 3))) % 2)
        return np.clip(2 * (ramp + checks + (x * y // 257) % (20 + c)), 0, 255)

    return np.stack([channel(c) for c in range(3)], axis=-1).astype(np.uint8)


@pytest.mark.reference
def test_network_inputs_equal_the_predecessors(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "07_pre_process.npz")
    for case in json.loads(str(golden["meta_json"])):
        height, width = case["image_hw"]
        image = synthetic_image(height, width, case["image_variant"])
        assert hashlib.sha256(image.tobytes()).hexdigest() == case["image_sha256"]

        layout: Layout = "nchw" if case["x_shape"][1] <= 4 else "nhwc"
        channels, *configured = case["x_shape"][1:] if layout == "nchw" else np.roll(case["x_shape"][1:], 1).tolist()
        keep = "--keep_res" in case["cli"]
        scaled = resize_for_scale(image, case["scale"])
        scaled_hw = scaled.shape[:2]
        input_hw = input_size_for(scaled_hw, tuple(configured), keep_resolution=keep)
        matrix = fit_matrix(scaled_hw, input_hw, keep_resolution=keep, extent=None if keep else max(height, width))
        x = normalize(warp(scaled, matrix, input_hw), NORMALIZATION[case["dataset"]], channels=channels, layout=layout)[None]

        name = f"p{case['case']:02d}"
        assert list(x.shape) == case["x_shape"], name
        assert x.dtype == case["x_dtype"]
        every_7th = x[:, ::7, ::7] if layout == "nhwc" else x[:, :, ::7, ::7]
        np.testing.assert_allclose(every_7th, golden[f"{name}_x_stride7"], rtol=0, atol=0.02, err_msg=name)
        assert x.mean() == pytest.approx(case["x_mean"], abs=1e-3)
        assert x.std() == pytest.approx(case["x_std"], abs=1e-3)
        if "x_abs_sum" in case:
            assert np.abs(x).sum(dtype=np.float64) == pytest.approx(case["x_abs_sum"], rel=1e-3)
        assert list(golden[f"{name}_out_hw"]) == [input_hw[0] // 4, input_hw[1] // 4]
