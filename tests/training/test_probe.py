"""The linear probe is logistic regression: scikit-learn's, in the units of the features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from foveate.training.probe import STRENGTHS, fit_probe


def examples(count: int, classes: int, seed: int = 0, noise: float = 1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    centres = np.random.default_rng(99).normal(size=(classes, 12))
    features = 3 + 0.2 * (centres[labels] + noise * rng.normal(size=(count, 12)))
    return features.astype(np.float32), labels.astype(np.int64)


def log_loss(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_strength_of_lowest_validation_loss_and_its_regression(classes):
    train, valid = examples(200, classes), examples(300, classes, seed=1)
    probe = fit_probe(train, valid, classes)
    mean, scale = train[0].mean(0), train[0].std()
    losses = {}
    for strength in STRENGTHS:
        oracle = LogisticRegression(C=strength, max_iter=5000, tol=1e-8)
        oracle.fit((train[0] - mean) / scale, train[1])
        expected = oracle.predict_proba((valid[0] - mean) / scale)
        losses[strength] = log_loss(expected, valid[1])
        if strength == probe.strength:
            np.testing.assert_allclose(probe.probabilities(valid[0]), expected, atol=0.02)
    assert losses[probe.strength] <= min(losses.values()) + 0.01


@torch.no_grad()
def test_as_the_last_layer_it_gives_the_same_probabilities():
    train, valid = examples(100, 3), examples(50, 3, seed=1)
    probe, layer = fit_probe(train, valid, 3), nn.Linear(12, 3)
    probe.copy_to(layer)
    np.testing.assert_allclose(
        layer(torch.from_numpy(valid[0])).softmax(1), probe.probabilities(valid[0]), atol=1e-5
    )


def test_a_class_without_an_example_gets_a_small_probability():
    features, labels = examples(100, 3)
    probe = fit_probe((features, 2 * (labels > 0)), examples(50, 1, seed=1), 3)
    probabilities = probe.probabilities(features)
    assert probabilities.shape == (100, 3)
    assert probabilities[:, 1].max() < 0.02
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_one_class_alone_and_features_that_do_not_vary():
    features = np.ones((5, 12), np.float32)
    only = fit_probe((features, np.full(5, 1)), (features, np.full(5, 1)), 3)
    assert (only.probabilities(features).argmax(1) == 1).all()
    labels = np.array([0, 0, 0, 1, 1])
    constant = fit_probe((features, labels), (features, labels), 2)
    np.testing.assert_allclose(constant.probabilities(features)[:, 0], 0.6, atol=0.05)


def test_weights_of_classes_are_those_of_repeated_examples():
    features, labels = examples(60, 2)
    valid = examples(200, 2, seed=1)
    weighted = fit_probe((features, labels), valid, 2, class_weights=[1, 3])
    rows = np.repeat(np.arange(60), np.where(labels == 1, 3, 1))
    mean, scale = features.mean(0), features.std()
    oracle = LogisticRegression(C=weighted.strength, max_iter=5000, tol=1e-8)
    oracle.fit((features[rows] - mean) / scale, labels[rows])
    np.testing.assert_allclose(
        weighted.probabilities(valid[0]), oracle.predict_proba((valid[0] - mean) / scale), atol=0.02
    )
