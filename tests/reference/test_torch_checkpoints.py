"""Checkpoints that PyTorch wrote, in both formats and all wrappers, with the arrays a reader must return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.weights.torch_file import read_torch

pytestmark = pytest.mark.reference


def test_every_checkpoint_is_read_as_pytorch_reads_it(reference: Path) -> None:
    golden = np.load(reference / "torch" / "ckpt_expected.npz")
    files = sorted({key.split("|")[0] for key in golden.files})
    assert {path.stem.removeprefix("ckpt_") for path in (reference / "torch").glob("ckpt_*.pth")} == set(files)
    for file in files:
        found = read_torch(reference / "torch" / f"ckpt_{file}.pth")
        expected = {key.split("|")[1]: golden[key] for key in golden.files if key.split("|")[0] == file}
        assert list(found) == list(expected), file
        for name, values in expected.items():
            assert found[name].dtype == values.dtype, (file, name)
            np.testing.assert_array_equal(found[name], values, err_msg=f"{file} {name}")
