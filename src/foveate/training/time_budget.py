"""How far a run is at which step: the progress that a schedule is a function of.

A run of so many epochs goes from 0 to 1 in a straight line. A run of so many minutes learns on the way how many steps fit,
and each time it knows better, the rest of the line is drawn anew from where it is. The corners are kept: with them a
checkpoint goes on exactly, and a finished run can be repeated to the bit, which a schedule that read the clock could not.
"""

from __future__ import annotations

from collections.abc import Sequence

Segments = list[tuple[int, float, int]]
"""(step, progress, total): from this step and progress on in a straight line, so as to be done after `total` steps, up to the
next corner's step. So what was passed is computed from the same numbers ever after: a line through the corners alone would
come out otherwise in the last bit once another corner lies on it."""

FIRST_CHECK, BETWEEN_CHECKS = 1.0, 2.0  # seconds
_LEAST_STEPS = 4
_TOLERANCE = 0.03  # of the remaining steps: less is noise, and not worth a corner


def straight(total: int) -> Segments:
    """From nothing to all in `total` steps."""
    return [(0, 0.0, total)]


def unknown() -> Segments:
    """Before anything was measured: so slow that nothing is used up until the first check."""
    return straight(10**9)


def progress(corners: Sequence[tuple[int, float, int]], step: int) -> float:
    """The progress in the middle of a step, in (0, 1)."""
    return _on_line(corners, step + 0.5)


def _on_line(corners: Sequence[tuple[int, float, int]], steps: float) -> float:
    first, done, total = next(corner for corner in reversed(corners) if corner[0] <= steps)
    return done + (1 - done) * (steps - first) / (total - first)


class TimeBudget:
    """Corrects the corners while a run of so many seconds goes on.

    budget: seconds of training in all, from step 0
    """

    def __init__(self, budget: float, step: int, seconds: float):
        self.budget, self.seconds_a_step = budget, 0.0
        self.first, self.last = (step, seconds), (step, seconds)

    def corrected(self, corners: Segments, step: int, seconds: float) -> Segments:
        """The corners after `step` steps in `seconds`, changed where the end would be missed by more than 3%."""
        since, waited = step - self.last[0], seconds - self.last[1]
        early = self.last == self.first
        if waited < (FIRST_CHECK if early else BETWEEN_CHECKS) or since < _LEAST_STEPS:
            if seconds < self.budget:
                return corners
            since = max(since, 1)
        measured = waited / since
        # The first steps are slow (memory is taken, kernels are chosen); later ones, and validation, come on top.
        self.seconds_a_step = measured if early else 0.7 * self.seconds_a_step + 0.3 * measured
        self.last = (step, seconds)
        left = max(0, int((self.budget - seconds) / self.seconds_a_step))
        total = corners[-1][2]
        if abs(step + left - total) <= _TOLERANCE * max(1, total - step):
            return corners
        return [*corners, (step, _on_line(corners, step), step + left)]
