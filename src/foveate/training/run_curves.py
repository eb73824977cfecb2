"""The learning curves of a run as the curve doctor reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from foveate.metrics.best_weights import best_row
from foveate.training.curves import CurveRow

MIN_ROWS = 4
"""Validations from which curves can be read."""
GAP, CLEAR_GAP = 0.08, 0.05
"""Points of the metric by which the train images are ahead where a model overfits, and those that
remain when two standard errors are taken off."""
MISFIT = 0.20
"""Points of the metric that are missing on the train images where a model underfits."""
FEW_EPOCHS = 10
"""Epochs below which a run may just have been short."""


@dataclass(frozen=True)
class RunCurves:
    """Losses above their floor and metrics from 0 to 1, one value for each validation.

    Attributes:
        metric: Name of the metric.
        epochs: At which validations were made, the first after training began.
        lr: The highest learning rate.
        floor: The lowest possible loss.
        train: Training loss.
        valid: Validation loss; infinite where it is not a number.
        train_metric: The metric on augmented train images.
        valid_metric: The metric on validation images.
        fitted: The metric of the kept weights on train images.
        kept: Their metric on validation images.
        best_loss: Their validation loss.
        margin: Two standard errors of `kept`; 0 if the number of images is not known.
        untrained: Whether they are those that training began with.
        last: Whether they are those that training ended with.
        perfect: Whether a model that fits its train images reaches 1.
    """

    metric: str
    epochs: list[float]
    lr: float
    floor: float
    train: list[float]
    valid: list[float]
    train_metric: list[float]
    valid_metric: list[float]
    fitted: float
    kept: float
    best_loss: float
    margin: float
    untrained: bool
    last: bool
    perfect: bool

    @classmethod
    def of(
        cls,
        rows: Sequence[CurveRow],
        metric: str,
        floor: float,
        fitted: float | None,
        valid_images: int | None,
        perfect: bool,
        kept_by: str,
    ) -> Self:
        """Read the rows of curves.csv; see `doctor.diagnose`."""
        best = rows[best_row(rows, kept_by) or 0]
        kept = best[f"valid_{metric}"]
        kept = min(max(kept, 0.0), 1.0) if math.isfinite(kept) else 0.0
        # The variance of values from 0 to 1 is at most that of as many zeros and ones of the same
        # mean (Bhatia and Davis, 2000), so this holds for every metric that is a mean over images.
        margin = 2 * math.sqrt(kept * (1 - kept) / valid_images) if valid_images else 0.0
        untrained, last = best is rows[0] and best["step"] == 0, best is rows[-1]
        rows = [row for row in rows if row["step"] > 0]  # before it stands what training began with
        train_metric = _filled([row[f"train_{metric}"] for row in rows])
        return cls(
            metric,
            [row["epoch"] for row in rows],
            max(row["lr"] for row in rows),
            floor,
            [row["train_loss"] - floor for row in rows],
            [_or_infinite(row["valid_loss"] - floor) for row in rows],
            train_metric,
            _filled([row[f"valid_{metric}"] for row in rows]),
            end_of(train_metric) if fitted is None else fitted,
            kept,
            _or_infinite(best["valid_loss"] - floor),
            margin,
            untrained,
            last,
            perfect,
        )

    def shown(self, loss: float) -> str:
        """A loss above the floor as the table of the curves shows it."""
        return f"{loss + self.floor:.4g}" if self.floor else f"{loss:.3g}"

    @property
    def clear_gap(self) -> bool:
        """Whether the kept weights are clearly better on the train images."""
        return self.is_clear(self.fitted - self.kept)

    def is_clear(self, gap: float) -> bool:
        """Whether a gap is large, and larger than the choice of validation images explains."""
        return gap > GAP and gap - self.margin > CLEAR_GAP

    @property
    def best(self) -> int:
        """The row with the lowest validation loss."""
        return self.valid.index(min(self.valid))

    @property
    def half(self) -> int:
        """The row in the middle of the run."""
        return (len(self.valid) - 1) // 2


def end_of(values: Sequence[float]) -> float:
    """The mean over the last eighth of a run, since single values are noisy."""
    last = values[-max(1, len(values) // 8) :]
    return sum(last) / len(last)


def _or_infinite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def _filled(values: Sequence[float]) -> list[float]:
    """Values without those that are not numbers: each is the one before, and the first is 0."""
    filled: list[float] = []
    for value in values:
        filled.append(value if math.isfinite(value) else filled[-1] if filled else 0.0)
    return filled
