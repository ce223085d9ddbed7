"""Golden 10: the predecessor's learning rates, epoch by epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.engine.schedule import ScheduleConfig, learning_rate

pytestmark = pytest.mark.reference

KINDS = {"EpochCosineLearningRateScheduler": "cosine", "EpochStepLearningRateScheduler": "step"}
DECAY_AT = (30, 60, 80)  # the predecessor ignores lr_steps and takes this default


def config_of(row: dict[str, Any]) -> ScheduleConfig:
    options = {key: row[key] for key in ("base_lr", "warmup_epochs", "epochs", "decay_rate", "legacy_warmup") if key in row}
    return ScheduleConfig(kind=KINDS[row["scheduler_type"]], lr_steps=tuple(row.get("decay_at", DECAY_AT)), per="epoch", **options)


def test_one_rate_per_epoch_gives_the_predecessors_numbers(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "10_lr_schedule.npz")
    cases = json.loads(str(golden["meta_json"]))
    assert {case["key"] for case in cases} == set(golden.files) - {"meta_json"}
    for case in cases:
        config = config_of(case["cfg"])
        # 7 batches an epoch: with per="epoch" their number must not matter
        rates = [learning_rate(config, epoch=e, batch=e % 7, batches_per_epoch=7, num_epochs=case["n"]) for e in range(case["n"])]
        np.testing.assert_allclose(rates, golden[case["key"]], rtol=1e-12, atol=1e-12, err_msg=case["key"])
