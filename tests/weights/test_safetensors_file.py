"""The safetensors format against files made by hand from its description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.weights.safetensors_file import read_safetensors, read_safetensors_shapes


def write(path: Path, header: dict[str, Any], values: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)


def test_values_types_and_order_come_back(tmp_path: Path) -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(1, 3, 1, 2)
    half = np.array([1.5, -2], np.float32)
    header = {
        "__metadata__": {"format": "pt"},
        "z.weight": {"dtype": "F32", "shape": [1, 3, 1, 2], "data_offsets": [0, 24]},
        "a.count": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [32, 36]},
    }
    values = kernel.tobytes() + np.int64(9).tobytes() + (half.view(np.uint32) >> 16).astype("<u2").tobytes()
    write(tmp_path / "m.safetensors", header, values)
    found = read_safetensors(tmp_path / "m.safetensors")
    assert list(found) == ["z.weight", "a.count", "b"]
    np.testing.assert_array_equal(found["z.weight"], kernel)
    assert found["a.count"] == 9
    np.testing.assert_array_equal(found["b"], half)
    found["b"][0] = 3  # its own memory
    assert read_safetensors_shapes(tmp_path / "m.safetensors") == {"z.weight": (1, 3, 1, 2), "a.count": (), "b": (2,)}


def test_a_file_cut_off_anywhere_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8))
    content = (tmp_path / "m.safetensors").read_bytes()
    for length in range(len(content)):
        (tmp_path / "m.safetensors").write_bytes(content[:length])
        with pytest.raises(WeightsError, match=rf"m\.safetensors: not a safetensors file, or a damaged one \({length} bytes\)"):
            read_safetensors(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 8]}},
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": 3},
        [],
    ],
)
def test_a_header_that_makes_no_sense_is_an_error(header: Any, tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", header, bytes(8))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_safetensors(tmp_path / "m.safetensors")


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such checkpoint"):
        read_safetensors(tmp_path / "m.safetensors")
