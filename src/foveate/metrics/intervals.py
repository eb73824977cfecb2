"""Confidence intervals from resamples of images, or of groups of images that belong together.

The spread of a metric comes from the bootstrap (Efron and Tibshirani, 1993), the interval's form
from Wilson's (1927) with as many images as would give a proportion this spread (Korn and Graubard,
1998) and Student's t for as many groups. Percentiles of the bootstrap cover too little where there
are few images or groups. `benchmarks/coverage.py` measures how often an interval is right.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.metrics.resampling import BootstrapSamples, Spread, spreads

Range = tuple[float, float]
"""Lowest and highest value; the highest may be infinite."""

LEVEL = 0.95
MIN_GROUPS = 10
"""Groups, or images, below which every interval is rough."""
MIN_IMAGES = 50
"""Images below which an interval from resamples is rough; so it is with a fifth as many groups."""
MIN_DF = 8.0
"""Degrees of freedom of the spread below which an interval is rough."""


@dataclass(frozen=True)
class MetricValue:
    """A metric with its 95% confidence interval.

    Attributes:
        value: On all images.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of images.
        groups: Number of groups of images that the interval rests on; n if each is its own.
        rough: Whether the interval may cover the true value in fewer than 92% of cases.
    """

    value: float
    low: float
    high: float
    n: int
    groups: int
    rough: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def bootstrap(
    samples: BootstrapSamples,
    *,
    ranges: Mapping[str, Range] | None = None,
    min_images: int = MIN_IMAGES,
    rough: Collection[str] = (),
    level: float = LEVEL,
) -> dict[str, MetricValue]:
    """Each metric with its interval.

    Metrics of few images can be too high or too low on average: average precision, whose curve is
    the best of a noisy one, and means over classes. Resamples show how much this grows if there is
    half as much to go by. It falls with the root of the number of images at least, so the whole of
    it is up to 1 / (sqrt(2) - 1) times that. The interval covers both: with and without it.

    Args:
        samples: From `resample`.
        ranges: Range of each metric that is not from 0 to 1.
        min_images: See `Metric.min_images`.
        rough: Metrics whose interval is rough in any case; see `Metric.rough`.
        level: Coverage of the intervals.
    """
    measured = spreads(samples.resampled, samples.groups, samples.n, samples.seed)
    result = {}
    for name, value in samples.value.items():
        within, drawn = (ranges or {}).get(name, (0.0, 1.0)), samples.resampled[name]
        known = drawn[~np.isnan(drawn)]
        bias = (known.mean() - value) / (math.sqrt(2) - 1) if len(known) else 0.0
        centres = value, float(np.clip(value - bias, *within))
        ends = [
            end
            for centre in centres
            for end in score_interval(centre, measured[name], samples.groups, within, level)
        ]
        few = name in rough or _is_rough(measured[name], samples.n, samples.groups, min_images)
        result[name] = MetricValue(value, min(ends), max(ends), samples.n, samples.groups, few)
    return result


def is_few(groups: int) -> bool:
    """Whether these are too few groups for an interval that is not rough."""
    return groups < MIN_GROUPS


def _is_rough(spread: Spread, n: int, groups: int, min_images: int) -> bool:
    """Whether an interval rests on too few images or groups, or on too few that decide it."""
    few = n < min_images or groups < min_images / 5
    return few or is_few(groups) or spread.df < MIN_DF


def proportion(successes: NDArray[np.bool_], unit: NDArray[np.int64]) -> MetricValue:
    """A share of images, with the exact interval (Clopper and Pearson, 1934).

    If images belong together, it is that of as many independent images as give the variance between
    groups, with Student's t (Korn and Graubard, 1998); if that is 0, of as many as there are
    groups.

    Args:
        successes: (N,) whether each image counts.
        unit: (N,) the group of each image, from 0.
    """
    from scipy.stats import beta

    n, groups, share = len(successes), int(unit.max()) + 1, float(successes.mean())
    effective = float(n)
    if groups < n:
        apart = np.bincount(unit, successes - share, groups) / n
        variance = float((apart**2).sum()) * groups / max(1, groups - 1)
        effective = float(groups)
        if variance > 0:
            few = quantile(math.inf, LEVEL) / quantile(groups - 1.0, LEVEL)
            effective = min(float(n), share * (1 - share) / variance * few**2)
    hits, tail = share * effective, (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, effective - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, effective - hits)) if hits < effective else 1.0
    return MetricValue(share, min(share, low), max(share, high), n, groups, is_few(groups))


def difference(one: MetricValue, other: MetricValue) -> MetricValue:
    """Of two metrics from their intervals, as if they were independent (Zou and Donner, 2008).

    On the same images they mostly are not, and then the interval is wider than it needs to be.
    """
    value = one.value - other.value
    down = math.hypot(one.value - one.low, other.high - other.value)
    up = math.hypot(one.high - one.value, other.value - other.low)
    rough = one.rough or other.rough
    return MetricValue(value, value - down, value + up, one.n, one.groups, rough)


def score_interval(
    value: float, spread: Spread, groups: int, within: Range, level: float = LEVEL
) -> Range:
    """Wilson's interval for a value in a range, with as many images as would explain its spread.

    If all resamples are alike, an interval without width would claim certainty, so each group
    counts as one image. A range without upper end is the limit of ever wider ones. One group gives
    the whole range, or NaN if that has no end.
    """
    low, high = within
    if math.isnan(value) or groups < 2:
        known = math.isfinite(value) and math.isfinite(high)
        return within if known else (math.nan, math.nan)
    width, t = high - low, quantile(spread.df or groups - 1.0, level)
    if math.isinf(width):
        q = (t * spread.sd / (value - low)) ** 2 / 2 if value > low else 0.0
        root = math.sqrt(q * (q + 2))
        return low + (value - low) * (1 + q - root), low + (value - low) * (1 + q + root)
    share, sd = min(1.0, max(0.0, (value - low) / width)), spread.sd / width
    odds = share * (1 - share)
    inverse = t * t * (sd * sd / odds if sd > 0 and odds > 0 else 1 / groups)
    centre, root = share + inverse / 2, math.sqrt(odds * inverse + inverse**2 / 4)
    ends = ((centre - root) / (1 + inverse), (centre + root) / (1 + inverse))
    return low + width * min(share, max(0.0, ends[0])), low + width * max(share, min(1.0, ends[1]))


@cache
def quantile(df: float, level: float) -> float:
    """The quantile of Student's t that a two-sided interval of this level needs."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, df))


def lift(
    model: BootstrapSamples,
    baseline: BootstrapSamples,
    *,
    ranges: Mapping[str, Range] | None = None,
    min_images: int = MIN_IMAGES,
    rough: Collection[str] = (),
    level: float = LEVEL,
) -> dict[str, MetricValue]:
    """Each metric of a model minus that of a baseline, on the same resamples.

    Images that are hard for both cancel out, so that a difference can be certain although neither
    metric is. Where nothing differs, as many groups could still differ as go unseen in `groups`
    draws with a probability of 2.5%: 1 - 0.025 ** (1 / groups) of them.
    """
    if (model.n, model.groups) != (baseline.n, baseline.groups):
        raise ValueError(
            f"the same images are expected on both sides, got {model.n} and {baseline.n}"
        )
    apart = {name: one - baseline.resampled[name] for name, one in model.resampled.items()}
    measured = spreads(apart, model.groups, model.n, model.seed)
    result = {}
    for name, value in model.value.items():
        low, high = (ranges or {}).get(name, (0.0, 1.0))
        apart_by, spread, width = value - baseline.value[name], measured[name], high - low
        if model.groups < 2:
            margin = width
        elif spread.sd > 0 or math.isinf(width):
            margin = spread.sd * quantile(spread.df, level)
        else:
            margin = width * (1 - ((1 - level) / 2) ** (1 / model.groups))
        ends = max(-width, apart_by - margin), min(width, apart_by + margin)
        if math.isnan(apart_by):
            ends = (math.nan, math.nan)
        few = name in rough or _is_rough(spread, model.n, model.groups, min_images)
        result[name] = MetricValue(apart_by, *ends, model.n, model.groups, few)
    return result
