"""Iterative stratification: units of samples divided so that each class is shared alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.data.rng import SampleRNG, sample_keys


def iterative_stratify(
    ids: Sequence[str],
    strata: Sequence[Sequence[int]],
    units: Sequence[Sequence[int]],
    shares: Sequence[float],
    num_classes: int,
    seed: int,
) -> list[int]:
    """Divide units among bins so that the shares of all classes come out alike.

    Iterative stratification (Sechidis et al., "On the stratification of multi-label data", 2011):
    the class with the fewest samples left goes first, each of its units to the bin that lacks it
    most. Units of several samples are the hardest to fit and go before all others, largest first.

    Args:
        ids: N sample ids.
        strata: The classes in each sample.
        units: Rows of the samples that stay together, for each unit.
        shares: The share of each bin; they sum to 1.
        num_classes: K.
        seed: The seed of the division.

    Returns:
        The bin of each unit.
    """
    unit_counts = [Counter(k for row in unit for k in strata[row]) for unit in units]
    left = np.zeros(num_classes, np.int64)
    for counts in unit_counts:
        for k, count in counts.items():
            left[k] += count
    lacking = _quotas(left, shares)
    # A rare class counts more: its balance is harder to restore later.
    weights = 1 / np.maximum(left, 1)
    room = np.array(shares) * sum(map(len, units))
    keys = sample_keys([ids[min(unit, key=lambda row: ids[row])] for unit in units])
    order = np.argsort(SampleRNG(keys, seed).uniform(1)[:, 0], kind="stable").tolist()
    bins = [-1] * len(units)

    def put(unit: int, need: NDArray[np.float64]) -> None:
        """Put a unit into the bin that needs it most; among equals, the one with most room."""
        best = bins[unit] = int(np.lexsort((-room, -need))[0])
        room[best] -= len(units[unit])
        for k, count in unit_counts[unit].items():
            lacking[best, k] -= count
            left[k] -= count

    several = (unit for unit in order if len(units[unit]) > 1)
    for unit in sorted(several, key=lambda unit: -len(units[unit])):
        ks = sorted(unit_counts[unit])
        need = room.copy()
        if ks:
            need = (lacking[:, ks] * weights[ks]) @ [unit_counts[unit][k] for k in ks]
        put(unit, need)
    units_with: dict[int, list[int]] = defaultdict(list)
    for unit in order:
        if bins[unit] < 0:
            for k in unit_counts[unit]:
                units_with[k].append(unit)
    while units_with:
        k = min(units_with, key=lambda k: (left[k], k))
        for unit in units_with.pop(k):
            if bins[unit] < 0:
                put(unit, lacking[:, k].copy())
    for unit in order:
        if bins[unit] < 0:
            put(unit, room.copy())
    return bins


def _quotas(counts: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.float64]:
    """(bins, K) samples of each class a bin should get, by largest remainder.

    Each bin gets at least one where there are enough.
    """
    quotas = np.zeros((len(shares), len(counts)))
    for k, count in enumerate(counts.tolist()):
        if not count:
            continue
        exact = np.array(shares) * count
        whole = np.floor(exact)
        for index in np.argsort(-(exact - whole), kind="stable")[: int(count - whole.sum())]:
            whole[index] += 1
        if count >= len(shares):
            for index in np.flatnonzero(whole == 0):
                whole[int(np.argmax(whole))] -= 1
                whole[index] += 1
        quotas[:, k] = whole
    return quotas
