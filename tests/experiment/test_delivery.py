"""What an export is proved with; whole exports are in tests/end_to_end/commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet.data.datasets import shapes
from centernet.errors import ConfigError, DataError
from centernet.experiment.delivery import Material, deliver, evidence_of
from centernet.experiment.export import ExportOptions
from centernet.experiment.schema import DataConfig


def test_a_misspelt_data_folder_is_named_and_nothing_is_drawn_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    data = DataConfig(dataset=shapes.Config(), input_size=(64, 64), root=str(missing))
    with pytest.raises(DataError, match="missing: the data folder does not exist"):
        evidence_of(None, Material(data=data))  # type: ignore[arg-type]  # the folder is looked at first
    assert not missing.exists()


@pytest.mark.parametrize(
    ("material", "text"),
    [
        (Material(max_drop=-1.0), "--max-drop: found -1, expected AP points that the file may lose, 0 or more"),
        (Material(max_drop=float("nan")), "--max-drop: found nan"),
        (Material(calibration="photos"), "--calibration photos: only --precision int8 is calibrated, found float16"),
    ],
)
def test_what_would_mean_nothing_is_refused(tmp_path: Path, material: Material, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        deliver(None, tmp_path / "a.onnx", ExportOptions(format="onnx", precision="float16"), material)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
