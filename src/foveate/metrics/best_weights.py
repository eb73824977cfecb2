"""Which validation of a run has the best weights: that of the lowest loss or the highest metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from foveate.metrics.names import display_name

LOSS = "valid_loss"
"""The column of the learning curves that decides, unless a task names its metric."""


def best_row(rows: Sequence[Mapping[str, Any]], kept_by: str = LOSS) -> int | None:
    """The row of the learning curves whose weights are kept.

    Fine-tuning that begins with a linear probe is measured before its first step too. The kept
    weights then have at least the metric of that start: a loss can fall while more images are
    wrong, as a probe is fitted for its labels and not for its confidence.

    Args:
        rows: Mappings with step, valid_loss and valid_METRIC.
        kept_by: The column that decides: LOSS, or a metric, of which more is better. Among equal
            metrics the lowest loss decides, and among equal rows the first.

    Returns:
        Its index; None if no loss is a finite number.
    """
    least = start_metric(rows)

    def order(number: int) -> tuple[bool, float, float]:
        row = rows[number]
        value = 0.0 if kept_by == LOSS else row[kept_by]
        below = least is not None and row[metric_column(row)] < least
        return below, (-value if math.isfinite(value) else math.inf), row["valid_loss"]

    finite = (number for number, row in enumerate(rows) if math.isfinite(row["valid_loss"]))
    return min(finite, key=order, default=None)


def start_metric(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The validation metric before the first step, if it was measured."""
    return rows[0][metric_column(rows[0])] if rows and rows[0].get("step") == 0 else None


def metric_column(row: Mapping[str, Any]) -> str:
    """The column of a row with the metric of the validation split."""
    return next(name for name in row if name.startswith("valid_") and name != LOSS)


def criterion(kept_by: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """What the kept weights have: "lowest validation loss" or "highest validation mAP50".

    Args:
        kept_by: See `best_row`.
        rows: The learning curves.
    """
    if kept_by != LOSS:
        return f"highest validation {display_name(kept_by.removeprefix('valid_'))}"
    best = best_row(rows)
    if best is None or all(not row[LOSS] < rows[best][LOSS] for row in rows):
        return "lowest validation loss"
    name = display_name(metric_column(rows[best]).removeprefix("valid_"))
    return f"lowest validation loss among those whose {name} is no lower than before training"
