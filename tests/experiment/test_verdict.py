"""What a person reads first of a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from foveate.experiment import verdict
from foveate.tasks.classification import Classification

WORST = " Its worst class is 'b', with a recall of 3.0%."


@pytest.mark.parametrize(
    ("lift", "word"),
    [
        ({"low": -0.3, "high": -0.1}, "Do not use it"),
        ({"low": -0.1, "high": 0.1}, "Careful"),
        ({"low": 0.1, "high": 0.2, "rough": True}, "Careful"),
        ({"low": 0.1, "high": 0.2}, verdict.BELIEVE),
    ],
)
def test_the_worst_class_is_named_whatever_the_verdict_is(lift, word, monkeypatch):
    monkeypatch.setattr(verdict, "worst_class", lambda *_: WORST)
    value = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 40, "confidence": 0.95}
    results = {
        "test": {"accuracy": value},
        "baseline": {"test": {"majority class": {"accuracy": value}}},
        "best_baseline": "majority class",
        "lift": {"test": {"accuracy": lift}},
        "steps": 100,
        "epochs": 5.0,
    }
    run = SimpleNamespace(
        data={"leaks": []},
        curves=[{"step": 10, "valid_loss": 1.0, "valid_accuracy": 0.5}],
        ledger=SimpleNamespace(entries=[None]),
        read_predictions=lambda _: ([], {}),
    )
    found = verdict.verdict_of(run, results, "test", Classification(["a", "b"]))
    assert found.doubt.word == word
    assert found.doubt.reason.endswith(WORST)
