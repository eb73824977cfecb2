"""Baselines of object detection: boxes that hardly depend on the image.

Positions are shares of the image's sides.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.data.dataset import Image, Images
from foveate.data.resizing import fit
from foveate.data.subset import ImageArray

BaselinePredictions = Callable[[Images], dict[str, list[Boxes]]]
"""From images of any size to the boxes of each baseline by its name."""

MAX_CLUSTERS = 20
"""Typical boxes of a class."""
MAX_FITTED = 5_000
"""Images, and boxes of a class, that the baselines are fitted on."""
THUMBNAIL_SIDE = 16
"""Pixels a side of the thumbnails that the most similar image is found by."""


def fit_baselines(
    images: ImageArray, targets: Sequence[Boxes], num_classes: int, seed: int
) -> BaselinePredictions:
    """Fit all baselines.

    Args:
        images: (N, S, S, C) uint8.
        targets: N targets, whose `size` is that of their image.
        num_classes: K.
        seed: For the choice of images and for k-means.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(targets))[:MAX_FITTED]).tolist()
    relative = [_to_relative(targets[row], images[row].shape) for row in rows]
    channels = images.shape[3]
    thumbnails = np.stack([_thumbnail(images[row], channels) for row in rows])
    typical = _typical_boxes(relative, num_classes, seed)
    mean = _typical_boxes(relative, num_classes, seed, clusters=1)

    def nearest(image: Image) -> Boxes:
        distances = ((thumbnails - _thumbnail(image, channels)) ** 2).sum(1)
        return relative[int(distances.argmin())]

    def predict(new_images: Images) -> dict[str, list[Boxes]]:
        return {
            "mean box of each class": [_to_pixels(mean, image.shape) for image in new_images],
            "most common boxes": [_to_pixels(typical, image.shape) for image in new_images],
            "boxes of the most similar image": [
                _to_pixels(nearest(image), image.shape) for image in new_images
            ],
        }

    return predict


def _to_relative(target: Boxes, shape: tuple[int, ...]) -> Boxes:
    """The boxes that count as shares of the image's sides, each with a score of 1."""
    boxes = target[~target.ignored]
    return Boxes(boxes.corners / _sides(shape), boxes.classes, np.ones(len(boxes)))


def _to_pixels(relative: Boxes, shape: tuple[int, ...]) -> Boxes:
    corners = relative.corners * _sides(shape)
    return Boxes(corners, relative.classes, relative.scores, size=(shape[0], shape[1]))


def _sides(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.array([shape[1], shape[0], shape[1], shape[0]], float)


def _typical_boxes(
    targets: Sequence[Boxes], num_classes: int, seed: int, clusters: int = MAX_CLUSTERS
) -> Boxes:
    """Clusters of the corners of each class (k-means), each scored by its frequency."""
    from sklearn.cluster import KMeans

    corners: list[NDArray[np.float64]] = []
    classes: list[int] = []
    scores: list[float] = []
    for k in range(num_classes):
        of_class = np.concatenate(
            [boxes.corners[boxes.classes == k] for boxes in targets] or [np.zeros((0, 4))]
        )[:MAX_FITTED]
        if not len(of_class):
            continue
        count = min(clusters, len(np.unique(of_class, axis=0)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of clusters that coincide
            fitted = KMeans(count, n_init=1, random_state=seed).fit(of_class)
        corners.extend(fitted.cluster_centers_)
        classes.extend([k] * count)
        frequency = np.bincount(fitted.labels_, minlength=count) / len(targets)
        scores.extend(np.minimum(1.0, frequency))
    return Boxes(np.array(corners).reshape(-1, 4), np.array(classes, np.int64), np.array(scores))


def _thumbnail(image: Image, channels: int) -> NDArray[np.float32]:
    return fit(np.ascontiguousarray(image), THUMBNAIL_SIDE, channels).astype(np.float32).ravel()
