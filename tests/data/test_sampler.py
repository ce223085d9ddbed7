from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet.data import sampler
from centernet.errors import ConfigError


def test_an_epoch_s_order_is_a_permutation_made_by_seed_and_epoch() -> None:
    orders = {(seed, epoch): tuple(sampler.order(50, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert all(sorted(found) == list(range(50)) for found in orders.values())
    assert len(set(orders.values())) == len(orders)
    assert tuple(sampler.order(50, seed=1, epoch=2)) == orders[1, 2]


def test_without_shuffling_the_order_is_the_data_set_s() -> None:
    assert sampler.order(4, seed=3, epoch=2, shuffle=False).tolist() == [0, 1, 2, 3]


def test_the_order_does_not_share_its_stream_with_sample_0() -> None:
    assert np.random.default_rng((5, 1, 0)).permutation(100).tolist() != sampler.order(100, seed=5, epoch=1).tolist()


@settings(deadline=None)
@given(n=st.integers(1, 40), global_batch=st.integers(1, 12), size=st.integers(1, 5), epoch=st.integers(0, 3), drop_last=st.booleans())
def test_ranks_together_make_the_batches_of_one_process(n: int, global_batch: int, size: int, epoch: int, drop_last: bool) -> None:
    if global_batch < size or (drop_last and n < global_batch):
        return
    arguments = {"global_batch": global_batch, "seed": 3, "epoch": epoch, "drop_last": drop_last}
    alone = list(sampler.batches_for_rank(n, **arguments))
    ranks = [list(sampler.batches_for_rank(n, rank=rank, size=size, **arguments)) for rank in range(size)]
    assert {len(batches) for batches in ranks} == {len(alone)} == {sampler.num_batches(n, global_batch=global_batch, drop_last=drop_last)}
    for k, batch in enumerate(alone):
        np.testing.assert_array_equal(np.concatenate([batches[k] for batches in ranks]), batch)
        assert len(batch) == global_batch
    sizes = [len(batches[0]) for batches in ranks]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    if not drop_last:
        assert set(np.concatenate(alone)) == set(range(n))


def test_an_incomplete_last_batch_is_filled_from_the_start_of_the_order() -> None:
    order = sampler.order(5, seed=0, epoch=0)
    batches = list(sampler.batches_for_rank(5, global_batch=3, seed=0, epoch=0))
    assert [batch.tolist() for batch in batches] == [order[:3].tolist(), [order[3], order[4], order[0]]]
    assert len(list(sampler.batches_for_rank(5, global_batch=3, drop_last=True))) == 1


@settings(deadline=None)
@given(n=st.integers(1, 40), global_batch=st.integers(5, 12), size=st.integers(1, 5))
def test_without_filling_ranks_together_have_every_sample_once(n: int, global_batch: int, size: int) -> None:
    arguments = {"global_batch": global_batch, "seed": 3, "fill_last": False}
    alone = list(sampler.batches_for_rank(n, **arguments))
    assert sorted(np.concatenate(alone)) == list(range(n))
    ranks = [list(sampler.batches_for_rank(n, rank=rank, size=size, **arguments)) for rank in range(size)]
    for k, batch in enumerate(alone):
        np.testing.assert_array_equal(np.concatenate([batches[k] for batches in ranks]), batch)


def test_a_batch_larger_than_the_data_set_goes_round_more_than_once() -> None:
    (batch,) = sampler.batches_for_rank(2, global_batch=5, shuffle=False)
    assert batch.tolist() == [0, 1, 0, 1, 0]


def test_starting_late_gives_the_rest_of_the_same_batches() -> None:
    everything = list(sampler.batches_for_rank(23, global_batch=4, seed=1, epoch=3))
    rest = list(sampler.batches_for_rank(23, global_batch=4, seed=1, epoch=3, start=4))
    np.testing.assert_array_equal(rest, everything[4:])


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ConfigError, match="a global batch of 3 cannot be shared by 4 processes"):
        sampler.batches_for_rank(10, global_batch=3, size=4)
    with pytest.raises(ConfigError, match="10 samples do not fill one global batch of 16"):
        sampler.batches_for_rank(10, global_batch=16, drop_last=True)


@settings(deadline=None)
@given(n=st.integers(0, 30), size=st.integers(1, 7))
def test_evaluation_shards_hold_each_sample_once(n: int, size: int) -> None:
    shards = [sampler.evaluation_shard(n, rank=rank, size=size) for rank in range(size)]
    assert sorted(np.concatenate(shards)) == list(range(n))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
