"""Labels that are probably wrong: confident learning (Northcutt, Jiang and Chuang, 2021)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def suspects(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[int]:
    """Rows whose label is probably wrong, the most suspicious first.

    The threshold of a class is the mean probability that the images with this label get for it. An
    image is suspicious if another class reaches its own threshold. That alone also finds hard
    images, whose label is then usually the second most likely class; so the label must be the
    third or less, or get less than a tenth of the highest probability if there are two classes.

    Args:
        probabilities: (N, K) of a model that was not trained on these images.
        labels: (N,) class indices.
    """
    n, num_classes = probabilities.shape
    if n == 0:
        return []
    of_label = probabilities[np.arange(n), labels]
    counts = np.bincount(labels, minlength=num_classes)
    threshold = np.bincount(labels, of_label, num_classes) / np.maximum(counts, 1)
    threshold[counts == 0] = 1.0
    best = probabilities.argmax(1)
    highest = probabilities[np.arange(n), best]
    rank = (probabilities > of_label[:, None]).sum(1)
    unlikely = rank >= 2 if num_classes > 2 else of_label < 0.1 * highest
    rows = np.flatnonzero((best != labels) & (highest >= threshold[best]) & unlikely)
    return [int(row) for row in rows[np.argsort(of_label[rows] - highest[rows], kind="stable")]]


def margin(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) from -1 to 1: the probability of the most likely other class minus that of the label.

    It is the negative normalised margin of Northcutt et al., 2021: the highest values are the most
    suspicious labels.
    """
    if not len(labels):
        return np.zeros(0)
    rows = np.arange(len(labels))
    of_label, rest = probabilities[rows, labels], probabilities.copy()
    rest[rows, labels] = -np.inf
    highest: NDArray[np.float64] = rest.max(1)
    return highest - of_label


def ambiguity(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) from 0 to 1: the second highest probability divided by the highest."""
    if not len(probabilities):
        return np.zeros(0)
    second, first = np.sort(probabilities, 1)[:, -2:].T
    ratio: NDArray[np.float64] = second / np.maximum(first, 1e-12)
    return ratio
