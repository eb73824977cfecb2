"""How sure a figure is: bootstrap intervals over pictures, and paired ones for a difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tally = dict[str, NDArray[Any]]
Figures = Callable[[Tally], Mapping[str, float]]
RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """A figure on n pictures with its 95% interval."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def bootstrap(
    tally: Tally, figures: Figures, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Figure]:
    """Percentile bootstrap over the rows of a tally (Efron and Tibshirani, 1993).

    Where every picture is right (or every one wrong), all resamples are alike, and an interval without width would claim
    certainty. A figure that is 0 or 1 in all resamples gets the exact binomial bound on its open side instead: n
    successes out of n leave a rate of 0.025 ** (1 / n) possible (Clopper and Pearson, 1934).
    """
    n = _rows(tally)
    drawn = [figures(_take(tally, rows)) for rows in _resamples(n, resamples, seed)]
    result = {}
    for name, value in figures(tally).items():
        low, high = _percentiles([one[name] for one in drawn], level)
        if n and low == high == value and value in (0.0, 1.0):
            possible = ((1 - level) / 2) ** (1 / n)
            low, high = (possible, 1.0) if value == 1.0 else (0.0, 1 - possible)
        result[name] = Figure(value, low, high, n)
    return result


def lift(
    tally: Tally, baseline: Tally, figures: Figures, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Figure]:
    """Each figure of a model minus that of a baseline on the same pictures, both drawn with the same rows each time: what
    the two find hard alike cancels out, so a difference can be sure where both figures are not."""
    n = _rows(tally)
    if _rows(baseline) != n:
        raise ValueError(f"the same pictures are expected in both tallies, got {n} and {_rows(baseline)}")
    drawn = []
    for rows in _resamples(n, resamples, seed):
        mine, theirs = figures(_take(tally, rows)), figures(_take(baseline, rows))
        drawn.append({name: mine[name] - theirs[name] for name in mine})
    mine, theirs = figures(tally), figures(baseline)
    return {
        name: Figure(mine[name] - theirs[name], *_percentiles([one[name] for one in drawn], level), n) for name in mine
    }


def _rows(tally: Tally) -> int:
    return len(next(iter(tally.values())))


def _take(tally: Tally, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    return {name: column[rows] for name, column in tally.items()}


def _resamples(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for _ in range(resamples if n else 0):
        yield rng.integers(0, n, n)


def _percentiles(values: list[float], level: float) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
