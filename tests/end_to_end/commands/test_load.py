"""`centernet.load`: the same detections from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centernet.imaging.io import read_image

CLASSES = ("disk", "ring", "square", "triangle", "cross")


def load(path: Path) -> Any:
    import centernet

    return centernet.load(path, precision="float32")


def test_the_python_api_takes_whatever_holds_an_image(tiny: Any, tmp_path: Path) -> None:
    """A path, a folder, a list, an array and a PIL image give the same detections."""
    detector = load(tiny.lively)
    png = tmp_path / "a.png"  # lossless, so that decoders agree
    Image.open(tiny.images[0]).save(png)
    expected = detector.predict(png)
    assert expected.class_names == CLASSES
    with Image.open(png) as opened:
        for source in (str(png), read_image(png), opened):
            assert_same(detector.predict(source), expected)
    for sources in (tmp_path, [png], [read_image(png)]):
        (found,) = detector.predict(sources)
        assert_same(found, expected)
    assert detector.predict([]) == []


def assert_same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runtime": "x"}, "load: runtime: found 'x'"),
        ({"precision": "half"}, "load: precision: found 'half'"),
        ({"batch_size": 0}, "load: batch_size: found 0"),
        ({"scales": ()}, "load: scales"),
        ({"k": 0}, "load: k: found 0"),
        ({"colour": 1}, "load: unknown setting 'colour'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_when_loading(tiny: Any, settings: dict[str, object], said: str) -> None:
    import centernet
    from centernet.errors import ConfigError

    with pytest.raises(ConfigError, match=said):
        centernet.load(tiny.lively, **settings)


def test_images_at_several_scales_are_merged(tiny: Any) -> None:
    import centernet

    assert len(centernet.load(tiny.lively, scales=(0.5, 1.0), k=5, batch_size=2).predict(tiny.images[0])) == 10
