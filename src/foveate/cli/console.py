"""The console: how `foveate` reports its work to a person at a terminal.

Names in what it prints come from the user's files: everything goes through `escape_controls`, so a
call of `info` or `warning` is one line, whatever the names hold.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from foveate.metrics.names import display_name
from foveate.progress import NullReporter, OnStep, TrainingProgress
from foveate.wording import escape_controls

if TYPE_CHECKING:
    from rich.console import Console

MAX_EPOCH_LINES = 20
"""Epochs that get a line of their own; curves.csv has them all."""


class ConsoleReporter(NullReporter):
    """Lines and bars, with rich. When the output is not a terminal: lines only."""

    def __init__(self, console: Console | None = None):
        from rich.console import Console

        # A name like "a[red]:dog:.png" is neither markup nor an emoji.
        self.console = console or Console(
            highlight=False, soft_wrap=True, markup=False, emoji=False
        )

    def info(self, text: str, /) -> None:
        """Print a line."""
        self.console.print(escape_controls(text))

    def warning(self, text: str, /) -> None:
        """Print a yellow line with an exclamation mark."""
        self.console.print(escape_controls(f"! {text}"), style="yellow")

    def baselines(self, values: Mapping[str, float], metric: str, /) -> None:
        """Print a metric of each baseline in one line."""
        listed = ", ".join(f"{name} {value:.1%}" for name, value in values.items())
        self.info(f"baselines, validation {display_name(metric)}: {listed}")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows of text under a header."""
        from rich.table import Table

        table = Table(*header, box=None, pad_edge=False, header_style="dim")
        for row in rows:
            table.add_row(*map(escape_controls, row))
        self.console.print(table)

    @contextmanager
    def bar(self, title: str, total: int, /) -> Iterator[Callable[[int], None]]:
        """Show a progress bar that disappears at the end."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            job = bars.add_task(escape_controls(title), total=total)
            yield lambda done: bars.update(job, completed=done)

    @contextmanager
    def training(self, per_epoch: int, metric: str, /) -> Iterator[OnStep]:
        """Show a bar with loss, metric and speed, and print at most MAX_EPOCH_LINES epochs."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("training"),
            BarColumn(),
            TextColumn(
                "{task.percentage:>3.0f}%  loss {task.fields[loss]:.3f}  {task.fields[metric]}"
            ),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        printed = 0
        began: tuple[float, int] | None = None
        with Progress(*columns, console=self.console, transient=True) as bars:
            job = bars.add_task("", total=None, loss=float("nan"), metric="", speed="")

            def on_step(progress: TrainingProgress, loss: float) -> None:
                nonlocal printed, began
                began = began or (time.monotonic(), progress.step)
                seconds = time.monotonic() - began[0]
                speed = (progress.step - began[1]) / seconds if seconds > 0 else 0.0
                value = progress.epoch_metric
                bars.update(
                    job,
                    completed=progress.step,
                    total=progress.total,
                    loss=loss,
                    metric="" if value is None else f"{display_name(metric)} {value:.1%}",
                    speed=f"{speed:.1f} steps/s",
                )
                epochs = progress.total / per_epoch
                every = math.ceil(epochs / MAX_EPOCH_LINES)
                due = len(progress.rows) % every == 0 or progress.step >= progress.total
                if len(progress.rows) > printed and due:
                    self.info(_epoch_line(progress, epochs, metric))
                printed = len(progress.rows)

            yield on_step


def _epoch_line(progress: TrainingProgress, epochs: float, metric: str) -> str:
    row = progress.rows[-1]
    best = "  ← best" if progress.best_step == progress.step else ""
    return (
        f"epoch {row['epoch']:>5.4g} of {epochs:.4g}  "
        f"train {row['train_loss']:.4f} {row[f'train_{metric}']:6.1%}  "
        f"valid {row['valid_loss']:.4f} {row[f'valid_{metric}']:6.1%}  {row['seconds']:.0f} s{best}"
    )
