"""Corner pooling (Law and Deng 2018, CornerNet, arXiv:1808.01244, section 3.4) and centre pooling, of NNabla's own functions."""

from __future__ import annotations

from typing import Literal

import nnabla as nn
import nnabla.functions as F

from centernet.models.ops import Ops

Direction = Literal["up", "down", "left", "right"]
Side = tuple[Direction, Direction]  # towards which rows and columns are swept

TOP_LEFT: Side = ("up", "left")
BOTTOM_RIGHT: Side = ("down", "right")


def swept_maximum(x: nn.Variable, ops: Ops, direction: Direction) -> nn.Variable:
    """Of every cell the maximum over itself and all cells that lie before it when sweeping in `direction`.

    Sweeping up, cell (y, x) sees rows y to the last (TopPool); down, rows 0 to y (BottomPool); left, columns x to the last
    (LeftPool); right, columns 0 to x (RightPool). The maxima of 1, 2, 4, ... cells are joined two and two, so that n cells take
    log2 n steps, rounded up; nothing is padded, so the values are exact. Of equal cells the gradient goes to the one met first.

    Args:
        x: feature map, in the layout of `ops`; the result has its shape.
    """
    axis = (1 if ops.channel_last else 2) + (direction in ("left", "right"))
    is_ascending, size, reach = direction in ("down", "right"), x.shape[axis], 1
    while reach < size:
        first, last = _cut(x, axis, 0, size - reach), _cut(x, axis, reach, size)
        if is_ascending:
            x = F.concatenate(_cut(x, axis, 0, reach), F.maximum2(last, first), axis=axis)
        else:
            x = F.concatenate(F.maximum2(first, last), _cut(x, axis, size - reach, size), axis=axis)
        reach *= 2
    return x


def cross_maximum(rows: nn.Variable, columns: nn.Variable, ops: Ops) -> nn.Variable:
    """Centre pooling (Duan et al. 2019, arXiv:1904.08189, section 3.3): the maxima of a cell's row and of its column, added.

    Args:
        rows, columns: feature maps of one shape, in the layout of `ops`, whose maxima are taken; the result has their shape.
    """
    down, across = (1, 2) if ops.channel_last else (2, 3)
    return F.max(rows, axis=across, keepdims=True) + F.max(columns, axis=down, keepdims=True)


def _cut(x: nn.Variable, axis: int, start: int, stop: int) -> nn.Variable:
    """Along one axis; the batch axis is not named: with it, an .nnp could take no other batch."""
    starts, stops = [0] * len(x.shape), list(x.shape)
    starts[axis], stops[axis] = start, stop
    return F.slice(x, starts[1:], stops[1:], [1] * (len(x.shape) - 1))
