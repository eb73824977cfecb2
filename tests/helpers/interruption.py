"""Ctrl-C at a known step of training."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from foveate.training import fit


def interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Raise SIGINT while the step of this number is under way, in every training from now on."""
    steps = fit.steps

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        for step in steps(*args, **kwargs):
            if step.number == number:
                signal.raise_signal(signal.SIGINT)
            yield step

    monkeypatch.setattr(fit, "steps", interrupted)
