"""Calibration error: how far confidence and accuracy are apart.

The plain estimate is never 0, as the accuracy of a bin of few images is far from its confidence by
chance. So the squared error of a bin is the mean product of the errors of two different images,
whose expectation is the true one (Kumar, Liang and Ma, "Verified uncertainty calibration", 2019).
The result is the root of its mean over images: the root-mean-square calibration error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.metrics.intervals import LEVEL, quantile
from foveate.metrics.metric import PerImageStats, ratio

BINS = 15
"""Bins of equal width of the confidence."""


def bin_index(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """(N,) the bin of each confidence: intervals (low, high], as in Guo et al., 2017."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def calibration_error(
    errors: NDArray[np.float64],
    counts: NDArray[np.float64],
    squares: NDArray[np.float64],
    squared_counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The debiased calibration error of B selections of images; NaN if no bin has two of them.

    Args:
        errors: (B, bins) sum of confidence minus correctness in each bin.
        counts: (B, bins) images.
        squares: (B, bins) sum of the squares of what each image adds to `errors`.
        squared_counts: (B, bins) sum of the squares of what each image adds to `counts`.
    """
    pairs = counts**2 - squared_counts
    usable = pairs > 0
    squared = np.divide(errors**2 - squares, pairs, out=np.zeros(pairs.shape), where=usable)
    weights = np.where(usable, counts, 0.0)
    mean = ratio((weights * squared).sum(1), weights.sum(1))
    result: NDArray[np.float64] = np.sqrt(np.maximum(mean, 0.0))
    return result


@dataclass(frozen=True)
class _Bins:
    """Sums over the images of each of G groups in each of the usable bins: (G, bins)."""

    errors: NDArray[np.float64]
    counts: NDArray[np.float64]
    hits: NDArray[np.float64]


def calibration_interval(
    stats: PerImageStats, unit: NDArray[np.int64], level: float = LEVEL
) -> tuple[float, float]:
    """The interval of the calibration error.

    Only images of different groups form pairs here, as images of one group err together. The
    squared error has an interval like Wilson's, from its variance at any true error: that of a
    perfectly calibrated model, which chance alone gives, and one in proportion to the error.

    Args:
        stats: Columns target, predicted and confidence.
        unit: (N,) the group of each image, from 0.
        level: Coverage.

    Returns:
        Its ends; 0 and 1 if no bin has two groups.
    """
    bins = _usable(stats, unit)
    groups, total = len(bins.errors), bins.counts.sum()
    if groups < 2 or not total:
        return 0.0, 1.0
    counts, errors = bins.counts.sum(0), bins.errors.sum(0)
    pairs = counts**2 - (bins.counts**2).sum(0)
    weights = counts / total
    squared = float((weights * (errors**2 - (bins.errors**2).sum(0)) / pairs).sum())
    residuals = bins.errors - bins.counts * errors / counts
    # Variance by chance alone, from products of two groups; at least that of independent images.
    scaled = residuals * np.sqrt(weights / pairs)
    products = ((scaled.T @ scaled) ** 2).sum() - ((scaled**2).sum(1) ** 2).sum()
    accuracy = (bins.hits.sum(0) + 1) / (counts + 2)  # Laplace: a bin that is all right varies too
    variance = accuracy * (1 - accuracy)
    single = counts * np.maximum(counts - 1, 1)
    chance = 2 * max(float(products), float((weights**2 * variance**2 / single).sum()))
    slope = 4 * max(
        float(((weights * residuals / counts).sum(1) ** 2).sum()),
        float((weights**2 * variance / counts).sum()),
    )
    few = groups / (groups - 1)
    t = quantile(groups - 1.0, level)
    shift = t**2 * slope * few / 2
    root = np.sqrt(max(0.0, shift * (2 * squared + shift) + t**2 * chance * few**2))
    low, high = (np.sqrt(min(1.0, max(0.0, squared + shift + one))) for one in (-root, root))
    return float(low), float(high)


def _usable(stats: PerImageStats, unit: NDArray[np.int64]) -> _Bins:
    groups = int(unit.max()) + 1 if len(unit) else 0
    correct = (stats["target"] == stats["predicted"]).astype(float)
    cell = unit * BINS + bin_index(stats["confidence"])

    def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(cell, values, groups * BINS).reshape(groups, BINS).astype(float)

    errors, counts, hits = map(summed, (stats["confidence"] - correct, np.ones(len(unit)), correct))
    usable = (counts > 0).sum(0) > 1
    return _Bins(errors[:, usable], counts[:, usable], hits[:, usable])
