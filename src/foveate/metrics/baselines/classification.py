"""Baselines of image classification. They predict (K,) probabilities for each image."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Images
from foveate.data.resizing import fit
from foveate.data.subset import ImageArray

BaselinePredictions = Callable[[Images], dict[str, NDArray[np.float64]]]
"""From images of any size to the (N, K) probabilities of each baseline by its name."""

THUMBNAIL_SIDE = 16
"""Pixels a side of the thumbnails that nearest neighbour and logistic regression see."""
MAX_NEIGHBOURS = 20_000
"""Images that nearest neighbour compares with, in a random order: it takes seconds."""
MAX_REGRESSION = 5_000
"""Images that logistic regression is fitted on."""


def fit_baselines(
    images: ImageArray, labels: NDArray[np.int64], num_classes: int, seed: int
) -> BaselinePredictions:
    """Fit all baselines.

    Args:
        images: (N, S, S, C) uint8.
        labels: (N,) class indices.
        num_classes: K.
        seed: For the choice of images and for guessing.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    frequencies = np.bincount(labels, minlength=num_classes) / len(labels)
    size, channels = min(THUMBNAIL_SIDE, images.shape[1]), images.shape[3]

    def to_features(new_images: Images) -> NDArray[np.float32]:
        rows = np.stack([fit(image, size, channels) for image in new_images])
        return rows.reshape(len(rows), -1).astype(np.float32) / np.float32(255)

    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = order[:MAX_NEIGHBOURS]
    # One by one, so that the dataset is not copied.
    features = to_features([images[row] for row in chosen.tolist()])
    neighbour = KNeighborsClassifier(n_neighbors=1, algorithm="brute")
    neighbour.fit(features, labels[chosen])
    regression = LogisticRegression(max_iter=60)
    with warnings.catch_warnings():
        # This baseline is 60 iterations, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(features[:MAX_REGRESSION], labels[chosen[:MAX_REGRESSION]])

    def predict(new_images: Images) -> dict[str, NDArray[np.float64]]:
        features, count = to_features(new_images), len(new_images)
        # All classes are equally likely; a tiny draw decides which one is predicted.
        draw = 1 + 1e-6 * np.random.default_rng(seed).random((count, num_classes))
        # A single neighbour is certain; a tenth of its vote goes to all classes, which keeps the
        # log loss finite.
        votes = np.eye(num_classes)[neighbour.predict(features)]
        regressed = np.zeros((count, num_classes))
        regressed[:, regression.classes_] = regression.predict_proba(features)
        return {
            "random guess": draw / draw.sum(1, keepdims=True),
            "majority class": np.tile(frequencies, (count, 1)),
            "nearest neighbour": (votes + 0.1 / num_classes) / 1.1,
            "logistic regression": regressed,
        }

    return predict
