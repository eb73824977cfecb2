"""The simplest things that could work for whole-picture labels. A model that does not beat them has learnt nothing.

Each is fitted on the train part and answers like any model: (K,) probabilities for each picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Images
from foveate.data.images import fit
from foveate.data.subset import Pixels

Answers = Callable[[Images], dict[str, NDArray[np.float64]]]
"""Pictures of any size -> (N, K) probabilities of each baseline by its name."""

SIDE = 16
"""Pixels of the small pictures that nearest neighbour and logistic regression look at."""
MOST_NEIGHBOURS = 20_000
MOST_REGRESSED = 5_000
"""Pictures that these two are fitted on, at most: the first rows in an order drawn from the seed. They stay baselines,
not competitors, and take seconds."""


def fit_baselines(images: Pixels, labels: NDArray[np.int64], classes: int, seed: int) -> Answers:
    """All baselines, fitted on (N, S, S, C) uint8 and (N,) class indices."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    shares = np.bincount(labels, minlength=classes) / len(labels)
    size, channels = min(SIDE, images.shape[1]), images.shape[3]

    def small(new_images: Images) -> NDArray[np.float32]:
        rows = np.stack([fit(image, size, channels) for image in new_images])
        return rows.reshape(len(rows), -1).astype(np.float32) / np.float32(255)

    order = np.random.default_rng(seed).permutation(len(labels))
    near = order[:MOST_NEIGHBOURS]
    features = small(
        [images[row] for row in near.tolist()]
    )  # one by one, so that the set is not copied
    neighbour = KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(features, labels[near])
    regression = LogisticRegression(max_iter=60)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # 60 iterations are what this baseline is
        regression.fit(features[:MOST_REGRESSED], labels[near[:MOST_REGRESSED]])

    def predict(new_images: Images) -> dict[str, NDArray[np.float64]]:
        seen, count = small(new_images), len(new_images)
        # All classes are equally likely; a tiny draw decides which is named, so that none is favoured.
        draw = 1 + 1e-6 * np.random.default_rng(seed).random((count, classes))
        # A single neighbour votes with certainty; a tenth of a vote spread over all classes keeps its log loss finite.
        found = np.eye(classes)[neighbour.predict(seen)]
        regressed = np.zeros((count, classes))
        regressed[:, regression.classes_] = regression.predict_proba(seen)
        return {
            "random guess": draw / draw.sum(1, keepdims=True),
            "majority class": np.tile(shares, (count, 1)),
            "nearest neighbour": (found + 0.1 / classes) / 1.1,
            "logistic regression": regressed,
        }

    return predict
