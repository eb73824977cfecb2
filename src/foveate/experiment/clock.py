"""The seconds that each step of a run takes."""

from __future__ import annotations

import time


class Clock:
    """Measures one step after the other.

    Args:
        began: time.monotonic() at which the first step begins; by default, now.

    Attributes:
        began: time.monotonic() at which the first step began.
        seconds: Seconds of each step by its name.
    """

    def __init__(self, began: float | None = None) -> None:
        self.began = self._last = time.monotonic() if began is None else began
        self.seconds: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 2)
        self._last = now
