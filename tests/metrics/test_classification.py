"""Metrics against scikit-learn, on random and on edge cases."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from foveate.annotations import Label
from foveate.metrics import classification as ours
from foveate.metrics.label_errors import suspects


def labels(probabilities):
    return [Label(int(row.argmax()), row) for row in probabilities]


def random_case(n, classes, seed):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, n)
    sharp = rng.choice([0.2, 1.0, 5.0])
    logits = sharp * rng.normal(size=(n, classes)) + 2 * np.eye(classes)[target]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return (
        probabilities,
        target,
        ours.per_image_stats(labels(probabilities), [Label(int(t)) for t in target]),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.integers(2, 12), st.integers(0, 10**6))
def test_equal_to_scikit_learn(n, classes, seed):
    probabilities, target, stats = random_case(n, classes, seed)
    predictions = probabilities.argmax(1)
    mine = ours.compute_metrics(stats, classes)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # scikit-learn warns of classes that are predicted but never true
        assert mine["balanced_accuracy"] == pytest.approx(
            sk.balanced_accuracy_score(target, predictions)
        )
    assert mine["accuracy"] == pytest.approx(sk.accuracy_score(target, predictions))
    assert mine["macro_f1"] == pytest.approx(
        sk.f1_score(target, predictions, average="macro", zero_division=0)
    )
    assert mine["log_loss"] == pytest.approx(
        sk.log_loss(target, probabilities, labels=range(classes))
    )
    assert np.array_equal(
        ours.confusion(stats, classes),
        sk.confusion_matrix(target, predictions, labels=range(classes)),
    )
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        target, predictions, labels=range(classes), zero_division=0
    )
    rows = ours.per_class(stats, classes)
    np.testing.assert_allclose([r.precision for r in rows], precision)
    np.testing.assert_allclose([r.recall for r in rows], recall)
    np.testing.assert_allclose([r.f1 for r in rows], f1)
    assert [r.n for r in rows] == support.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10**6))
def test_calibration_error_equals_the_papers_formula_as_a_plain_loop(n, seed):
    probabilities, target, stats = random_case(n, 5, seed)
    confidence = probabilities.max(1)
    errors = confidence - (probabilities.argmax(1) == target)
    total, images = 0.0, 0
    for low in range(15):
        inside = np.flatnonzero((confidence > low / 15) & (confidence <= (low + 1) / 15))
        products = [errors[i] * errors[j] for i in inside for j in inside if i != j]
        if products:
            total, images = total + len(inside) * np.mean(products), images + len(inside)
    expected = np.sqrt(max(0, total / images)) if images else np.nan
    found = ours.compute_metrics(stats, 5)["calibration_error"]
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_calibration_error_is_unbiased_where_the_plain_estimate_is_not():
    rng, squared, plain = np.random.default_rng(0), [], []
    for _ in range(400):
        confidence = rng.uniform(0.6, 1.0, 30)
        right = rng.random(30) < confidence
        columns = {"target": right.astype(int), "predicted": np.ones(30, int)}
        stats = {**columns, "confidence": confidence, "likelihood": confidence}
        squared.append(ours.compute_metrics(stats, 2)["calibration_error"] ** 2)
        mean, accuracy, count = ours.reliability(stats)
        plain.append((np.abs(mean - accuracy) * count).sum() / 30)
    assert np.mean(plain) > 0.12  # of a perfectly calibrated model
    assert np.median(squared) < 0.06**2


def test_a_probability_of_zero_costs_much_but_not_everything():
    stats = ours.per_image_stats(labels(np.array([[1.0, 0.0]])), [Label(1)])
    assert 30 < ours.compute_metrics(stats, 2)["log_loss"] < 40


def test_no_images_have_no_metrics():
    metrics = ours.compute_metrics(ours.per_image_stats([], []), 3)
    assert all(np.isnan(value) for value in metrics.values())


def test_calibration_knows_the_sure_and_the_unsure():
    half = np.tile([0.5, 0.5], (1000, 1))
    target = [Label(i % 2) for i in range(1000)]
    assert ours.compute_metrics(ours.per_image_stats(labels(half), target), 2)[
        "calibration_error"
    ] == pytest.approx(0)
    sure = np.tile([1.0, 0.0], (1000, 1))
    assert ours.compute_metrics(ours.per_image_stats(labels(sure), target), 2)[
        "calibration_error"
    ] == pytest.approx(0.5, abs=1e-3)


# --- labels that are probably wrong


def test_flipped_labels_are_found_and_few_others():
    rng = np.random.default_rng(0)
    n, classes = 2000, 10
    clean = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 5 * np.eye(classes)[clean]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    given_labels = clean.copy()
    flipped = rng.choice(n, 100, replace=False)
    given_labels[flipped] = (clean[flipped] + rng.integers(1, classes, 100)) % classes
    found = suspects(probabilities, given_labels)
    hits = len(set(found) & set(flipped.tolist()))
    assert hits >= 60
    assert hits / len(found) >= 0.9
    assert suspects(probabilities, clean) == [] or len(suspects(probabilities, clean)) < 20


def test_hard_images_are_not_taken_for_wrong_labels():
    """On hard, correctly labelled images a wrong prediction has the target as its second guess."""
    rng = np.random.default_rng(1)
    n, classes = 2000, 10
    target = rng.integers(0, classes, n)
    twin = (
        target + np.where(rng.random(n) < 0.5, 1, -1)
    ) % classes  # each class is mistaken for its neighbours
    logits = (
        rng.normal(0, 0.3, (n, classes)) + 4 * np.eye(classes)[target] + 3.6 * np.eye(classes)[twin]
    )
    logits += rng.normal(0, 0.8, (n, 1)) * (np.eye(classes)[target] - np.eye(classes)[twin])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert (probabilities.argmax(1) != target).mean() > 0.1
    assert len(suspects(probabilities, target)) < 0.01 * n


def test_no_images_and_two_classes():
    assert suspects(np.zeros((0, 3)), np.zeros(0, np.int64)) == []
    probabilities = np.array([[0.99, 0.01]] * 50 + [[0.01, 0.99]] * 50)
    labels_ = np.array([0] * 50 + [1] * 50)
    labels_[3] = 1
    probabilities[3] = [0.995, 0.005]
    assert suspects(probabilities, labels_) == [3]
