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

    Args:
        rows: Mappings with valid_loss and valid_METRIC.
        kept_by: The column that decides: LOSS, or a metric, of which more is better. Among equal
            metrics the lowest loss decides, and among equal rows the first.

    Returns:
        Its index; None if no loss is a finite number.
    """

    def order(number: int) -> tuple[float, float]:
        value = 0.0 if kept_by == LOSS else rows[number][kept_by]
        return (-value if math.isfinite(value) else math.inf), rows[number]["valid_loss"]

    finite = (number for number, row in enumerate(rows) if math.isfinite(row["valid_loss"]))
    return min(finite, key=order, default=None)


def criterion(kept_by: str) -> str:
    """What the kept weights have: "lowest validation loss" or "highest validation mAP50"."""
    if kept_by == LOSS:
        return "lowest validation loss"
    return f"highest validation {display_name(kept_by.removeprefix('valid_'))}"
