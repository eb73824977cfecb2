"""The seconds that each step of a run takes."""

from __future__ import annotations

import time


class Clock:
    """Measures one step after the other.

    Attributes:
        began: time.monotonic() when it was made.
        seconds: Seconds of each step by its name.
    """

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 2)
        self._last = now
