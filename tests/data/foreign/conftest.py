"""Small images where an annotation expects them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from centernet.data.foreign.image_index import ImageIndex
from centernet.imaging.io import write_image

Put = Callable[..., ImageIndex]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write images of 40x60 pixels below the test's folder, and index them."""

    def write(*names: str) -> ImageIndex:
        for name in names:
            write_image(tmp_path / name, np.zeros((40, 60, 3), np.uint8))
        return ImageIndex(names)

    return write
