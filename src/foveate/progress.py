"""How foveate reports its work: everything that takes time takes a `Reporter`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class TrainingProgress(Protocol):
    """How far a training run has come: what a progress bar needs to know."""

    @property
    def step(self) -> int:
        """Steps that are done."""

    @property
    def total(self) -> int:
        """Steps in all, as far as it is known."""

    @property
    def seconds(self) -> float:
        """Seconds of training, validation included."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The learning curves so far, one row an epoch."""

    @property
    def best_step(self) -> int:
        """The step with the best weights; -1 before the first validation."""

    @property
    def epoch_metric(self) -> float | None:
        """Mean training metric of the epoch that is under way, from 0 to 1."""


OnStep = Callable[[TrainingProgress, float], None]
"""Called after each training step with the progress and the loss of that step."""


class Reporter(Protocol):
    """What foveate calls while it works. `NullReporter` ignores it; `console` prints it."""

    def info(self, text: str, /) -> None:
        """Report a line of information."""

    def warning(self, text: str, /) -> None:
        """Report something that the user should know."""

    def baselines(self, values: Mapping[str, float], metric: str, /) -> None:
        """Report a metric of each baseline on the validation split."""

    def bar(self, title: str, total: int, /) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar; call what it returns with the number of items that are done."""
        ...

    def training(
        self, per_epoch: int, metric: str, budget: float | None = None, /
    ) -> AbstractContextManager[OnStep]:
        """Open the progress of a training run; call what it returns after each step.

        Args:
            per_epoch: Steps an epoch.
            metric: Name of the metric that the learning curves show.
            budget: Seconds of training, where time is the limit.
        """
        ...


class NullReporter(Reporter):
    """Reports nothing: the default, and the base of reporters that report some of it."""

    def info(self, _text: str, /) -> None:
        """Ignore a line of information."""

    def warning(self, _text: str, /) -> None:
        """Ignore a warning."""

    def baselines(self, _values: Mapping[str, float], _metric: str, /) -> None:
        """Ignore the baselines."""

    @contextmanager
    def bar(self, _title: str, _total: int, /) -> Iterator[Callable[[int], None]]:
        """Show no bar."""
        yield lambda done: None

    @contextmanager
    def training(
        self, _per_epoch: int, _metric: str, _budget: float | None = None, /
    ) -> Iterator[OnStep]:
        """Show no progress."""
        yield lambda progress, loss: None
