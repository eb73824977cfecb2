"""Splits that are alike are seldom called different, grouped or not; those that differ are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from foveate.audit.representative import MIN_UNITS, compare, two_samples


def normal(rng: np.random.Generator, count: int, mean: float = 0.0) -> np.ndarray:
    return rng.normal(mean, 1, (count, 5))


def test_p_values_of_samples_that_are_alike_are_uniform():
    rng = np.random.default_rng(0)
    values = [two_samples(normal(rng, 80), normal(rng, 50), seed).p for seed in range(200)]
    assert kstest(values, "uniform").pvalue > 0.01


def grouped(rng: np.random.Generator, groups: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of groups that differ a lot from one another."""
    units = np.repeat(np.arange(groups), images)
    return 3 * normal(rng, groups)[units] + normal(rng, len(units)), units


def test_p_values_stay_uniform_where_images_of_a_group_are_alike():
    rng = np.random.default_rng(0)
    with_units, without = [], []
    for seed in range(100):
        (ones, first), (others, second) = grouped(rng, 20, 15), grouped(rng, 12, 15)
        with_units.append(two_samples(ones, others, seed, (first, second)).p)
        without.append(two_samples(ones, others, seed).p)
    # Few groups give few different ranks: the values lie on steps, a little above the uniform ones.
    assert np.mean(np.array(with_units) < 0.05) <= 0.1
    assert np.mean(with_units) > 0.4
    assert np.mean(np.array(without) < 0.05) > 0.9  # what is avoided


def test_a_shift_is_found():
    rng = np.random.default_rng(0)
    compared = two_samples(normal(rng, 80), normal(rng, 80, 2), 0)
    assert compared.differ
    assert compared.p < 1e-6
    assert compared.low < compared.auc <= compared.high


def test_a_real_but_small_difference_is_no_finding():
    rng = np.random.default_rng(0)
    compared = two_samples(normal(rng, 4000), normal(rng, 4000, 0.1), 0)
    assert compared.p < 0.001
    assert not compared.differ


def test_the_interval_of_the_auc_covers_the_true_one():
    """Two normal distributions one deviation apart in one of five dimensions, known direction."""
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        ones, others = rng.normal(0, 1, (60, 1)), rng.normal(1, 1, (40, 1))
        compared = two_samples(ones, others, seed)
        covered += compared.low <= 0.7602 <= compared.high  # the normal's CDF at 1 / sqrt(2)
    assert covered >= 186  # of 190 that are expected, less three deviations of the count


def test_few_units_are_not_compared():
    rng = np.random.default_rng(0)
    inputs, rows = normal(rng, 200), np.arange(100)
    few = np.concatenate([np.arange(100), 100 + np.arange(100) % (MIN_UNITS - 1)])
    assert compare(inputs, rows, rows + 100, few, 0) is None
    enough = np.concatenate([np.arange(100), 100 + np.arange(100) % MIN_UNITS])
    assert compare(inputs, rows, rows + 100, enough, 0) is not None


@pytest.mark.parametrize("swapped", [False, True])
def test_the_result_does_not_depend_on_the_numbers_of_units(swapped):
    rng = np.random.default_rng(0)
    ones, others = normal(rng, 40), normal(rng, 60)
    units = np.arange(40), 40 + np.arange(60)
    renamed = (units[0] * 7, units[1] * 7) if swapped else units
    assert two_samples(ones, others, 3, renamed) == two_samples(ones, others, 3)
