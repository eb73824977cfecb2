"""The plan of shards: laws over any shards, ranks and epochs, with thousands of fake ranks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.errors import DataError, SettingError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from shard_plan import ShardPlan, shard_order, shares_of  # noqa: E402 - it is no package

sizes = st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any)
seeds = st.integers(0, 2**63)


def plan_of(sizes):
    return ShardPlan([f"train-{number:06}.tar" for number in range(len(sizes))], sizes)


@given(sizes, st.data(), seeds, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_row_is_read_exactly_once_and_ranks_differ_by_one(sizes, data, seed, epoch):
    plan = plan_of(sizes)
    world = data.draw(st.integers(1, sum(sizes)))
    seen = np.zeros(sum(sizes), int)
    counts = []
    for rank in range(world):
        order = plan.order(seed, epoch, rank, world, buffer=data.draw(st.integers(1, 40)))
        np.add.at(seen, order, 1)
        counts.append(len(order))
        whole = [(shard, row) for shard, *ends in plan.pieces(seed, epoch, rank, world)
                 for row in range(*ends)]  # fmt: skip
        begins = np.concatenate([[0], np.cumsum(sizes)])
        assert sorted(order) == sorted(begins[shard] + row for shard, row in whole)
    assert (seen == 1).all()
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 1


@given(sizes, seeds, st.data())
@settings(max_examples=100, deadline=None)
def test_steps_are_equal_and_no_batch_is_empty(sizes, seed, data):
    plan = plan_of(sizes)
    world, batch = data.draw(st.integers(1, sum(sizes))), data.draw(st.integers(1, 50))
    steps = plan.steps(world, batch)
    lengths = [
        len(rows)
        for rank in range(world)
        for rows in np.array_split(plan.order(seed, 0, rank, world), steps)
    ]
    assert len(lengths) == steps * world
    assert sum(lengths) == sum(sizes)
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 2
    step = data.draw(st.integers(0, steps - 1))
    at_step = np.array(lengths).reshape(world, steps)[:, step]
    weights = [plan.weight(step, rank, world, steps) for rank in range(world)]
    np.testing.assert_allclose(weights, at_step / at_step.mean())


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_after_any_restarts_each_row_is_still_learned_from_once_an_epoch(shares, rows, batch, data):
    """Batches are counted by who computes them: a restart at any step, with any fewer ranks."""
    plan = plan_of([rows, 7, shares])
    steps = plan.steps(shares, batch)
    batches = [np.array_split(plan.order(3, 1, share, shares), steps) for share in range(shares)]
    seen = np.zeros(plan.rows, int)
    world = shares
    for step in range(steps):
        if data.draw(st.booleans()):
            world = data.draw(st.integers(1, shares))
        for rank in range(world):
            for share in shares_of(rank, world, shares):
                np.add.at(seen, batches[share][step], 1)
    assert (seen == 1).all()


@given(st.integers(1, 5000), st.data())
def test_shares_are_dealt_out_evenly(shares, data):
    world = data.draw(st.integers(1, shares))
    dealt = [shares_of(rank, world, shares) for rank in range(world)]
    assert sorted(share for some in dealt for share in some) == list(range(shares))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_ten_thousand_ranks_share_a_hundred_thousand_shards():
    rng = np.random.default_rng(0)
    plan = plan_of(rng.integers(0, 2000, 100_000))
    world = 10_000
    pieces = [plan.pieces(0, 0, rank, world) for rank in (0, 1, 5000, 9998, 9999)]
    assert all(sum(stop - start for _, start, stop in some) in (plan.rows // world,
               plan.rows // world + 1) for some in pieces)  # fmt: skip
    assert max(map(len, pieces)) < 60
    a, b = pieces[:2]  # neighbours meet at a row, and share no other
    assert (a[-1].shard, a[-1].stop) == (b[0].shard, b[0].start) or b[0].start == 0


def test_a_cut_lies_within_few_shards():
    plan, world = plan_of([100] * 64), 16
    opened = [piece.shard for rank in range(world) for piece in plan.pieces(5, 2, rank, world)]
    assert len(opened) == 64  # 100 * 64 / 16 is a number of whole shards
    plan = plan_of([100] * 63)
    opened = [piece.shard for rank in range(world) for piece in plan.pieces(5, 2, rank, world)]
    assert 63 <= len(opened) <= 63 + world - 1


def test_epochs_and_seeds_differ_and_are_well_mixed():
    plan = plan_of([50] * 40)
    orders = [plan.order(seed, epoch, 0, 4) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for one in range(3):
        for two in range(one):
            shared = len(np.intersect1d(orders[one], orders[two]))
            assert 50 < shared < 250  # of 500, by chance a quarter: 125
    order = plan.order(0, 0, 0, 1)
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.1
    assert (np.diff(order) == 1).mean() < 0.01


def test_the_name_of_a_shard_and_not_its_place_decides():
    names, sizes = ["a.tar", "b.tar", "c.tar"], [3, 4, 5]
    there = ShardPlan(names, sizes).pieces(1, 2, 0, 1)
    back = ShardPlan(names[::-1], sizes[::-1]).pieces(1, 2, 0, 1)
    assert [names[piece.shard] for piece in there] == [names[::-1][piece.shard] for piece in back]


def test_a_process_of_its_own_computes_the_same():
    script = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); "
        "from shard_plan import shard_order; "
        "print(shard_order(['a', 'b', 'c'], [3, 40, 5], 7, 3, 1, 2).tolist())"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str(shard_order(["a", "b", "c"], [3, 40, 5], 7, 3, 1, 2).tolist())


@pytest.mark.parametrize(("sizes", "world"), [([], 1), ([0], 1), ([0, 0, 0], 1), ([1, 2], 4)])
def test_a_rank_without_data_is_an_error_with_the_way_on(sizes, world):
    with pytest.raises(DataError, match=f"each of {world} ranks needs an image") as caught:
        plan_of(sizes).order(0, 0, 0, world)
    assert "Start at most" in str(caught.value.remedy)


@pytest.mark.parametrize(("rank", "world"), [(-1, 2), (2, 2), (0, 0)])
def test_there_is_no_such_rank(rank, world):
    with pytest.raises(SettingError, match="a rank from 0 to"):
        plan_of([9]).pieces(0, 0, rank, world)


@pytest.mark.parametrize(("rank", "world", "shares"), [(0, 3, 2), (2, 2, 2), (-1, 1, 1)])
def test_more_ranks_than_shares_are_refused(rank, world, shares):
    with pytest.raises(SettingError, match="as many as the run began with"):
        shares_of(rank, world, shares)


@pytest.mark.parametrize(("names", "sizes"), [(["a", "a"], [1, 2]), (["a"], [1, 2]), (["a"], [-1])])
def test_shards_that_are_none_are_refused(names, sizes):
    with pytest.raises(DataError):
        ShardPlan(names, sizes)
