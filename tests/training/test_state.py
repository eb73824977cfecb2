"""Checkpoints are saved for a small share of the time, however large they are."""

from __future__ import annotations

import pytest

from foveate.training import state
from foveate.training.state import MAX_SAVE_SHARE, AutoSave


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class SlowState:
    """A state that takes so many seconds to be saved."""

    def __init__(self, clock: Clock, seconds: float):
        self.clock, self.seconds, self.saves = clock, seconds, 0

    def save(self, _path) -> None:
        self.clock.now += self.seconds
        self.saves += 1


def saves_in(total: float, monkeypatch, *, save: float, at_least: float) -> int:
    """Saves in `total` seconds of steps of a tenth of a second."""
    clock = Clock()
    monkeypatch.setattr(state, "time", clock)
    slow = SlowState(clock, save)
    autosave = AutoSave(slow, None, at_least)
    autosave.save()
    while clock.now < total:
        clock.now += 0.1
        autosave.save_if_due()
    return slow.saves


def test_small_checkpoints_are_saved_as_often_as_asked(monkeypatch):
    assert saves_in(1000, monkeypatch, save=0.01, at_least=10) == pytest.approx(100, abs=2)


def test_large_checkpoints_take_a_few_percent_of_the_time(monkeypatch):
    saves = saves_in(10_000, monkeypatch, save=5.0, at_least=10)
    assert saves > 10
    assert saves * 5.0 <= 1.2 * MAX_SAVE_SHARE * 10_000


def test_zero_seconds_saves_after_every_step(monkeypatch):
    assert saves_in(100, monkeypatch, save=1.0, at_least=0) == pytest.approx(100 / 1.1, abs=2)
