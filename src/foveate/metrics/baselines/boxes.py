"""The simplest things that could work for boxes. A detector that does not beat them has learnt nothing.

Each is fitted on the train part and answers without looking, or with hardly a look: places are shares of the picture's sides.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.data.dataset import Image, Images
from foveate.data.images import fit
from foveate.data.subset import Pixels

Answers = Callable[[Images], dict[str, list[Boxes]]]
"""Pictures of any size -> boxes of each baseline by its name."""

PLACES = 20
"""Places of one class that are told apart, at most."""
MOST = 5_000
"""Boxes of a class, and pictures, that these are fitted on, at most."""
SIDE = 16
"""Pixels of the small pictures by which the nearest is found."""


def fit_baselines(images: Pixels, targets: Sequence[Boxes], classes: int, seed: int) -> Answers:
    """All baselines, fitted on N pictures and their true boxes, whose `size` is that of their picture."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(targets))[:MOST]).tolist()
    shares = [_shares(targets[row], images[row].shape) for row in chosen]
    channels = images.shape[3]
    seen = np.stack([_small(images[row], channels) for row in chosen])
    common = _common(shares, classes, seed)
    mean = _common(shares, classes, seed, places=1)

    def predict(new_images: Images) -> dict[str, list[Boxes]]:
        return {
            "mean box of each class": [_placed(mean, image.shape) for image in new_images],
            "commonest boxes": [_placed(common, image.shape) for image in new_images],
            "boxes of the most similar picture": [
                _placed(
                    shares[int(((seen - _small(image, channels)) ** 2).sum(1).argmin())],
                    image.shape,
                )
                for image in new_images
            ],
        }

    return predict


def _shares(target: Boxes, shape: tuple[int, ...]) -> Boxes:
    """The demanded boxes as shares of the picture's sides, each of score 1."""
    kept = target[~target.ignored]
    return Boxes(kept.corners / _sides(shape), kept.classes, np.ones(len(kept)))


def _placed(shares: Boxes, shape: tuple[int, ...]) -> Boxes:
    return Boxes(
        shares.corners * _sides(shape), shares.classes, shares.scores, size=(shape[0], shape[1])
    )


def _sides(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.array([shape[1], shape[0], shape[1], shape[0]], float)


def _common(new_images: Sequence[Boxes], classes: int, seed: int, places: int = PLACES) -> Boxes:
    """Where boxes of each class mostly lie (k-means of their corners), each scored by how often one is there."""
    from sklearn.cluster import KMeans

    corners: list[NDArray[np.float64]] = []
    names: list[int] = []
    scores: list[float] = []
    for k in range(classes):
        mine = np.concatenate(
            [boxes.corners[boxes.classes == k] for boxes in new_images] or [np.zeros((0, 4))]
        )[:MOST]
        if not len(mine):
            continue
        count = min(places, len(np.unique(mine, axis=0)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of clusters that coincide
            found = KMeans(count, n_init=1, random_state=seed).fit(mine)
        corners.extend(found.cluster_centers_)
        names.extend([k] * count)
        scores.extend(
            np.minimum(1.0, np.bincount(found.labels_, minlength=count) / len(new_images))
        )
    return Boxes(np.array(corners).reshape(-1, 4), np.array(names, np.int64), np.array(scores))


def _small(image: Image, channels: int) -> NDArray[np.float32]:
    return fit(np.ascontiguousarray(image), SIDE, channels).astype(np.float32).ravel()
