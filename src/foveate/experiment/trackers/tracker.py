"""What each tracker does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path


class Tracker(ABC):
    """One run of a tracker. Whatever goes wrong is raised; `Tracked` catches it.

    Attributes:
        record: What finds this run again, for `tracker.json`.
        where: Where a person looks at it.
    """

    record: Mapping[str, str]
    where: str

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log finite numbers.

        Args:
            step: Steps of training so far.
            values: Name -> value.
        """

    @abstractmethod
    def finish(self, files: Sequence[Path]) -> None:
        """Keep these files, and end the run."""

    @abstractmethod
    def stop(self) -> None:
        """Close the run, which may go on later."""
