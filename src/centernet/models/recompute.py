"""Less memory for more time: what lies between the stages of a network is computed a second time, during backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nnabla as nn


def recompute_between(image: nn.Variable, features: Sequence[nn.Variable]) -> int:
    """Keep a graph's image and features during forward and nothing in between (Chen et al. 2016, arXiv:1604.06174).

    NNabla computes the rest again when backward needs it, one stage at a time; running statistics are updated once all the same.
    It recomputes from whatever is not marked, and takes for granted that this is still there: hence `persistent`. Without it
    `forward(clear_no_need_grad=True)` clears what no backward reads, and gradients come out wrong.

    Args:
        image: what the features are computed from.
        features: the outputs of the stages.

    Returns:
        How many arrays are computed twice.
    """
    kept = {hash(variable.data) for variable in (image, *features)}
    marked: set[int] = set()

    def mark(function: Any) -> None:
        for output in function.outputs:
            if hash(output.data) not in kept:
                output.recompute = True
                marked.add(hash(output.data))

    for feature in features:
        feature.visit(mark)
    for variable in (image, *features):
        variable.persistent = True
    return len(marked)
