"""Reading heatmaps as a part of the network, made of functions that every exporter knows."""

from __future__ import annotations

from math import gcd

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout

# Added to what is not a maximum: its sigmoid is exactly 0, and it is within the range of half precision.
SUPPRESSED_LOGIT = -1e4

BLOCK = 8  # cells in a row whose maximum is looked at first
EXACT = 1 << 24  # whole numbers that float32 can hold


def peaks_only(heatmap: nn.Variable) -> nn.Variable:
    """A heatmap (B, C, h, w) where all that is not the maximum of its own 3x3 neighbourhood is lowered by 10,000."""
    # Sums only: on NNabla's CPU a product or comparison of two maps takes twenty times as long as their sum.
    below_highest = F.max_pooling(heatmap, (3, 3), stride=(1, 1), pad=(1, 1)) + (-1.0) * heatmap
    return heatmap + SUPPRESSED_LOGIT * F.greater_scalar(below_highest, 0.0)


def best_cells(values: nn.Variable, k: int) -> tuple[nn.Variable, nn.Variable, nn.Variable, nn.Variable]:
    """The k largest of each image's values (B, C, h, w), with their class ids, rows and columns, (B, k) each.

    All of the best k cells are in the k blocks of a few cells that have the highest maxima: outside them nothing is higher
    than any of those maxima. Choosing among blocks and then among their cells takes a fifth of the time that choosing
    among all cells takes, and no index grows beyond what a float32 can hold.
    """
    _, classes, rows, columns = values.shape
    cells = classes * rows * columns
    size = gcd(columns, BLOCK) if cells <= BLOCK * EXACT else columns
    num_best = min(k, cells // size)
    blocks = F.reshape(values, (-1, cells // size, size))  # -1: in an .nnp the batch stays open
    highest, best_blocks = F.top_k_data(F.max(blocks, axis=2), num_best, base_axis=1, with_index=True)
    candidates = F.reshape(F.gather(blocks, best_blocks, axis=1, batch_dims=1), (-1, num_best * size))
    best, places = F.top_k_data(candidates, k, base_axis=1, with_index=True)
    best = F.minimum2(best, F.max(highest, axis=1, keepdims=True))  # changes nothing, but in an .nnp whatever nobody uses is an output

    number, in_block = divided(places, size)
    row, block = divided(F.gather(best_blocks, number, axis=1, batch_dims=1), columns // size)
    class_ids, y = divided(row, rows)
    return best, class_ids, y, block * size + in_block


def rows_at(maps: nn.Variable, cells: nn.Variable, layout: Layout) -> nn.Variable:
    """(B, k, c), what a head says in the cells (B, k), given as row * w + column; its maps are (B, c, h, w) or (B, h, w, c) by layout."""
    if layout == "nchw":
        maps = F.transpose(maps, (0, 2, 3, 1))
    _, rows, columns, channels = maps.shape
    return F.gather(F.reshape(maps, (-1, rows * columns, channels)), cells, axis=1, batch_dims=1)


def divided(numbers: nn.Variable, divisor: int) -> tuple[nn.Variable, nn.Variable]:
    """Whole numbers divided by one, as whole quotients and what remains; exact for all that float32 can hold."""
    quotients = F.floor((numbers + 0.5) * (1.0 / divisor))
    remainders = numbers - quotients * divisor
    # The reciprocal is rounded: of large numbers the quotient may be one too high or too low.
    off = F.greater_equal_scalar(remainders, divisor) - F.less_scalar(remainders, 0)
    return quotients + off, remainders - off * divisor
