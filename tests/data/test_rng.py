import numpy as np
from scipy import stats

from foveate.data.rng import SampleRNG, derive_seed, epoch_order, sample_keys

IDS = [f"sample-{i}" for i in range(2000)]


def test_a_draw_depends_on_the_sample_and_not_on_its_place_or_batch():
    whole = SampleRNG(sample_keys(IDS), seed=3, epoch=5).uniform(4)
    split = SampleRNG(sample_keys(IDS[700:710]), seed=3, epoch=5).uniform(4)
    backwards = SampleRNG(sample_keys(IDS[::-1]), seed=3, epoch=5).uniform(4)
    assert np.array_equal(whole[700:710], split)
    assert np.array_equal(whole, backwards[::-1])


def test_draws_in_splits_are_the_draws_at_once():
    rng = SampleRNG(sample_keys(IDS), seed=0)
    splits = np.hstack([rng.uniform(1), rng.uniform(3)])
    assert np.array_equal(splits, SampleRNG(sample_keys(IDS), seed=0).uniform(4))


def test_seed_epoch_and_sample_each_change_the_draw():
    base = SampleRNG(sample_keys(IDS), 0, 0).uniform(1)
    assert (base != SampleRNG(sample_keys(IDS), 1, 0).uniform(1)).mean() > 0.99
    assert (base != SampleRNG(sample_keys(IDS), 0, 1).uniform(1)).mean() > 0.99
    assert len(np.unique(base)) > 1990


def test_an_alternating_draw_is_fair_and_turns_with_the_epoch():
    keys = sample_keys(IDS)
    first, second, third = (SampleRNG(keys, 0, epoch).alternating for epoch in range(3))
    assert first.dtype == np.bool_
    assert 900 < first.sum() < 1100
    assert np.array_equal(first, ~second)
    assert np.array_equal(first, third)
    other = SampleRNG(keys, 1).alternating
    assert 900 < (first == other).sum() < 1100
    drawn = SampleRNG(keys, 0).uniform(1)[:, 0] < 0.5
    assert 900 < (first == drawn).sum() < 1100


def test_draws_are_uniform_and_independent():
    rng = SampleRNG(sample_keys(IDS), seed=1).uniform(8)
    assert rng.dtype == np.float32
    assert rng.min() >= 0
    assert rng.max() < 1
    assert stats.kstest(rng.ravel(), "uniform").pvalue > 0.001
    assert np.abs(np.corrcoef(rng.T) - np.eye(8)).max() < 0.1
    following = np.corrcoef(
        SampleRNG(sample_keys(IDS), 1, 0).uniform(1)[:, 0],
        SampleRNG(sample_keys(IDS), 1, 1).uniform(1)[:, 0],
    )
    assert abs(following[0, 1]) < 0.1


def test_shuffling_is_a_permutation_that_changes_from_epoch_to_epoch():
    first, second = epoch_order(sample_keys(IDS), 0, 0), epoch_order(sample_keys(IDS), 0, 1)
    assert sorted(first) == list(range(len(IDS)))
    assert (first == second).mean() < 0.01
    assert np.array_equal(first, epoch_order(sample_keys(IDS), 0, 0))


def test_keys_of_no_and_of_odd_names():
    assert sample_keys([]).shape == (0,)
    assert len(set(sample_keys(["", "ä", "\udce4", "日本", "-x"]).tolist())) == 5


def test_near_seeds_are_far_apart():
    assert len({derive_seed(a, b) for a in range(50) for b in range(50)}) == 2500
    assert derive_seed(1, 2) != derive_seed(2, 1)
    assert all(0 <= derive_seed(a) < 2**63 for a in range(100))
