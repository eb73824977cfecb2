"""Where things lie on the page, from the figures in its panels: bars, close-ups, cells and bars in tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foveate.report.panels import Bar, Matrix

LARGEST_MATRIX = 25
"""Classes; above that the page names the most frequent confusions instead."""
NEAR = 0.15
"""How far from the model's value, as a share of the scale, another one may lie to be in the close-up."""


@dataclass(frozen=True)
class Scale:
    """A stretch of a line. at: where a value lies on it, in percent, held within its ends; ticks: round values on it."""

    low: float
    high: float
    ticks: Sequence[float] = ()

    def at(self, value: float | None) -> float:
        if value is None or math.isnan(value):
            return 0.0
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)


def known(value: float | None) -> bool:
    """Whether it is a finite number."""
    return value is not None and math.isfinite(value)


def full_scale(bars: Sequence[Bar]) -> Scale:
    """From 0 to 1, or to the largest where one is larger, so that no bar lies about its length."""
    return Scale(
        0.0, max([1.0, *(end for bar in bars for end in (bar.value, bar.high) if known(end))])
    )


def close_up(bars: Sequence[Bar]) -> tuple[Scale, list[Bar]] | None:
    """The scale on which the model and those near it can be told apart, and who they are; None where nobody is near."""
    whole = full_scale(bars).high
    models = [bar for bar in bars if bar.model and known(bar.value)]
    near = [
        bar
        for bar in bars
        if known(bar.value)
        and any(abs(bar.value - model.value) <= NEAR * whole for model in models)
    ]
    if not models or len(near) <= len(models):
        return None
    ends = [end for bar in near for end in (bar.value, bar.low, bar.high) if known(end)]
    span = max(ends) - min(ends)
    if not 0 < span <= 0.4 * whole:
        return None
    step = _round_step(span / 3)
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    ticks = [low + step * i for i in range(round((high - low) / step) + 1)]
    return Scale(low, high, ticks), near


def _round_step(about: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= about * 0.999)


def tick(value: float, scale: Scale) -> str:
    """A tick's words: a percentage where the scale ends at 1 or below."""
    return f"{100 * value:.4g}%" if scale.high <= 1 + 1e-9 else f"{value:.4g}"


def as_number(text: str) -> str:
    """A figure's text, or a dash where it is no number."""
    return "–" if re.fullmatch(r"[-+]?(nan|inf|infinity)\s*%?", text.strip(), re.I) else text


def share(text: str) -> float | None:
    """The percentage that a cell tells, from 0 to 100; None for any other text."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s?%", text.strip())
    return float(match[1]) if match and float(match[1]) <= 100 else None


@dataclass(frozen=True)
class Cell:
    """One cell of a matrix. heat: from 0 to 100; right: on the diagonal; share: of its row, from 0 to 1."""

    count: int
    share: float
    heat: float
    right: bool
    prediction: str


def cells(matrix: Matrix) -> list[tuple[str, int, list[Cell]]]:
    """For each class its name, its number of pictures and its cells. Mistakes are shaded by the square root of their
    share, from a quarter on, since the rare ones are what one looks for.
    """
    rows = []
    for target, (name, counts) in enumerate(zip(matrix.labels, matrix.counts, strict=True)):
        total = int(counts.sum())
        shares = [int(count) / total if total else 0.0 for count in counts]
        rows.append(
            (
                name,
                total,
                [
                    Cell(
                        int(count),
                        part,
                        round(100 * part if target == prediction else 25 + 75 * part**0.5, 1),
                        target == prediction,
                        label,
                    )
                    for prediction, (count, part, label) in enumerate(
                        zip(counts, shares, matrix.labels, strict=True)
                    )
                ],
            )
        )
    return rows


@dataclass(frozen=True)
class Confusion:
    """One class taken for another, count times of its total pictures."""

    target: str
    prediction: str
    count: int
    total: int


def confusions(matrix: Matrix, most: int = 20) -> tuple[list[Confusion], int]:
    """The most frequent confusions, and how many pairs of classes are confused in all."""
    wrong = np.asarray(matrix.counts).copy()
    np.fill_diagonal(wrong, 0)
    totals = np.asarray(matrix.counts).sum(1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [
        Confusion(
            matrix.labels[row], matrix.labels[column], int(wrong[row, column]), int(totals[row])
        )
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    return pairs, int(np.count_nonzero(wrong))
