"""How deep layer aggregation enlarges and joins levels (Yu et al. 2018, arXiv:1707.06484, sections 3.1 and 3.2), for several necks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import nnabla as nn

from centernet.models.initial import bilinear
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

Project = Callable[[nn.Variable, int], nn.Variable]  # a map and the channels wanted -> that many channels
Join = Callable[[nn.Variable, nn.Variable], nn.Variable]  # two maps of one shape -> one like them


def check_doubling(inputs: Sequence[FeatureSpec], *, fewest: int = 2) -> None:
    """Raise ValueError unless each level has twice the stride of the one before."""
    strides = [level.stride for level in inputs]
    if len(strides) < fewest or strides != [strides[0] << level for level in range(len(strides))]:
        raise ValueError(f"expected {fewest} or more features that double in stride, found strides {strides}")


def like_finest(inputs: Sequence[FeatureSpec], channels: int) -> FeatureSpec:
    """What a neck promises that joins all levels to the finest one; ValueError as `check_doubling`."""
    check_doubling(inputs)
    return FeatureSpec(inputs[0].stride, channels)


def iterative(maps: Sequence[nn.Variable], ops: Ops, *, factors: Sequence[int], project: Project, join: Join) -> list[nn.Variable]:
    """Join level after level to the finest one, which stays as it is.

    Args:
        maps: finest first.
        factors: what each map but the first is to be enlarged by; even.
        project: called in scope `proj_i`. join: called in scope `node_i` with the result so far and the enlarged map.

    Returns:
        The result after each level; all like the finest map.
    """
    channels = ops.channels(maps[0])
    results = [maps[0]]
    for level, (x, factor) in enumerate(zip(maps[1:], factors, strict=True), start=1):
        with ops.scope(f"proj_{level}"):
            x = project(x, channels)
        with ops.scope(f"up_{level}"):
            x = ops.deconvolution(x, channels, initial=bilinear, depthwise=True, factor=factor)
        with ops.scope(f"node_{level}"):
            results.append(join(results[-1], x))
    return results


def hierarchical(maps: Sequence[nn.Variable], ops: Ops, *, project: Project, join: Join) -> list[nn.Variable]:
    """Iterative aggregation of the two coarsest levels, then of those with the next finer one, and so on, each in scope `ida_i`.

    Args:
        maps: finest first, each half the size of the one before. project, join: as `iterative` calls them.

    Returns:
        One map like each of `maps`, finest first; the last is the coarsest itself.
    """
    levels = list(maps)
    results = [levels[-1]]
    for step, first in enumerate(reversed(range(len(levels) - 1))):
        with ops.scope(f"ida_{step}"):
            levels[first:] = iterative(levels[first:], ops, factors=[2] * (step + 1), project=project, join=join)
        results.insert(0, levels[-1])
    return results
