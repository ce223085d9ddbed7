"""Which samples are in which batch: a function of seed, epoch and global batch size, never of the number of processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from centernet.errors import ConfigError
from centernet.structures import Array

_ORDER_STREAM = 1  # fourth word of the key; a sample's own key (seed, epoch, index) has a 0 there


def order(n: int, *, seed: int, epoch: int, shuffle: bool = True) -> Array:
    """The sequence in which an epoch visits `n` samples, as (n,) int64; a permutation of 0..n-1."""
    if not shuffle:
        return np.arange(n, dtype=np.int64)
    return np.random.default_rng((seed, epoch, 0, _ORDER_STREAM)).permutation(n)


def num_batches(n: int, *, global_batch: int, drop_last: bool = False) -> int:
    """Batches in an epoch, the same on every process."""
    return n // global_batch if drop_last else -(-n // global_batch)


def batches_for_rank(
    n: int,
    *,
    global_batch: int,
    rank: int = 0,
    size: int = 1,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    drop_last: bool = False,
    fill_last: bool = True,
    shuffle: bool = True,
) -> Iterator[Array]:
    """This process's slice of every global batch of an epoch, from batch `start` on.

    Global batch k is positions k*global_batch ... of the epoch's order; the slices of all ranks, in order of rank, are that
    batch. An incomplete last batch is filled from the start of the same order, so that all batches have one size.

    Args:
        n: samples in the data set, >= 1.
        global_batch: samples in one step over all processes, >= size; slices differ by at most one sample.
        rank, size: this process, 0 <= rank < size, and how many there are.
        seed, epoch, shuffle: see `order`.
        start: batches of this epoch that are done already.
        drop_last: leave an incomplete last batch out instead of filling it.
        fill_last: without, an incomplete last batch is shared as it is, so that no sample comes twice; shares may be empty.

    Returns:
        An iterator over int64 arrays of sample indices.

    Raises:
        ConfigError: fewer samples in a global batch than processes, or dropping the last batch leaves none.
    """
    if global_batch < size:
        raise ConfigError(f"a global batch of {global_batch} cannot be shared by {size} processes; each needs at least one sample")
    count = num_batches(n, global_batch=global_batch, drop_last=drop_last)
    if not count:
        raise ConfigError(f"{n} samples do not fill one global batch of {global_batch}; use a smaller batch or keep the last one")
    sequence = order(n, seed=seed, epoch=epoch, shuffle=shuffle)

    def share(k: int) -> Array:
        length = global_batch if fill_last else min(global_batch, n - k * global_batch)
        return k * global_batch + np.arange(rank * length // size, (rank + 1) * length // size)

    return (sequence[share(k) % n] for k in range(start, count))


def evaluation_shard(n: int, *, rank: int = 0, size: int = 1) -> Array:
    """The samples this process evaluates: over all ranks every sample once, shares equal to within one."""
    return np.arange(rank, n, size, dtype=np.int64)
