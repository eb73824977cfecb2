"""How sure a figure is: bootstrap intervals over pictures, and paired ones for a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.int64] | None], Mapping[str, float]]
"""Rows of pictures -> figures on these, each picture counting as often as it stands there; None: each once."""

RESAMPLES = 1000


@dataclass(frozen=True)
class MetricValue:
    """A figure on n pictures with its 95% interval."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class BootstrapSamples:
    """Figures on n pictures, and on each of many draws of n of them with replacement."""

    n: int
    value: Mapping[str, float]
    drawn: Sequence[Mapping[str, float]]


def resampled(
    n: int, score: Score, *, resamples: int = RESAMPLES, seed: int = 0
) -> BootstrapSamples:
    """Score n pictures as they are and as drawn; with one seed two models are scored on the same draws."""
    rng = np.random.default_rng(seed)
    drawn = [score(rng.integers(0, n, n)) for _ in range(resamples if n else 0)]
    return BootstrapSamples(n, score(None), drawn)


def bootstrap(found: BootstrapSamples, *, level: float = 0.95) -> dict[str, MetricValue]:
    """Percentile bootstrap over pictures (Efron and Tibshirani, 1993).

    Where every picture is right (or every one wrong), all resamples are alike, and an interval without width would claim
    certainty. A figure that is 0 or 1 in all resamples gets the exact binomial bound on its open side instead: n
    successes out of n leave a rate of 0.025 ** (1 / n) possible (Clopper and Pearson, 1934).
    """
    result = {}
    for name, value in found.value.items():
        low, high = _percentiles([one[name] for one in found.drawn], level)
        if found.n and low == high == value and value in (0.0, 1.0):
            possible = ((1 - level) / 2) ** (1 / found.n)
            low, high = (possible, 1.0) if value == 1.0 else (0.0, 1 - possible)
        result[name] = MetricValue(value, low, high, found.n)
    return result


def lift(
    mine: BootstrapSamples, theirs: BootstrapSamples, *, level: float = 0.95
) -> dict[str, MetricValue]:
    """Each figure of a model minus that of a baseline on the same pictures, both drawn with the same rows each time: what
    the two find hard alike cancels out, so a difference can be sure where both figures are not.
    """
    if mine.n != theirs.n:
        raise ValueError(
            f"the same pictures are expected on both sides, got {mine.n} and {theirs.n}"
        )
    return {
        name: MetricValue(
            value - theirs.value[name],
            *_percentiles(
                [a[name] - b[name] for a, b in zip(mine.drawn, theirs.drawn, strict=True)], level
            ),
            mine.n,
        )
        for name, value in mine.value.items()
    }


def _percentiles(values: list[float], level: float) -> tuple[float, float]:
    known = [
        value for value in values if value == value
    ]  # some draws may hold no picture that a figure is of
    if not known:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
