"""A folder that holds a training is recognised, also by a checkpoint that a killed process was putting in place."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from centernet.experiment import train


@pytest.mark.parametrize("name", ["checkpoint_3.json", ".new_checkpoint_interrupted.json"])
def test_overwriting_a_training_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    (tmp_path / train.CHECKPOINTS).mkdir()
    with caplog.at_level(logging.WARNING):
        train._warn_of_overwriting(tmp_path, train.Start())
        assert not caplog.messages
        (tmp_path / train.CHECKPOINTS / name).write_text("{}")
        train._warn_of_overwriting(tmp_path, train.Start())
    assert "--resume-from latest would go on with it" in caplog.text
