"""Positions, shades and texts on the page, computed from the values in its panels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foveate.report.panels import Bar, ConfusionMatrix

MAX_MATRIX_CLASSES = 25
"""With more classes the page lists the most frequent confusions instead of the matrix."""
CLOSE_UP_RADIUS = 0.15
"""The largest distance from the model's value, as a share of the scale, within a close-up."""
MAX_CLOSE_UP_SPAN = 0.4
"""The largest share of the scale that a close-up may cover; beyond it, it would show no more."""
MAX_CONFUSIONS = 20


@dataclass(frozen=True)
class Scale:
    """A linear scale from `low` to `high`, with round values as ticks."""

    low: float
    high: float
    ticks: Sequence[float] = ()

    def percent(self, value: float | None) -> float:
        """The position of a value in percent, clipped to the scale; 0 for a missing value."""
        if value is None or math.isnan(value):
            return 0.0
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)


def is_finite(value: float | None) -> bool:
    """Whether a value is a finite number."""
    return value is not None and math.isfinite(value)


def full_scale(bars: Sequence[Bar]) -> Scale:
    """The scale from 0 to 1, or to the largest value or interval end if that is above 1."""
    ends = (end for bar in bars for end in (bar.value, bar.high) if is_finite(end))
    return Scale(0.0, max([1.0, *ends]))


def close_up(bars: Sequence[Bar]) -> tuple[Scale, list[Bar]] | None:
    """Find a scale that tells the highlighted bars from those near them.

    What they are compared with is on it, however far away.

    Returns:
        The scale and the bars on it, or None if no other bar is near or a close-up would not help.
    """
    whole = full_scale(bars).high
    models = [bar for bar in bars if bar.highlighted and is_finite(bar.value)]
    near = [
        bar
        for bar in bars
        if is_finite(bar.value)
        and any(abs(bar.value - model.value) <= CLOSE_UP_RADIUS * whole for model in models)
    ]
    if not models or len(near) <= len(models):
        return None
    near = [bar for bar in bars if bar in near or (bar.compared and is_finite(bar.value))]
    ends = [end for bar in near for end in (bar.value, bar.low, bar.high) if is_finite(end)]
    span = max(ends) - min(ends)
    if not 0 < span <= MAX_CLOSE_UP_SPAN * whole:
        return None
    step = _round_step(span / 3)
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    ticks = [low + step * i for i in range(round((high - low) / step) + 1)]
    return Scale(low, high, ticks), near


def _round_step(at_least: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= at_least * 0.999)


def tick_label(value: float, scale: Scale) -> str:
    """The text of a tick: a percentage if the scale ends at 1 or below."""
    return f"{100 * value:.4g}%" if scale.high <= 1 + 1e-9 else f"{value:.4g}"


def dash_if_not_finite(text: str) -> str:
    """Replace the text of NaN or infinity by a dash."""
    return "–" if re.fullmatch(r"[-+]?(nan|inf|infinity)\s*%?", text.strip(), re.I) else text


def compact_number(number: int) -> str:
    """Write a count in at most five characters: 9,999 as it is, then 12.3k, 456k and 7.9M."""
    if number < 10_000:
        return f"{number}"
    for unit, suffix in ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")):
        if number < 999.5 * unit or suffix == "T":
            break
    return f"{number / unit:.3g}{suffix}"


def parse_percent(text: str) -> float | None:
    """The percentage that a table cell holds, from 0 to 100; None for any other text."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s?%", text.strip())
    return float(match[1]) if match and float(match[1]) <= 100 else None


@dataclass(frozen=True)
class MatrixCell:
    """One cell of a confusion matrix.

    Attributes:
        count: The number of targets of the row's class that are predicted as the column's class.
        share: The same as a share of the row, from 0 to 1.
        shade: The strength of the cell's colour, from 0 to 100.
        correct: Whether the cell lies on the diagonal.
        prediction: The name of the column's class.
        key: The indices of both classes, as "3-1".
    """

    count: int
    share: float
    shade: float
    correct: bool
    prediction: str
    key: str


@dataclass(frozen=True)
class MatrixRow:
    """One row of a confusion matrix: a target class, its total count and its cells."""

    target: str
    total: int
    cells: Sequence[MatrixCell]


def matrix_rows(matrix: ConfusionMatrix) -> list[MatrixRow]:
    """Compute the rows of a confusion matrix with the shade of each cell.

    A mistake is shaded by the square root of its share, from a quarter on, so that rare mistakes
    stand out.
    """
    rows = []
    for target, (name, counts) in enumerate(zip(matrix.labels, matrix.counts, strict=True)):
        total = int(counts.sum())
        cells = []
        for prediction, (number, label) in enumerate(zip(counts, matrix.labels, strict=True)):
            share = int(number) / total if total else 0.0
            correct = target == prediction
            shade = round(100 * share if correct else 25 + 75 * share**0.5, 1)
            key = _cell_key(matrix, target, prediction)
            cells.append(MatrixCell(int(number), share, shade, correct, label, key))
        rows.append(MatrixRow(name, total, cells))
    return rows


def _cell_key(matrix: ConfusionMatrix, row: int, column: int) -> str:
    indices = matrix.indices or range(len(matrix.labels))
    return f"{indices[row]}-{indices[column]}"


@dataclass(frozen=True)
class Confusion:
    """A pair of classes that are confused: `count` of the target class's `total`."""

    target: str
    prediction: str
    count: int
    total: int
    key: str


def top_confusions(
    matrix: ConfusionMatrix, max_pairs: int = MAX_CONFUSIONS
) -> tuple[list[Confusion], int]:
    """The most frequent confusions, and the number of all confused pairs of classes."""
    wrong = np.asarray(matrix.counts).copy()
    np.fill_diagonal(wrong, 0)
    totals = np.asarray(matrix.counts).sum(1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:max_pairs]
    pairs = [
        Confusion(
            matrix.labels[row],
            matrix.labels[column],
            int(wrong[row, column]),
            int(totals[row]),
            _cell_key(matrix, row, column),
        )
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    return pairs, int(np.count_nonzero(wrong))
