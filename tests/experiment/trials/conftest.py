"""What the tests of many small runs share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foveate.annotations import Label
from foveate.experiment import probing
from helpers.command_line import hurry


def quick(patch: pytest.MonkeyPatch) -> None:
    """Few resamples, and no pretrained net that computes a baseline."""
    hurry(patch)

    def baseline(task: Any, prepared: Any, split: Any, *_: Any) -> list[Label]:
        return [Label(0, np.eye(len(task.classes))[0])] * len(prepared.splits[split])

    patch.setattr(probing, "baseline", baseline)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    quick(monkeypatch)
    request.getfixturevalue("one_thread")


@pytest.fixture(scope="module")
def quickly():
    """For fixtures that several tests share."""
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        yield
