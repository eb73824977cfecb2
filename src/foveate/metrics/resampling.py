"""Resamples of images, or of groups of images that belong together: the bootstrap.

Efron and Tibshirani, "An introduction to the bootstrap", 1993.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.int64] | None], Mapping[str, float]]
"""From rows to metrics, where each image counts as often as its row occurs; None: each once."""

RESAMPLES = 1000
ROUNDING = 1e-9
"""Standard deviation below which resamples are alike."""
MAX_DRAWN = 1_000_000
"""Numbers that are held at once while resamples are drawn and scored."""


class BatchScorer(ABC):
    """A `Score` that also scores many selections of images at once, which is faster.

    Attributes:
        images: Number of images.
        width: Numbers that are held for one selection, beside those of its images.
    """

    images: int
    width: int = 1

    @abstractmethod
    def of_times(self, times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """(B, images) how often each image counts in each of B selections -> (B,) each metric."""

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """Metrics of a selection of images, by default of all.

        Args:
            rows: Images, each as often as it counts.
        """
        times = (
            np.ones(self.images, np.int64)
            if rows is None
            else np.bincount(rows, minlength=self.images)
        )
        return {name: float(values[0]) for name, values in self.of_times(times[None]).items()}

    def __call__(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """See `metrics`."""
        return self.metrics(rows)


@dataclass(frozen=True)
class BootstrapSamples:
    """Metrics of n images, and of many resamples of them.

    Attributes:
        n: Number of images.
        groups: Number of groups of images that belong together; n if each is its own.
        value: Metrics of the images.
        resampled: (resamples,) metrics of as many groups, drawn with replacement.
        seed: Of the draws.
    """

    n: int
    groups: int
    value: Mapping[str, float]
    resampled: Mapping[str, NDArray[np.float64]]
    seed: int = 0


def resample(
    n: int,
    score: Score,
    *,
    clusters: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> BootstrapSamples:
    """Score n images and resamples of them; one seed gives two models the same resamples.

    Args:
        n: Number of images.
        score: Gives the metrics of a selection.
        clusters: (n,) equal for images that belong together, which are drawn together; by default
            each image is its own.
        resamples: Number of resamples.
        seed: Of the draws.
    """
    unit = number_groups(n, clusters)
    groups = int(unit.max()) + 1 if n else 0
    value = dict(score(None))
    batches: list[Mapping[str, Any]] = []
    width = max(n, score.width) if isinstance(score, BatchScorer) else n
    for counts in _draw(groups, width, resamples, seed):
        times = counts[:, unit]
        if isinstance(score, BatchScorer):
            batches.append(score.of_times(times))
        else:
            scored = [score(np.repeat(np.arange(n), one)) for one in times]
            batches.append({name: [one[name] for one in scored] for name in value})
    resampled = {
        name: np.concatenate([np.zeros(0), *(batch[name] for batch in batches)]) for name in value
    }
    return BootstrapSamples(n, groups, value, resampled, seed)


def number_groups(n: int, clusters: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(n,) the group of each image, from 0 in the order in which they occur."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"a group for each of {n} images is expected, got {len(clusters)}")
    _, first, unit = np.unique(clusters, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[unit].astype(np.int64)


def _draw(groups: int, width: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """(some, groups) how often each group is drawn in some of the resamples.

    The draws are the same whatever the width, which is how many numbers a resample takes.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, MAX_DRAWN // max(1, width))
    for start in range(0, resamples if groups else 0, at_once):
        some = min(at_once, resamples - start)
        drawn = rng.integers(0, groups, (some, groups)) + groups * np.arange(some)[:, None]
        yield np.bincount(drawn.ravel(), minlength=some * groups).reshape(some, groups)


@dataclass(frozen=True)
class Spread:
    """How far a metric varies between samples of as many groups.

    Attributes:
        sd: Standard deviation.
        df: Degrees of freedom of sd.
    """

    sd: float
    df: float


def spreads(
    resampled: Mapping[str, NDArray[np.float64]], groups: int, n: int, seed: int
) -> dict[str, Spread]:
    """The spread of each metric, with the factor that the bootstrap needs for few groups.

    The degrees of freedom are those of Satterthwaite (1946): few if few groups decide the metric,
    as where almost all images are right. The influence of each group is the covariance of the
    metric and of the number of times that it is drawn (Efron, 2014), whose fourth moment is
    corrected for the noise of finitely many resamples.
    """
    if groups < 2 or not resampled:
        return dict.fromkeys(resampled, Spread(0.0, 0.0))
    names = list(resampled)
    table = np.stack([resampled[name] for name in names], 1)
    known = ~np.isnan(table)
    count = np.maximum(known.sum(0), 1)
    # A metric is NaN in resamples without an image that it is defined on.
    apart = np.where(known, table - np.where(known, table, 0.0).sum(0) / count, 0.0)
    variance = (apart**2).sum(0) / np.maximum(count - 1, 1)
    variance[variance < ROUNDING**2] = 0.0
    influence, start = np.zeros((groups, len(names))), 0
    for counts in _draw(groups, n, len(table), seed):
        influence += (counts - 1).T @ apart[start : start + len(counts)]
        start += len(counts)
    influence /= count
    noise = variance / count
    fourth = (influence**4).sum(0) - 6 * noise * variance - 3 * groups * noise**2
    result = {}
    for name, square, power in zip(names, variance.tolist(), fourth.tolist(), strict=True):
        excess = max(power, square**2 / groups) / square**2 - 1 / groups if square > 0 else 0.0
        df = min(groups - 1.0, 2 / excess) if excess > 0 else groups - 1.0
        result[name] = Spread(math.sqrt(square * groups / (groups - 1)), max(1.0, df))
    return result
