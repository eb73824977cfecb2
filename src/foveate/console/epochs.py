"""The progress of a training run in text: a table of epochs, and what a progress bar says."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from foveate.metrics.names import display_name
from foveate.progress import TrainingProgress
from foveate.wording import percent, short_number

MAX_EPOCH_LINES = 20
"""Epochs that get a line of their own; curves.csv has them all."""
MIN_SPEED_SECONDS = 2.0
"""Seconds of training below which the time that is left is not estimated."""


class TrainingLog:
    """Follows a training run.

    A run of so many epochs is as far as its steps; a run of so many minutes as far as its time, as
    nobody knows beforehand how many steps fit into it.

    Args:
        per_epoch: Steps an epoch.
        metric: Name of the metric that the learning curves show.
        budget: Seconds of training, where time is the limit.
    """

    def __init__(self, per_epoch: int, metric: str, budget: float | None):
        self.per_epoch, self.metric, self.budget = per_epoch, metric, budget
        self._rows = 0
        self._printed: float | None = None  # seconds of training at the last line
        self._began: tuple[float, int] | None = None  # time and step of the first report

    def fraction(self, progress: TrainingProgress) -> float:
        """The share of the training that is done, from 0 to 1. It never falls."""
        if self.budget is None:
            return min(1.0, progress.step / max(1, progress.total))
        # Nothing is left for training where all that comes before it took the time.
        return min(1.0, progress.seconds / self.budget) if self.budget > 0 else 1.0

    def status(self, progress: TrainingProgress, loss: float) -> str:
        """What stands beside a bar: loss, metric, speed and, once it is known, the time left."""
        now = time.monotonic()
        self._began = self._began or (now, progress.step)
        seconds, steps = now - self._began[0], progress.step - self._began[1]
        parts, left = [f"loss {loss:.3f}"], None
        if progress.epoch_metric is not None:
            parts.append(f"{display_name(self.metric)} {progress.epoch_metric:.1%}")
        if steps and seconds > MIN_SPEED_SECONDS:
            parts.append(f"{steps / seconds:.3g} steps/s")
            left = (progress.total - progress.step) * seconds / steps
        if self.budget is not None:
            left = max(0.0, self.budget - progress.seconds)
        if left is not None:
            parts.append(f"{clock(left)} left")
        return "  ".join(parts)

    def lines(self, progress: TrainingProgress) -> Iterator[str]:
        """The lines that are due: an epoch that has just ended, and a header above the first.

        Of a long training, every n-th epoch gets a line, and the last one always.
        """
        if len(progress.rows) == self._rows:
            return
        self._rows = len(progress.rows)
        if not self._is_due(progress):
            return
        titles = self._titles(progress)
        if self._printed is None:
            yield "  ".join(titles)
        self._printed = progress.seconds
        row = progress.rows[-1]
        cells = [
            short_number(row["epoch"]),
            clock(row["seconds"]),
            f"{row['train_loss']:.4f}",
            percent(row[f"train_{self.metric}"]),
            f"{row['valid_loss']:.4f}",
            percent(row[f"valid_{self.metric}"]),
        ]
        aligned = (cell.rjust(len(title)) for cell, title in zip(cells, titles, strict=True))
        best = "  best so far" if progress.best_step == progress.step else ""
        yield "  ".join(aligned) + best

    def _is_due(self, progress: TrainingProgress) -> bool:
        if progress.step >= progress.total:
            return True
        if self.budget is None:
            epochs = progress.total / self.per_epoch
            return len(progress.rows) % math.ceil(epochs / MAX_EPOCH_LINES) == 0
        return progress.seconds - (self._printed or 0.0) >= self.budget / MAX_EPOCH_LINES

    def _titles(self, progress: TrainingProgress) -> list[str]:
        """The header, whose titles are as wide as their columns."""
        name = display_name(self.metric)
        epoch, seconds = f"epoch (of {short_number(progress.total / self.per_epoch)})", " time"
        if self.budget is not None:
            epoch, seconds = "epoch", f"time (of {clock(self.budget)})"
        losses = ("train loss", f"train {name}", "valid loss", f"valid {name}")
        return [epoch, seconds, *losses]


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, "4:05", from an hour on as "1:04:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
