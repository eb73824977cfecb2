"""Lines and bars below a cell of a notebook, without widgets."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from foveate.console.epochs import TrainingLog
from foveate.console.terminal import baselines_line
from foveate.progress import NullReporter, OnStep, TrainingProgress
from foveate.wording import escape_controls

_SECONDS = 0.2  # between two changes of a bar: each is a message to the browser


class NotebookReporter(NullReporter):
    """Prints lines, and shows a bar as HTML that is removed at the end."""

    def info(self, text: str, /) -> None:
        """Print a line."""
        print(escape_controls(text), flush=True)

    def warning(self, text: str, /) -> None:
        """Print a line with an exclamation mark."""
        self.info(f"! {text}")

    def baselines(self, values: Mapping[str, float], metric: str, /) -> None:
        """Print a metric of each baseline in one line."""
        self.info(baselines_line(values, metric))

    @contextmanager
    def bar(self, title: str, total: int, /) -> Iterator[Callable[[int], None]]:
        """Show a progress bar that disappears at the end."""
        with _shown() as show:
            yield lambda done: show(done / max(1, total), f"{title}  {done:,} of {total:,}")

    @contextmanager
    def training(
        self, per_epoch: int, metric: str, budget: float | None = None, /
    ) -> Iterator[OnStep]:
        """Print a table of epochs below a header, and show a bar with loss, metric and speed."""
        log = TrainingLog(per_epoch, metric, budget)
        with _shown() as show:

            def on_step(progress: TrainingProgress, loss: float) -> None:
                show(log.fraction(progress), f"training  {log.status(progress, loss)}")
                for line in log.lines(progress):
                    self.info(line)

            yield on_step


@contextmanager
def _shown() -> Iterator[Callable[[float, str], None]]:
    """An output below the cell; what is given takes a share from 0 to 1 and a text."""
    from IPython import display as notebook

    display: Any = notebook.display
    empty = {"text/html": "", "text/plain": ""}
    handle = display(empty, raw=True, display_id=True)
    last = 0.0

    def show(share: float, text: str) -> None:
        nonlocal last
        if handle is not None and time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            text = escape_controls(text)
            bar = f'<progress max="1" value="{share:.4f}"></progress> {html.escape(text)}'
            handle.update({"text/html": bar, "text/plain": text}, raw=True)

    try:
        yield show
    finally:
        if handle is not None:
            handle.update(empty, raw=True)
