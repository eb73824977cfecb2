"""Lines and bars in a terminal; where the output is a file, lines alone.

Names in what is printed come from the user's files: everything goes through `escape_controls`, so a
call of `info` or `warning` is one line, whatever the names hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from foveate.console.epochs import TrainingLog
from foveate.metrics.names import display_name
from foveate.progress import NullReporter, OnStep, TrainingProgress
from foveate.wording import escape_controls, percent

if TYPE_CHECKING:
    from rich.console import Console


class TerminalReporter(NullReporter):
    """Reports with rich.

    Args:
        console: Where; by default stdout.
    """

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
        self.info(baselines_line(values, metric))

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
    def training(
        self, per_epoch: int, metric: str, budget: float | None = None, /
    ) -> Iterator[OnStep]:
        """Print a table of epochs below a header, and show a bar with loss, metric and speed."""
        from rich.progress import BarColumn, Progress, TextColumn

        log = TrainingLog(per_epoch, metric, budget)
        columns = (
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[status]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            job = bars.add_task("", total=1.0, status="")

            def on_step(progress: TrainingProgress, loss: float) -> None:
                bars.update(
                    job, completed=log.fraction(progress), status=log.status(progress, loss)
                )
                for line in log.lines(progress):
                    self.info(line)

            yield on_step


def baselines_line(values: Mapping[str, float], metric: str) -> str:
    """A metric of each baseline in one line."""
    listed = ", ".join(f"{name} {percent(value)}" for name, value in values.items())
    return f"baselines, validation {display_name(metric)}: {listed}"
