from __future__ import annotations

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.tasks._keypoints.graph import divided


@pytest.mark.parametrize("divisor", [1, 7, 8, 41, 82, 120, 4099])
def test_whole_numbers_aredivided_exactly_up_to_what_float32_can_hold(divisor: int) -> None:
    numbers = np.concatenate([np.arange(1000), (1 << 24) - np.arange(1000), divisor * np.arange(3000), divisor * np.arange(1, 3000) - 1])
    numbers = np.unique(numbers[numbers <= 1 << 24])
    quotients, remainders = divided(nn.Variable.from_numpy_array(numbers.astype(np.float32)), divisor)
    F.sink(quotients, remainders).forward()
    np.testing.assert_array_equal(quotients.d, numbers // divisor)
    np.testing.assert_array_equal(remainders.d, numbers % divisor)
