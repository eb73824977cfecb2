"""Which labels are probably wrong: confident learning (Northcutt, Jiang and Chuang, 2021), with one more condition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def suspects(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[int]:
    """Rows whose label is probably wrong, surest first.

    probabilities: (N, K), of a model that did not learn from these pictures; labels: (N,) class indices

    A class's own confidence is the mean probability that pictures so labelled get for it. A picture is suspect when
    another class reaches that class's own confidence. That alone also takes in hard pictures, whose label is then
    usually the second guess; so the label must be no better than the third, or get less than a tenth of the
    winner's probability where there are only two classes.
    """
    n, classes = probabilities.shape
    if n == 0:
        return []
    own = probabilities[np.arange(n), labels]
    counts = np.bincount(labels, minlength=classes)
    confidence = np.bincount(labels, own, classes) / np.maximum(counts, 1)
    confidence[counts == 0] = 1.0
    best = probabilities.argmax(1)
    top = probabilities[np.arange(n), best]
    rank = (probabilities > own[:, None]).sum(1)
    unlikely = rank >= 2 if classes > 2 else own < 0.1 * top
    rows = np.flatnonzero((best != labels) & (top >= confidence[best]) & unlikely)
    return [int(row) for row in rows[np.argsort(own[rows] - top[rows], kind="stable")]]


def doubt(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) from -1 to 1: the most likely other class's probability less the label's own (the normalised margin of Northcutt
    et al., 2021, turned round). Sorted by it, the labels that look most wrong come first.
    """
    rows = np.arange(len(labels))
    own, rest = probabilities[rows, labels], probabilities.copy()
    rest[rows, labels] = -np.inf
    return rest.max(1) - own if len(labels) else np.zeros(0)


def ambiguity(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) from 0 to 1: the second most likely class's probability over the first's. Near 1 it could be either."""
    if not len(probabilities):
        return np.zeros(0)
    second, first = np.sort(probabilities, 1)[:, -2:].T
    return second / np.maximum(first, 1e-12)
