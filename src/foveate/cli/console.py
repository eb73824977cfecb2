"""What a person sees while foveate works. Everything that works takes a `Watch`; the silent one is the default."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from foveate.metrics.names import written

if TYPE_CHECKING:
    from rich.console import Console

LINES = 20
"""Epochs that are told in a line of their own, at most; curves.csv has them all."""

Tick = Callable[[Any, Mapping[str, float]], None]


class Reporter:
    """Says nothing. The base of whoever does."""

    def info(self, text: str) -> None:
        """A line of information."""

    def warning(self, text: str) -> None:
        """Something that the user should know of."""

    def baselines(self, metrics: Mapping[str, float], name: str) -> None:
        """The baselines' figures on the validation part."""

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows of text under a header."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar; call it with how many are done."""
        del title, total
        yield lambda done: None

    @contextmanager
    def training(self, per_epoch: int, metric: str) -> Iterator[Tick]:
        """The progress of training; call it after each step."""
        del per_epoch, metric
        yield lambda progress, live: None


NullReporter = Reporter


class ConsoleReporter(Reporter):
    """Lines and bars with rich. Where the output is no terminal, only the lines."""

    def __init__(self, console: Console | None = None):
        from rich.console import Console

        self.console = console or Console(highlight=False, soft_wrap=True)

    def info(self, text: str) -> None:
        self.console.print(text, markup=False)

    def warning(self, text: str) -> None:
        self.console.print(f"! {text}", style="yellow", markup=False)

    def baselines(self, metrics: Mapping[str, float], name: str) -> None:
        told = ", ".join(f"{who} {value:.1%}" for who, value in metrics.items())
        self.console.print(f"baselines, validation {written(name)}: {told}", markup=False)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table

        table = Table(*header, box=None, pad_edge=False, header_style="dim")
        for row in rows:
            table.add_row(*row)
        self.console.print(table, markup=False)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            job = progress.add_task(title, total=total)
            yield lambda done: progress.update(job, completed=done)

    @contextmanager
    def training(self, per_epoch: int, metric: str) -> Iterator[Tick]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("training"),
            BarColumn(),
            TextColumn(
                "{task.percentage:>3.0f}%  loss {task.fields[loss]:.3f}  {task.fields[figure]}"
            ),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        shown = 0
        first: tuple[float, int] | None = None
        with Progress(*columns, console=self.console, transient=True) as bars:
            job = bars.add_task("", total=None, loss=float("nan"), figure="", speed="")

            def tick(progress: Any, live: Mapping[str, float]) -> None:
                nonlocal shown, first
                first = first or (time.monotonic(), progress.step)
                seconds = time.monotonic() - first[0]
                speed = (progress.step - first[1]) / seconds if seconds > 0 else 0.0
                mean = progress.figure_sum / progress.batches if progress.batches else None
                bars.update(
                    job,
                    completed=progress.step,
                    total=progress.total,
                    loss=live["loss"],
                    figure=f"{written(metric)} {mean:.1%}" if mean is not None else "",
                    speed=f"{speed:.1f} steps/s",
                )
                epochs = progress.total / per_epoch
                told = (
                    len(progress.rows) % math.ceil(epochs / LINES) == 0
                    or progress.step >= progress.total
                )
                if len(progress.rows) > shown and told:
                    row = progress.rows[-1]
                    best = "  ← best" if progress.best_step == progress.step else ""
                    self.console.print(
                        f"epoch {row['epoch']:>5.4g} of {epochs:.4g}  train {row['train_loss']:.4f} "
                        f"{row[f'train_{metric}']:6.1%}  valid {row['valid_loss']:.4f} {row[f'valid_{metric}']:6.1%}  "
                        f"{row['seconds']:.0f} s{best}",
                        markup=False,
                    )
                shown = len(progress.rows)

            yield tick
