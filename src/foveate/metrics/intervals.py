"""Confidence intervals from resamples of images, or of groups of images that belong together.

The spread of a metric comes from the bootstrap (Efron and Tibshirani, 1993), the interval's form
from Wilson's (1927) with as many images as would give a proportion this spread (Korn and Graubard,
1998) and Student's t for as many groups. Percentiles of the bootstrap cover too little where there
are few images or groups. `benchmarks/coverage.py` measures how often an interval is right.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.int64] | None], Mapping[str, float]]
"""From rows to metrics, where each image counts as often as its row occurs; None: each once."""
Range = tuple[float, float]
"""Lowest and highest value; the highest may be infinite."""

RESAMPLES = 1000
LEVEL = 0.95
MIN_GROUPS = 10
"""Groups, or images, below which every interval is rough."""
MIN_IMAGES = 50
"""Images below which an interval from resamples is rough; so it is with a fifth as many groups."""
MIN_DF = 8.0
"""Degrees of freedom of the spread below which an interval is rough."""
ROUNDING = 1e-9
"""Standard deviation below which resamples are alike."""
MAX_DRAWN = 1_000_000
"""Numbers of images that are drawn at once."""


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


class BatchScorer(ABC):
    """A `Score` that also scores many selections of images at once, which is faster.

    Attributes:
        images: Number of images.
    """

    images: int

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
    for counts in _draw(groups, n, resamples, seed):
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


def _draw(groups: int, n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """(some, groups) how often each group is drawn in some of the resamples."""
    rng = np.random.default_rng(seed)
    at_once = max(1, MAX_DRAWN // max(1, n))
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


def _spreads(
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
    spreads = _spreads(samples.resampled, samples.groups, samples.n, samples.seed)
    result = {}
    for name, value in samples.value.items():
        within, drawn = (ranges or {}).get(name, (0.0, 1.0)), samples.resampled[name]
        known = drawn[~np.isnan(drawn)]
        bias = (known.mean() - value) / (math.sqrt(2) - 1) if len(known) else 0.0
        centres = value, float(np.clip(value - bias, *within))
        ends = [
            end
            for centre in centres
            for end in score_interval(centre, spreads[name], samples.groups, within, level)
        ]
        few = name in rough or _is_rough(spreads[name], samples.n, samples.groups, min_images)
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
    spreads = _spreads(apart, model.groups, model.n, model.seed)
    result = {}
    for name, value in model.value.items():
        low, high = (ranges or {}).get(name, (0.0, 1.0))
        apart_by, spread, width = value - baseline.value[name], spreads[name], high - low
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
