"""Confidence intervals: the bootstrap over images, and the paired one for a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.int64] | None], Mapping[str, float]]
"""From rows to metrics, where each image counts as often as its row occurs; None: each once."""

RESAMPLES = 1000


@dataclass(frozen=True)
class MetricValue:
    """A metric with its 95% confidence interval.

    Attributes:
        value: On all images.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of images.
    """

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class BootstrapSamples:
    """Metrics of n images, and of many resamples of them.

    Attributes:
        n: Number of images.
        value: Metrics of the images.
        resampled: Metrics of n images drawn with replacement, once for each resample.
    """

    n: int
    value: Mapping[str, float]
    resampled: Sequence[Mapping[str, float]]


def resample(
    n: int, score: Score, *, resamples: int = RESAMPLES, seed: int = 0
) -> BootstrapSamples:
    """Score n images and resamples of them; one seed gives two models the same resamples."""
    rng = np.random.default_rng(seed)
    resampled = [score(rng.integers(0, n, n)) for _ in range(resamples if n else 0)]
    return BootstrapSamples(n, score(None), resampled)


def bootstrap(samples: BootstrapSamples, *, level: float = 0.95) -> dict[str, MetricValue]:
    """Percentile bootstrap over images (Efron and Tibshirani, 1993).

    If every image is right (or every one wrong), all resamples are alike, and an interval without
    width would claim certainty. A metric that is 0 or 1 in all resamples gets the exact binomial
    bound on its open side: n successes out of n leave a rate of 0.025 ** (1 / n) possible (Clopper
    and Pearson, 1934).
    """
    result = {}
    for name, value in samples.value.items():
        low, high = _percentiles([one[name] for one in samples.resampled], level)
        if samples.n and low == high == value and value in (0.0, 1.0):
            bound = ((1 - level) / 2) ** (1 / samples.n)
            low, high = (bound, 1.0) if value == 1.0 else (0.0, 1 - bound)
        result[name] = MetricValue(value, low, high, samples.n)
    return result


def lift(
    model: BootstrapSamples, baseline: BootstrapSamples, *, level: float = 0.95
) -> dict[str, MetricValue]:
    """Each metric of a model minus that of a baseline, on the same resamples.

    Images that are hard for both cancel out, so that a difference can be certain although neither
    metric is.
    """
    if model.n != baseline.n:
        raise ValueError(
            f"the same images are expected on both sides, got {model.n} and {baseline.n}"
        )
    pairs = list(zip(model.resampled, baseline.resampled, strict=True))
    return {
        name: MetricValue(
            value - baseline.value[name],
            *_percentiles([a[name] - b[name] for a, b in pairs], level),
            model.n,
        )
        for name, value in model.value.items()
    }


def _percentiles(values: list[float], level: float) -> tuple[float, float]:
    # A metric is NaN in resamples without an image that it is defined on.
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
