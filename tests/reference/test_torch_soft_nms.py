"""Golden alg_soft_nms: the official soft-NMS in its three forms, faults included, and the hard one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from centernet.geometry.nms import SoftNms, soft_nms, soft_nms_reference
from centernet.structures import Array

pytestmark = pytest.mark.reference
METHODS = ("hard", "linear", "gaussian")  # the official code's numbers for them


@pytest.fixture(scope="module")
def golden(reference: Path) -> Mapping[str, Array]:
    return dict(np.load(reference / "torch" / "alg_soft_nms.npz"))


def cases(golden: Mapping[str, Array], kind: str) -> list[tuple[str, SoftNms, float]]:
    """(key, settings, power) of all cases of a kind."""
    keys = sorted(key.removesuffix("_args") for key in golden if key.startswith(kind) and key.endswith("_args"))
    assert keys
    found = []
    for key in keys:
        sigma, overlap, min_score, method, power = golden[f"{key}_args"].tolist()
        settings = SoftNms(method=METHODS[round(method)], sigma=sigma, overlap=overlap, min_score=min_score)
        found.append((key, settings, power))
    return found


@pytest.mark.parametrize("kind", ["soft_plain", "soft_39", "soft_merge"])
def test_the_reference_gives_the_official_rows_stale_ones_included(golden: Mapping[str, Array], kind: str) -> None:
    for key, settings, power in cases(golden, kind):
        rows = golden[f"{key}_in"]
        found, num_kept = soft_nms_reference(rows, settings, moves_all=kind == "soft_39", power=power if kind == "soft_merge" else None)
        assert num_kept == golden[f"{key}_nkeep"], key
        assert len(found) > num_kept, "no row was discarded: nothing stale to compare"
        np.testing.assert_allclose(found, golden[f"{key}_out"], rtol=1e-6, atol=9e-5, err_msg=key)


def test_the_correct_one_keeps_the_same_boxes_and_scores_without_the_stale_rows(golden: Mapping[str, Array]) -> None:
    """A pixel more at the end gives it the official overlaps. Scores that were below the least one from the start stay here."""
    for key, settings, _ in cases(golden, "soft_plain"):
        rows, expected = golden[f"{key}_in"], golden[f"{key}_out"][: int(golden[f"{key}_nkeep"])]
        found = soft_nms(rows[:, :4] + [0, 0, 1, 1], rows[:, 4], settings)
        is_clear = found.scores >= settings.min_score
        expected = expected[expected[:, 4] >= settings.min_score]
        np.testing.assert_array_equal(rows[found.kept[is_clear], :4], expected[:, :4], err_msg=key)
        np.testing.assert_allclose(found.scores[is_clear], expected[:, 4], atol=9e-5, err_msg=key)
        assert len(set(found.kept.tolist())) == len(found.kept)


def test_hard_suppression_keeps_what_the_official_one_keeps(golden: Mapping[str, Array]) -> None:
    rows = golden["hard_in"]
    found = soft_nms(rows[:, :4], rows[:, 4], SoftNms(method="hard", overlap=0.5))
    np.testing.assert_array_equal(found.kept, golden["hard_keep"])
