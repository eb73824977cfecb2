"""Each verdict is given to a real run that deserves it, and not to the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import foveate as fv
from foveate.annotations import Label
from foveate.training.doctor import diagnose

pytestmark = pytest.mark.slow  # trains networks that must learn something


PLAIN = {
    "augment": "none",
    "label_smoothing": 0.0,
    "schedule": "constant",
    "model": "mlp",
    "batch_size": 32,
}


def digits(count=None, noise=0.0):
    data = fv.load("digits")
    samples = list(data.samples)[:count]
    rng = np.random.default_rng(0)
    for i in np.flatnonzero(rng.random(len(samples)) < noise):
        wrong = (samples[i].target.index + rng.integers(1, 10)) % 10
        samples[i] = replace(samples[i], target=Label(int(wrong)))
    return replace(data, samples=samples)


RUNS = {
    "learning rate too high": (600, 0.0, {"optimizer": "sgd", "lr": 0.5, "epochs": 12}),
    "learning rate too low": (600, 0.0, {"optimizer": "sgd", "lr": 2e-4, "epochs": 12}),
    "overfitting": (
        250,
        0.15,
        {"model": "mlp:512-512", "optimizer": "adam", "lr": 2e-3, "epochs": 30},
    ),
    "label noise likely": (
        None,
        0.15,
        {
            "model": "tiny_cnn",
            "optimizer": "adamw",
            "lr": 3e-3,
            "epochs": 8,
            "schedule": "one-cycle",
        },
    ),
    "still improving": (None, 0.0, {"optimizer": "sgd", "lr": 0.01, "epochs": 5}),
    "healthy": (
        None,
        0.0,
        {"model": "tiny_cnn", "schedule": "one-cycle", "lr": 3e-3, "epochs": 25},
    ),
    "too short to judge": (300, 0.0, {"epochs": 2}),
}


@pytest.mark.parametrize("verdict", RUNS)
def test_a_run_that_deserves_a_verdict_gets_it_and_no_other(verdict, tmp_path):
    count, noise, settings = RUNS[verdict]
    run = fv.train(digits(count, noise), out=tmp_path / "run", **{**PLAIN, **settings})
    names = [found["name"] for found in run.results["verdicts"]]
    assert verdict in names
    others = set(names) - {verdict}
    allowed = {
        "overfitting": {"label noise likely"},
        "label noise likely": {"overfitting", "still improving"},
    }
    assert others <= allowed.get(verdict, set())


def rows(train, valid):
    return [
        {
            "step": i + 1,
            "epoch": i + 1.0,
            "train_loss": t,
            "valid_loss": v,
            "valid_accuracy": 0.5,
            "lr": 0.1,
        }
        for i, (t, v) in enumerate(zip(train, valid, strict=True))
    ]


def names(train, valid, **options):
    return [verdict.name for verdict in diagnose(rows(train, valid), metric="accuracy", **options)]


def test_small_jumps_near_zero_are_not_an_oscillation():
    train = [2.0, 0.5, 0.1, 0.02, 0.03, 0.01, 0.015, 0.005, 0.007, 0.004]
    assert names(train, [t + 0.01 for t in train]) == ["healthy"]


def test_losses_are_measured_from_their_floor():
    train, valid = [1.01, 0.76, 0.71, 0.675], [0.78, 0.737, 0.697, 0.661]
    assert "learning rate too low" in names(train, valid)
    assert "learning rate too low" not in names(train, valid, floor=0.5)


def test_a_loss_that_is_not_finite_does_not_crash():
    found = names([2.0, 3.0, float("nan"), float("nan")], [2.0, 3.0, float("nan"), float("nan")])
    assert "learning rate too high" in found


def test_every_verdict_has_advice():
    for found in diagnose(rows([2, 1.5, 1.4, 1.3], [2, 1.5, 1.4, 1.3]), metric="accuracy"):
        assert len(found.text) > 20
        assert len(found.advice) > 20
