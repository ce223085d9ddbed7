"""What several files of goldens are compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def scalars(reference: Path) -> Any:
    """Losses of the originals by name: value, and norms of the gradients."""
    return json.loads((reference / "torch" / "alg_scalars.json").read_text())
