"""The correction for having chosen the best of many trials, against simulations."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from foveate.experiment.trials.optimism import Optimism, in_words, optimism_of
from foveate.metrics.classification import ClassificationMetric


def stats(correct: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of predictions of two classes that are right or wrong."""
    n = len(correct)
    return {
        "target": np.zeros(n, np.int64),
        "predicted": (~correct).astype(np.int64),
        "likelihood": np.where(correct, 0.9, 0.1),
        "confidence": np.full(n, 0.9),
    }


def corrected(rights: list[np.ndarray], **options: object) -> Optimism:
    by_trial = {number: stats(right) for number, right in enumerate(rights)}
    winner = max(by_trial, key=lambda number: (rights[number].mean(), -number))
    found = optimism_of(
        ClassificationMetric(2), "accuracy", by_trial, np.arange(len(rights[0])), winner, 0,
        maximise=True, seed=0, resamples=100, **options,
    )  # fmt: skip
    assert found is not None
    return found


def test_of_equal_models_the_lead_is_luck():
    """20 models that are right in 80% of cases each: the best looks better, and is not."""
    naive, honest, leads = [], [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = corrected([rng.random(100) < 0.8 for _ in range(20)])
        naive.append(found.value)
        honest.append(found.corrected)
        leads.append(found.corrected_lead)
    assert np.mean(naive) > 0.85  # optimistic by more than five points
    assert abs(np.mean(honest) - 0.8) < 0.025
    assert abs(np.mean(leads)) < 0.03


def test_a_real_lead_remains():
    rng = np.random.default_rng(0)
    found = corrected([rng.random(400) < 0.6, rng.random(400) < 0.9])
    assert found.chosen == 1.0
    assert found.corrected == pytest.approx(0.9, abs=0.04)
    assert found.corrected_lead == pytest.approx(found.lead, abs=0.03)


def test_images_that_belong_together_are_drawn_together():
    """Ten copies of each image hold no more than the image: the interval does not shrink."""
    rng = np.random.default_rng(1)
    rights = [rng.random(40) < 0.7 for _ in range(3)]
    single = corrected(rights)
    metric, units = ClassificationMetric(2), np.repeat(np.arange(40), 10)
    copies = {number: stats(np.repeat(right, 10)) for number, right in enumerate(rights)}
    winner = int(np.argmax([right.mean() for right in rights]))
    found = optimism_of(
        metric, "accuracy", copies, units, winner, 0, maximise=True, seed=0, resamples=100
    )
    assert found is not None
    assert (found.low, found.high, found.corrected) == pytest.approx(
        (single.low, single.high, single.corrected)
    )


def test_what_fewer_images_change_is_no_luck():
    """A metric that is higher on fewer images, as average precision can be."""

    def scorer(values: np.ndarray):
        return lambda rows: {"m": (values if rows is None else values[rows]).mean() + 3 / (
            len(values) if rows is None else len(np.unique(rows))
        )}  # fmt: skip

    rng = np.random.default_rng(3)
    by_trial = {k: {"values": rng.normal(mean, 0.1, 60)} for k, mean in enumerate((0.2, 0.6))}
    metric = SimpleNamespace(scorer=lambda stats: scorer(stats["values"]))
    found = optimism_of(
        metric, "m", by_trial, np.arange(60), 1, 0, maximise=True, seed=0, resamples=100
    )
    assert found is not None
    assert found.corrected == pytest.approx(found.value, abs=0.02)
    assert found.corrected <= found.value
    assert found.low < found.corrected < found.high


def test_one_trial_or_one_group_cannot_be_corrected():
    metric, right = ClassificationMetric(2), np.ones(10, bool)
    options = {"maximise": True, "seed": 0}
    for by_trial, units in (
        ({0: stats(right)}, np.arange(10)),
        ({0: stats(right), 1: stats(right)}, np.zeros(10, np.int64)),
    ):
        assert optimism_of(metric, "accuracy", by_trial, units, 0, 0, **options) is None
    assert "cannot be corrected" in in_words(None, "accuracy", 1)[0]


def test_less_is_better_for_some_metrics():
    rng = np.random.default_rng(2)
    by_trial = {k: stats(rng.random(200) < share) for k, share in enumerate((0.6, 0.9))}
    found = optimism_of(
        ClassificationMetric(2), "log_loss", by_trial, np.arange(200), 1, 0,
        maximise=False, seed=0, resamples=50,
    )  # fmt: skip
    assert found is not None
    assert found.lead > 0
    assert found.corrected_lead > 0
