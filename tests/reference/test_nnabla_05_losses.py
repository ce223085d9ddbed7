"""The predecessor's loss values and gradients."""

from __future__ import annotations

import json
from pathlib import Path

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array, ClassTable
from centernet.tasks._keypoints.losses import focal_loss
from centernet.tasks.ctdet import Config, build
from centernet.tasks.ctdet.losses import regression_loss

pytestmark = pytest.mark.reference
Golden = dict[str, Array]


@pytest.fixture(scope="module")
def golden(reference: Path) -> Golden:
    return dict(np.load(reference / "nnabla" / "05_losses.npz"))


def cases(golden: Golden, kind: str) -> list[int]:
    return [row[1] for row in json.loads(str(golden["meta_json"])) if row[0] == kind]


def fed(array: Array, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def gradient(loss: nn.Variable, *maps: nn.Variable) -> tuple[Array, ...]:
    loss.forward()
    for variable in maps:
        variable.g = 0
    loss.backward()
    return tuple(variable.g.copy() for variable in maps)


def assert_near(value: Array, expected: Array) -> None:
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(initial=1e-30))


def test_the_focal_loss_has_the_predecessors_value_and_gradient(golden: Golden) -> None:
    assert cases(golden, "focal")
    for i in cases(golden, "focal"):
        target = golden[f"focal{i}_gt"]
        logits = fed(golden[f"focal{i}_logit"], learns=True)
        loss = focal_loss(logits, fed(target), fed(np.count_nonzero(target >= 1)), layout="nchw")
        (slope,) = gradient(loss, logits)
        assert_near(loss.d, golden[f"focal{i}_loss"])
        assert_near(slope, golden[f"focal{i}_grad"])


def test_the_regression_loss_has_the_predecessors_value_and_gradient(golden: Golden) -> None:
    assert cases(golden, "l1")
    for i in cases(golden, "l1"):
        mask = golden[f"l1_{i}_mask"][..., 0]
        prediction = fed(golden[f"l1_{i}_pred"], learns=True)
        loss = regression_loss(
            prediction,
            fed(golden[f"l1_{i}_gt"]),
            fed(golden[f"l1_{i}_ind"]),
            fed(mask),
            fed(mask.sum()),
            layout="nhwc" if golden[f"l1_{i}_channel_last"] else "nchw",
        )
        (slope,) = gradient(loss, prediction)
        assert_near(loss.d, golden[f"l1_{i}_loss"])
        assert_near(slope, golden[f"l1_{i}_grad"])


def test_the_weighted_total_has_the_predecessors_value_and_gradients(golden: Golden) -> None:
    assert cases(golden, "total")
    for j in cases(golden, "total"):
        heatmap, mask = golden[f"total{j}_hm_gt"], golden[f"total{j}_mask"][..., 0]
        weights = dict(zip(("heatmap", "offset", "size"), golden[f"total{j}_weights_hm_off_wh"].tolist(), strict=True))
        config = Config(**{f"{name}_weight": weight for name, weight in weights.items()})
        task = build(config, ClassTable(tuple(str(c) for c in range(heatmap.shape[1]))))
        maps = {name: fed(golden[f"total{j}_{head.scope}"], learns=True) for name, head in task.heads.items()}
        targets = {"heatmap": heatmap, "indices": golden[f"total{j}_ind"], "mask": mask}
        targets |= {"size": golden[f"total{j}_wh_gt"], "offset": golden[f"total{j}_reg_gt"]}
        targets |= {"num_peaks": np.count_nonzero(heatmap >= 1), "num_objects": mask.sum()}
        losses = task.losses([maps], {name: fed(array) for name, array in targets.items()})
        total = sum(task.loss_weights[name] * loss for name, loss in losses.items())
        slopes = dict(zip(maps, gradient(total, *maps.values()), strict=True))
        nn.forward_all(list(losses.values()))
        assert_near(np.asarray([total.d, *(losses[name].d for name in ("heatmap", "size", "offset"))]), golden[f"total{j}_losses"])
        for name, head in task.heads.items():
            assert_near(slopes[name], golden[f"total{j}_grad_{head.scope}"])
