"""Losses: what is wrong with each number."""

from __future__ import annotations

import nnabla as nn
import nnabla.functions as F


def square(prediction: nn.Variable, target: nn.Variable) -> nn.Variable:
    """The squared error."""
    return F.squared_error(prediction, target)
