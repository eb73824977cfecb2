"""Progress of a run from 0 to 1 as a function of the step; the learning rate schedule follows it.

In a run of so many epochs, progress is a straight line. A run of so many minutes learns on the way
how many steps fit: whenever the estimate changes, the rest of the line is drawn again from the step
that is reached. All segments are recorded. So a checkpoint resumes exactly and a finished run can
be repeated to the bit, which a schedule that reads the clock could not.
"""

from __future__ import annotations

from collections.abc import Sequence

Segments = list[tuple[int, float, int]]
"""(step, progress, total): a straight line from this step and progress to 1 at step `total`. It
holds up to the step of the next segment. Each keeps its numbers, so progress at steps that are done
is the same to the last bit after later segments are added; a line through the corners would not."""

UNKNOWN_TOTAL = 10**9
_FIRST_CHECK, _CHECK_EVERY = 1.0, 2.0  # seconds
_MIN_STEPS = 4  # between two checks
_TOLERANCE = 0.03  # of the remaining steps: a smaller change is noise


def straight(total: int) -> Segments:
    """One line from 0 to 1 in `total` steps."""
    return [(0, 0.0, total)]


def unknown() -> Segments:
    """The line before anything is measured: so flat that no progress is used up until then."""
    return straight(UNKNOWN_TOTAL)


def progress_at(segments: Sequence[tuple[int, float, int]], step: int) -> float:
    """Progress in the middle of a step, between 0 and 1, both excluded."""
    return _on_line(segments, step + 0.5)


def _on_line(segments: Sequence[tuple[int, float, int]], steps: float) -> float:
    first, done, total = next(segment for segment in reversed(segments) if segment[0] <= steps)
    return done + (1 - done) * (steps - first) / (total - first)


class TimeBudget:
    """Fits the number of steps to a number of seconds while the run goes on.

    Args:
        budget: Seconds of training in all, counted from step 0.
        step: The step at which measuring begins.
        seconds: Seconds of training up to that step.
    """

    def __init__(self, budget: float, step: int, seconds: float):
        self.budget, self.seconds_per_step = budget, 0.0
        self.first, self.last = (step, seconds), (step, seconds)

    def update(self, segments: Segments, step: int, seconds: float, ahead: int = 0) -> Segments:
        """The segments after `step` steps in `seconds`: another one if the end would move by 3%.

        Args:
            segments: Those so far.
            step: Steps that are done.
            seconds: Seconds of training up to now.
            ahead: Batches after these steps that may be prepared already: their progress stays.
        """
        steps, elapsed = step - self.last[0], seconds - self.last[1]
        first_check = self.last == self.first
        if elapsed < (_FIRST_CHECK if first_check else _CHECK_EVERY) or steps < _MIN_STEPS:
            if seconds < self.budget:
                return segments
            steps = max(steps, 1)
        measured = elapsed / steps
        # The first steps are slow (memory, choice of kernels), later ones include validation.
        self.seconds_per_step = (
            measured if first_check else 0.7 * self.seconds_per_step + 0.3 * measured
        )
        self.last = (step, seconds)
        left = max(0, int((self.budget - seconds) / self.seconds_per_step))
        total = segments[-1][2]
        if abs(step + left - total) <= _TOLERANCE * max(1, total - step):
            return segments
        first = step + ahead
        if ahead and first >= total:
            return segments
        return [*segments, (first, _on_line(segments, first), max(first, step + left))]
