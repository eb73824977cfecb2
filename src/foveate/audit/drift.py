"""Whether images seen in service are like those that a model was trained and validated on.

How images look, where they lie in feature space, and what is predicted for them are compared, each
for itself. Each comparison gives a p-value that is valid whatever the distribution is, and Holm's
method holds them together: if nothing has changed, one of them alarms in at most LEVEL of all cases
(Holm, "A simple sequentially rejective multiple test procedure", 1979).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.audit.representative import (
    MAX_CLASS_SHIFT,
    MAX_IMAGES,
    MAX_KS_DISTANCE,
    MIN_AUC,
    MIN_IMAGES,
    MIN_UNITS,
    two_samples,
)
from foveate.wording import percent

LEVEL = 0.05
"""Share of the cases without any change in which something alarms."""
PERMUTATIONS = 1999
"""Permutations of a permutation test; its p-value is at least one in so many."""
_POWER_Z = 0.8416  # of a normal distribution, below which 80% lie
_BLOCK = 200  # permutations at once
_ROUNDING = 1e-10  # of a statistic, by the order in which numbers are added


@dataclass(frozen=True)
class Comparison:
    """One comparison between images of service and of the reference.

    Attributes:
        name: What was compared.
        reference: Its value in the reference, for people.
        service: Its value in service.
        size: How large the difference is, for people.
        p: How often chance alone makes a difference like this.
        large: Whether it is large enough to matter, by the limits of the audit.
    """

    name: str
    reference: str
    service: str
    size: str
    p: float
    large: bool


def alarms(comparisons: Sequence[Comparison], level: float = LEVEL) -> list[Comparison]:
    """Those that differ, so that chance alone gives any in at most `level` of the cases."""
    found: list[Comparison] = []
    for rank, one in enumerate(sorted(comparisons, key=lambda one: one.p)):
        if one.p > level / (len(comparisons) - rank):
            break
        found.append(one)
    return found


def compare_points(
    name: str,
    reference: NDArray[np.float64],
    service: NDArray[np.float64],
    units: tuple[NDArray[np.int64], NDArray[np.int64]],
    seed: int = 0,
) -> Comparison | None:
    """Compare images by the two-sample test of the audit; None if there are too few units.

    Args:
        name: What the points are.
        reference: (N, F) a point for each image.
        service: (M, F) likewise.
        units: (N,) and (M,), equal for images that are not independent.
        seed: Of the halves.
    """
    if min(len(np.unique(one)) for one in units) < MIN_UNITS:
        return None
    found = two_samples(reference, service, seed, units)
    return Comparison(
        name,
        "AUC 0.50",
        f"AUC {found.auc:.2f}",
        f"{found.low:.2f} to {found.high:.2f}",
        found.p,
        found.auc > MIN_AUC,
    )


def compare_amounts(
    name: str, classes: Sequence[str], reference: NDArray[np.float64], service: NDArray[np.float64]
) -> Comparison | None:
    """Compare how much of each class is predicted, by permutations of the images.

    Args:
        name: What the amounts are.
        classes: The K class names.
        reference: (N, K) for each image 1 for its class, the number of objects, or of pixels.
        service: (M, K) likewise.

    Returns:
        None if fewer than two classes occur: then there is no mix.
    """
    both = np.concatenate([reference, service])
    occurring = both.any(0)
    if occurring.sum() < 2 or not (reference.any() and service.any()):
        return None
    shares = [one.sum(0) / one.sum() for one in (reference, service)]
    moved = float(np.abs(shares[0] - shares[1]).sum() / 2)
    most = int(np.argmax(np.abs(shares[0] - shares[1])))
    return Comparison(
        name,
        f"{classes[most]} {percent(shares[0][most])}",
        f"{classes[most]} {percent(shares[1][most])}",
        f"{100 * moved:.1f} points",
        _permuted(both[:, occurring], len(reference)),
        moved > MAX_CLASS_SHIFT,
    )


def _permuted(amounts: NDArray[np.float64], first: int) -> float:
    """The p-value of the distance between the mean shares of the first images and of the others.

    The statistic is that of the chi-squared test of homogeneity, of shares; images are what is
    permuted, so that the objects of one image stay together.
    """
    count, total = len(amounts), amounts.sum(0)

    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, K) sums over the first images -> (P,)."""
        others = total - sums
        shares = sums / np.maximum(sums.sum(1, keepdims=True), 1e-12)
        rest = others / np.maximum(others.sum(1, keepdims=True), 1e-12)
        distances: NDArray[np.float64] = ((shares - rest) ** 2 / (total / total.sum())).sum(1)
        return distances

    observed = float(statistic(amounts[:first].sum(0, keepdims=True))[0])
    return _p_value(
        observed, (statistic(chosen @ amounts) for chosen in _permutations(count, first))
    )


def _permutations(count: int, first: int) -> Iterator[NDArray[np.float64]]:
    """(P, count) blocks with ones at `first` places of each row, drawn at random."""
    rng = np.random.default_rng(0)
    for start in range(0, PERMUTATIONS, _BLOCK):
        size = min(_BLOCK, PERMUTATIONS - start)
        chosen = np.zeros((size, count))
        np.put_along_axis(chosen, rng.random((size, count)).argsort(1)[:, :first], 1.0, 1)
        yield chosen


def _p_value(observed: float, permuted: Iterable[NDArray[np.float64]]) -> float:
    """The share of statistics that reach the observed one, itself included."""
    reached = sum(int((block >= observed - _ROUNDING).sum()) for block in permuted)
    return (1 + reached) / (1 + PERMUTATIONS)


def compare_values(
    name: str, reference: NDArray[np.float64], service: NDArray[np.float64], form: str = ".3g"
) -> Comparison | None:
    """Compare a number of each image; None if there are too few images.

    The statistic is that of Kolmogorov and Smirnov, and images are permuted: its usual p-value is
    too large where many values are equal, such as probabilities near 1.

    Args:
        name: What the number is.
        reference: (N,) numbers.
        service: (M,) likewise.
        form: How medians are written.
    """
    if min(len(reference), len(service)) < MIN_IMAGES:
        return None
    both, first = np.concatenate([reference, service]), len(reference)
    order = np.argsort(both, kind="stable")
    is_last = np.append(np.diff(both[order]) > 0, True)  # of equal values

    def statistic(chosen: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest distance between both distribution functions, (P, N + M) -> (P,)."""
        steps = chosen[:, order] / first - (1 - chosen[:, order]) / len(service)
        distances: NDArray[np.float64] = np.abs(steps.cumsum(1)[:, is_last]).max(1)
        return distances

    distance = float(statistic((np.arange(len(both)) < first).astype(float)[None])[0])
    p = _p_value(distance, map(statistic, _permutations(len(both), first)))
    before, now = (f"median {np.median(one):{form}}" for one in (reference, service))
    return Comparison(
        name,
        before,
        now,
        f"distance {distance:.2f}",
        p,
        distance > MAX_KS_DISTANCE,
    )


def detectable_auc(reference: int, service: int, comparisons: int) -> float:
    """The AUC that `compare_points` finds in four of five cases; above 1 if it can find none.

    Args:
        reference: Units of the reference.
        service: Units in service.
        comparisons: How many share the level.
    """
    from scipy.stats import norm

    halves = [max(min(count, MAX_IMAGES) - min(count, MAX_IMAGES) // 2, 1) for count in
              (reference, service)]  # fmt: skip
    deviation = np.sqrt((sum(halves) + 1) / (12 * halves[0] * halves[1]))
    return float(0.5 + (norm.isf(LEVEL / max(comparisons, 1)) + _POWER_Z) * deviation)
