"""What an export is proved with; whole exports are in tests/end_to_end/commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet.data.datasets import shapes
from centernet.errors import DataError
from centernet.experiment.delivery import Material, evidence_of
from centernet.experiment.schema import DataConfig


def test_a_misspelt_data_folder_is_named_and_nothing_is_drawn_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    data = DataConfig(dataset=shapes.Config(), input_size=(64, 64), root=str(missing))
    with pytest.raises(DataError, match="missing: the data folder does not exist"):
        evidence_of(None, Material(data=data))  # type: ignore[arg-type]  # the folder is looked at first
    assert not missing.exists()
