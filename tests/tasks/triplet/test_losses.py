from __future__ import annotations

from collections.abc import Callable

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array
from centernet.tasks.triplet.losses import offset_loss, pull_and_push
from centernet.tasks.triplet.targets import POINTS


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def embedding_losses(first: object, second: object, mask: object) -> tuple[float, float]:
    """Pull and push of tags (B, m)."""
    pull, push = pull_and_push(fed(np.asarray(first)[:, None]), fed(np.asarray(second)[:, None]), fed(mask))
    nn.forward_all([pull, push])
    return float(pull.d), float(push.d)


def test_corners_of_an_object_are_pulled_together() -> None:
    # the mean is 2, each corner 1 away from it; the second object's are where they should be
    pull, _ = embedding_losses([[1, 5, 7]], [[3, 5, -7]], [[1, 1, 0]])
    assert pull == pytest.approx((1 + 1 + 0) / 2.0001)


def test_objects_are_pushed_until_they_are_one_apart() -> None:
    # means 0, 0.25 and 3: of six ordered pairs two are near, by 0.75
    _, push = embedding_losses([[0, 0.25, 3, 0]], [[0, 0.25, 3, 0]], [[1, 1, 1, 0]])
    assert push == pytest.approx(2 * 0.75 / 6.0001)


def test_an_object_alone_is_not_pushed() -> None:
    assert embedding_losses([[0.3, 0.3]], [[0.3, 0.3]], [[1, 0]]) == (0, 0)


def test_images_do_not_push_each_other_and_add_up() -> None:
    first, second, mask = np.zeros((2, 2)), np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([[1, 0], [1, 1]])
    parts = [embedding_losses(first[[i]], second[[i]], mask[[i]]) for i in range(2)]
    np.testing.assert_allclose(embedding_losses(first, second, mask), np.sum(parts, axis=0), rtol=1e-6)


def slopes(loss_of: Callable[[nn.Variable], nn.Variable], at: Array) -> tuple[Array, Array]:
    """The gradient, and what differences say."""
    given = fed(at, learns=True)
    loss = loss_of(given)
    given.g = 0
    loss.forward()
    loss.backward()
    measured = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        sides = []
        for step in (0.01, -0.01):
            given.d[place] = at[place] + step
            loss.forward()
            sides.append(float(loss.d))
            given.d[place] = at[place]
        measured[place] = (sides[0] - sides[1]) / 0.02
    return given.g.copy(), measured


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("corner", [0, 1])
def test_gradients_of_pull_and_push_equal_differences(which: int, corner: int) -> None:
    rng = np.random.default_rng(3)
    tags = rng.normal(scale=0.7, size=(2, 2, 1, 5)).astype(np.float32)
    mask = fed([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0]])

    def loss_of(given: nn.Variable) -> nn.Variable:
        both = [fed(tags[0]), fed(tags[1])]
        both[corner] = given
        return pull_and_push(*both, mask)[which]

    found, measured = slopes(loss_of, tags[corner])
    assert found.any()
    np.testing.assert_allclose(found, measured, atol=2e-4)


def test_gradients_of_offsets_equal_differences() -> None:
    rng = np.random.default_rng(4)
    targets = {"mask": fed([[1, 0, 1]]), "num_objects": fed(2)}
    targets |= {f"{point}_indices": fed(rng.integers(0, 6, (1, 3))) for point in POINTS}
    targets |= {f"{point}_offset": fed(rng.uniform(size=(1, 3, 2))) for point in POINTS}
    maps = rng.normal(scale=1.5, size=(1, 6, 2, 3)).astype(np.float32)

    def loss_of(given: nn.Variable) -> nn.Variable:
        return offset_loss({f"{point}_regr": given[:, 2 * i : 2 * i + 2] for i, point in enumerate(POINTS)}, targets, layout="nchw")

    found, measured = slopes(loss_of, maps)
    assert found.any()
    np.testing.assert_allclose(found, measured, atol=2e-3)
