"""The linear probe: logistic regression on the features of a net whose weights stay as they are.

It takes seconds, and on few photographs with a pretrained net it is hard to beat (Kornblith et al.,
"Do better ImageNet models transfer better?", 2019). It is also the best start of fine-tuning: a
last layer with random weights would first destroy the features (Kumar et al., "Fine-tuning can
distort pretrained features and underperform out-of-distribution", 2022).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

Examples = tuple[NDArray[np.float32], NDArray[np.int64]]
"""(N, D) features and (N,) classes."""

STRENGTHS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
"""Inverse regularisation, C of scikit-learn, from strong to weak; the validation split chooses."""
MAX_ITERATIONS = 200


@dataclass(frozen=True)
class Probe:
    """A linear layer on features.

    Attributes:
        weight: (K, D) float32.
        bias: (K,) float32.
        strength: The inverse regularisation that was chosen.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) features -> (N, K) logits."""
        result: NDArray[np.float32] = features @ self.weight.T + self.bias
        return result

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, D) features -> (N, K) probabilities."""
        logits = self.logits(features).astype(np.float64)
        values = np.exp(logits - logits.max(1, keepdims=True))
        result: NDArray[np.float64] = values / values.sum(1, keepdims=True)
        return result

    def copy_to(self, layer: nn.Linear) -> None:
        """Make it the last layer of a net."""
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(self.weight))
            layer.bias.copy_(torch.from_numpy(self.bias))


def fit_probe(
    train: Examples,
    valid: Examples,
    num_classes: int,
    class_weights: Sequence[float] | None = None,
) -> Probe:
    """Fit a probe; of several regularisations the one of lowest log loss on `valid` is taken.

    Args:
        train: What it is fitted on.
        valid: What chooses the regularisation.
        num_classes: K.
        class_weights: (K,) factors on the loss, or None.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    features, labels = train
    if len(np.unique(labels)) < 2:  # nothing to tell apart
        bias = np.where(np.isin(np.arange(num_classes), labels), 0, -5).astype(np.float32)
        return Probe(np.zeros((num_classes, features.shape[1]), np.float32), bias, STRENGTHS[0])
    mean = features.mean(0, dtype=np.float64).astype(np.float32)
    # Of all features one: those that hardly vary are not blown up.
    scale = np.float32(max(features.std(dtype=np.float64), 1e-6))
    scaled = (features - mean) / scale
    weights = None if class_weights is None else np.asarray(class_weights)[labels]
    fitted = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
    best, lowest = None, np.inf
    for strength in STRENGTHS:
        fitted.C = strength
        # Matrices this small take ten times as long on several threads that wait for each other.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # the next one goes on from there
            fitted.fit(scaled, labels, weights)
        probe = _unscaled(fitted, mean, scale, num_classes, strength)
        loss = log_loss(probe.probabilities(valid[0]), valid[1])
        if loss >= lowest:
            break
        best, lowest = probe, loss
    assert best is not None, "the first loss is finite"
    return best


def log_loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean negative log probability of the classes, in nats."""
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, 1e-12)).mean())


def _unscaled(
    fitted: object,
    mean: NDArray[np.float32],
    scale: np.float32,
    num_classes: int,
    strength: float,
) -> Probe:
    """The probe of features that are not scaled, with a row for each class."""
    classes, coefficients = fitted.classes_, fitted.coef_  # type: ignore[attr-defined]
    intercepts = fitted.intercept_  # type: ignore[attr-defined]
    if len(classes) == 2:  # scikit-learn keeps the second class's logit alone
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight = np.zeros((num_classes, len(mean)), np.float32)
    # A class without an example gets a small probability.
    bias = np.full(num_classes, intercepts.min() - 5, np.float32)
    weight[classes] = coefficients / scale
    bias[classes] = intercepts
    return Probe(weight, (bias - weight @ mean).astype(np.float32), strength)
