"""Progress of a run from 0 to 1 as a function of the step; the learning rate schedule follows it.

In a run of so many epochs, progress is a straight line. A run of so many minutes learns on the way
how many steps fit: whenever the estimate changes, the rest of the line is drawn again from the step
that is reached. All segments are recorded. So a checkpoint resumes exactly and a finished run can
be repeated to the bit, which a schedule that reads the clock could not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

Segments = list[tuple[int, float, int]]
"""(step, progress, total): a straight line from this step and progress to 1 at step `total`. It
holds up to the step of the next segment. Each keeps its numbers, so progress at steps that are done
is the same to the last bit after later segments are added; a line through the corners would not."""

UNKNOWN_TOTAL = 10**9
MIN_VALIDATIONS = 6
"""Validations of each run, however few epochs it has."""
MIN_TRAINING = 0.15
"""Share of a time budget that is spent on training, however long all else takes: it was said before
that the budget is too short, and a net that has learnt nothing is of no use."""
MIN_STEPS = 1 / 3
"""Share of the seconds of training that is spent on steps, however long validations take."""
_FIRST_CHECK, _CHECK_EVERY = 1.0, 2.0  # seconds
_MIN_STEPS = 4  # between two checks
_LONG_CHECK = 0.05  # of the budget: after so long, fewer steps suffice
_RECENT = 5  # validations, of which the mean shows how busy the machine is
_FASTEST, _SLOWEST = 0.5, 4.0  # of the expected time: beyond that, it was not the machine
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
    if total <= first:  # a run that ends where its last segment begins
        return 1.0
    return done + (1 - done) * (steps - first) / (total - first)


def validation_due(
    segments: Sequence[tuple[int, float, int]], step: int, per_epoch: int, validations: int
) -> bool:
    """Whether the net is validated after so many steps, before the last one.

    That is at the end of each epoch. A run of fewer than MIN_VALIDATIONS epochs is validated in
    equal shares of its progress instead, so that its curves can be read. Where an estimate changes
    which of these it is, no share passes without its validation.

    Args:
        segments: The run's progress. Those that follow later change nothing here.
        step: Steps that are done.
        per_epoch: Steps of an epoch.
        validations: Those that were made after the first step.
    """
    if validations < _validations(segments, step):
        return True
    total = next(segment for segment in reversed(segments) if segment[0] <= step)[2]
    return total >= MIN_VALIDATIONS * per_epoch and step % per_epoch == 0


def _validations(segments: Sequence[tuple[int, float, int]], step: int) -> int:
    """Equal shares of the progress that are done; a sum that is a share but for rounding counts."""
    return math.floor(MIN_VALIDATIONS * _on_line(segments, step) + 1e-9)


class TimeBudget:
    """Fits the number of steps to a number of seconds while the run goes on.

    Args:
        budget: Seconds of training in all, counted from step 0; validation is part of them. Below
            0 if all else takes longer than there is time.
        step: The step at which measuring begins.
        seconds: Seconds of training up to that step.
        per_epoch: Steps of an epoch.
        validation: Seconds of a validation, as far as it is known.
        after: Seconds that evaluation and report will take, at the speed of that validation. They
            are no part of the budget; where validations turn out slower, more is left for them.
        least: Seconds of training that the budget never falls below.
    """

    def __init__(
        self,
        budget: float,
        step: int,
        seconds: float,
        per_epoch: int,
        validation: float = 0.0,
        after: float = 0.0,
        least: float = 0.0,
    ):
        self.budget, self.per_epoch, self.validation = max(least, budget), per_epoch, validation
        self._planned, self._expected, self._after = budget, validation, after
        self._least = least
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self.seconds_per_step = 0.0
        self.first, self.last = (step, seconds), (step, seconds)
        self._validated = 0.0  # seconds since `last`

    def add_validation(self, seconds: float) -> None:
        """Take note of a validation, which is no part of a step."""
        self.validation = seconds
        self._validated += seconds
        self._recent.append(seconds)
        if self._expected > 0:
            slower = sum(self._recent) / len(self._recent) / self._expected
            change = self._after * (min(max(slower, _FASTEST), _SLOWEST) - 1)
            self.budget = max(self._least, self._planned - change)

    def update(self, segments: Segments, step: int, seconds: float, ahead: int = 0) -> Segments:
        """The segments after `step` steps in `seconds`: another one if the end would move by 3%.

        Args:
            segments: Those so far.
            step: Steps that are done.
            seconds: Seconds of training up to now.
            ahead: Batches after these steps that may be prepared already: their progress stays.
        """
        if step >= segments[-1][2]:
            return segments
        steps, elapsed = step - self.last[0], seconds - self.last[1] - self._validated
        first_check = self.last == self.first
        is_short = steps < _MIN_STEPS and elapsed < _LONG_CHECK * self.budget
        if elapsed < (_FIRST_CHECK if first_check else _CHECK_EVERY) or is_short:
            if seconds < self.budget:
                return segments
            steps = max(steps, 1)
        measured = max(elapsed, 0.0) / steps
        # The first steps are slow (memory, choice of kernels).
        self.seconds_per_step = (
            measured if first_check else 0.7 * self.seconds_per_step + 0.3 * measured
        )
        self.last, self._validated = (step, seconds), 0.0
        left = self._steps_left(segments, step, self.budget - seconds)
        total = segments[-1][2]
        if abs(step + left - total) <= _TOLERANCE * max(1, total - step):
            return segments
        first = step + ahead
        if ahead and first >= total:
            return segments
        return [*segments, (first, _on_line(segments, first), max(first, step + left))]

    def _steps_left(self, segments: Segments, step: int, seconds: float) -> int:
        """Steps for which the seconds that are left suffice, the validations among them."""
        per_step = max(self.seconds_per_step, 1e-9)
        # The last validation may come on top of those at the ends of epochs.
        by_epoch = (seconds - self.validation) / (per_step + self.validation / self.per_epoch)
        if step + by_epoch >= MIN_VALIDATIONS * self.per_epoch:
            return int(by_epoch)
        validations = MIN_VALIDATIONS - _validations(segments, step)
        # Where validations alone would fill the time, the net still learns something.
        for_steps = max(seconds - validations * self.validation, MIN_STEPS * seconds)
        return max(0, int(for_steps / per_step))
