"""What watches a training from rank 0: after each validation it gets the curves so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from foveate.progress import OnStep, Reporter, TrainingProgress


class Watcher(Protocol):
    """Is called after each validation. The time that it takes counts as training."""

    def validated(self, progress: TrainingProgress, /) -> None:
        """Look at the curves so far, of which the last row is new."""


class WatchedReporter(Reporter):
    """A reporter whose training has watchers too.

    Args:
        reporter: Receives everything.
        watchers: Called after each validation.
    """

    def __init__(self, reporter: Reporter, watchers: Sequence[Watcher]):
        self._reporter, self._watchers = reporter, watchers

    def info(self, text: str, /) -> None:
        """See `Reporter`."""
        self._reporter.info(text)

    def warning(self, text: str, /) -> None:
        """See `Reporter`."""
        self._reporter.warning(text)

    def bar(self, title: str, total: int, /) -> AbstractContextManager[Callable[[int], None]]:
        """See `Reporter`."""
        return self._reporter.bar(title, total)

    def baselines(self, values: Mapping[str, float], metric: str, /) -> None:
        """See `Reporter`."""
        self._reporter.baselines(values, metric)

    @contextmanager
    def training(
        self, per_epoch: int, metric: str, budget: float | None = None, /
    ) -> Iterator[OnStep]:
        """See `Reporter`."""
        with self._reporter.training(per_epoch, metric, budget) as shown:

            def on_step(progress: TrainingProgress, loss: float) -> None:
                shown(progress, loss)
                # Steps of an accelerator are reported several at once, but never beyond an epoch.
                if progress.rows and progress.rows[-1]["step"] == progress.step:
                    for watcher in self._watchers:
                        watcher.validated(progress)

            yield on_step
