"""The simplest things that could work for a class at each pixel. A net that does not beat them has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import Image, Images
from foveate.data.images import fit
from foveate.data.subset import Pixels
from foveate.ops.masks import resize_nearest

Answers = Callable[[Images], dict[str, list[Mask]]]
"""Pictures of any size -> masks of each baseline by its name."""

PLACES = 64
"""Cells a side of the grid whose cells each have a class of their own."""
COLOURS = 16
"""Colours that are told apart."""
MOST, MOST_PIXELS = 500, 20_000
"""Pictures that these are fitted on, at most, and pixels whose colours are."""


def fit_baselines(images: Pixels, targets: Sequence[Mask], classes: int, seed: int) -> Answers:
    """All baselines, fitted on N pictures and their masks."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(targets))[:MOST]).tolist()
    grid = np.zeros((classes, PLACES, PLACES), np.int64)
    everywhere = np.zeros(classes, np.int64)
    colours, named = [], []
    for row in chosen:
        values = targets[row].pixels.read()
        small = resize_nearest(values, (PLACES, PLACES))
        down, across = np.nonzero(small != IGNORE)
        grid[small[down, across], down, across] += 1
        everywhere += np.bincount(values[values != IGNORE], minlength=classes)
        flat, image = values.ravel(), images[row]
        some = rng.integers(0, len(flat), max(1, MOST_PIXELS // len(chosen)))
        some = some[flat[some] != IGNORE]
        colours.append(image.reshape(-1, image.shape[2])[some])
        named.append(flat[some])
    commonest = int(everywhere.argmax())
    # A cell that nobody labelled is what most pixels are.
    local = np.where(grid.any(0), grid.argmax(0), commonest)
    palette, of_colour = _by_colour(
        np.concatenate(colours), np.concatenate(named), classes, commonest, seed
    )
    channels = images.shape[3]

    def predict(new_images: Images) -> dict[str, list[Mask]]:
        sizes = [(image.shape[0], image.shape[1]) for image in new_images]
        return {
            "commonest class": [Mask.from_array(np.full(size, commonest)) for size in sizes],
            "commonest class of each place": [Mask.from_array(resize_nearest(local, size)) for size in sizes],
            "colour alone (k-means)": [Mask.from_array(_painted(image, channels, palette, of_colour)) for image in new_images],
        }  # fmt: skip

    return predict


def _by_colour(
    colours: NDArray[np.uint8], named: NDArray[np.integer], classes: int, otherwise: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(M, C) colours, and the class that most pixels near each have."""
    from sklearn.cluster import KMeans

    if not len(colours):
        return np.zeros((1, colours.shape[1]), np.float32), np.array([otherwise])
    count = min(COLOURS, len(np.unique(colours, axis=0)))
    found = KMeans(count, n_init=1, random_state=seed).fit(colours.astype(np.float32))
    votes = np.zeros((count, classes), np.int64)
    np.add.at(votes, (found.labels_, named), 1)
    return found.cluster_centers_.astype(np.float32), votes.argmax(1)


def _painted(
    image: Image, channels: int, palette: NDArray[np.float32], of_colour: NDArray[np.int64]
) -> NDArray[np.integer]:
    """(H, W): for each pixel the class of the nearest colour."""
    side = max(image.shape[:2])
    fitted = fit(np.ascontiguousarray(image), side, channels, letterbox=True)[
        : image.shape[0], : image.shape[1]
    ]
    classes = np.empty(image.shape[:2], np.int64)
    for at, line in enumerate(
        fitted.astype(np.float32)
    ):  # a line at a time: all distances at once are gigabytes
        classes[at] = of_colour[((line[:, None] - palette) ** 2).sum(2).argmin(1)]
    return classes
