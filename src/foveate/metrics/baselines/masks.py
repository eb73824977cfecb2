"""Baselines of semantic segmentation: position alone, and colour alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import Image, Images
from foveate.data.resizing import fit
from foveate.data.subset import ImageArray
from foveate.ops.masks import resize_nearest

BaselinePredictions = Callable[[Images], dict[str, list[Mask]]]
"""From images of any size to the masks of each baseline by its name."""

GRID_SIDE = 64
"""Cells a side of the grid whose cells each have their most common class."""
MAX_COLOURS = 16
"""Clusters of colours."""
MAX_IMAGES = 500
"""Images that the baselines are fitted on."""
MAX_PIXELS = 20_000
"""Pixels whose colours are clustered."""


def fit_baselines(
    images: ImageArray, targets: Sequence[Mask], num_classes: int, seed: int
) -> BaselinePredictions:
    """Fit all baselines.

    Args:
        images: (N, S, S, C) uint8.
        targets: N targets.
        num_classes: K.
        seed: For the choice of images and pixels, and for k-means.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(targets))[:MAX_IMAGES]).tolist()
    grid = np.zeros((num_classes, GRID_SIDE, GRID_SIDE), np.int64)
    total = np.zeros(num_classes, np.int64)
    colours, classes = [], []
    for row in rows:
        values = targets[row].pixels.read()
        small = resize_nearest(values, (GRID_SIDE, GRID_SIDE))
        down, across = np.nonzero(small != IGNORE)
        grid[small[down, across], down, across] += 1
        total += np.bincount(values[values != IGNORE], minlength=num_classes)
        flat, image = values.ravel(), images[row]
        some = rng.integers(0, len(flat), max(1, MAX_PIXELS // len(rows)))
        some = some[flat[some] != IGNORE]
        colours.append(image.reshape(-1, image.shape[2])[some])
        classes.append(flat[some])
    most_common = int(total.argmax())
    # An unlabelled cell gets the most common class.
    by_place = np.where(grid.any(0), grid.argmax(0), most_common)
    palette, class_of_colour = _cluster_colours(
        np.concatenate(colours), np.concatenate(classes), num_classes, most_common, seed
    )
    channels = images.shape[3]

    def predict(new_images: Images) -> dict[str, list[Mask]]:
        sizes = [(image.shape[0], image.shape[1]) for image in new_images]
        return {
            "most common class": [Mask.from_array(np.full(size, most_common)) for size in sizes],
            "most common class of each position": [
                Mask.from_array(resize_nearest(by_place, size)) for size in sizes
            ],
            "colour alone (k-means)": [
                Mask.from_array(_classify_colours(image, channels, palette, class_of_colour))
                for image in new_images
            ],
        }

    return predict


def _cluster_colours(
    colours: NDArray[np.uint8],
    classes: NDArray[np.integer],
    num_classes: int,
    default: int,
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(M, C) clusters of colours, and (M,) the most common class of each."""
    from sklearn.cluster import KMeans

    if not len(colours):
        return np.zeros((1, colours.shape[1]), np.float32), np.array([default])
    count = min(MAX_COLOURS, len(np.unique(colours, axis=0)))
    fitted = KMeans(count, n_init=1, random_state=seed).fit(colours.astype(np.float32))
    votes = np.zeros((count, num_classes), np.int64)
    np.add.at(votes, (fitted.labels_, classes), 1)
    return fitted.cluster_centers_.astype(np.float32), votes.argmax(1)


def _classify_colours(
    image: Image,
    channels: int,
    palette: NDArray[np.float32],
    class_of_colour: NDArray[np.int64],
) -> NDArray[np.integer]:
    """(H, W) the class of the nearest colour."""
    height, width = image.shape[:2]
    side = max(height, width)
    fitted = fit(np.ascontiguousarray(image), side, channels, letterbox=True)[:height, :width]
    classes = np.empty((height, width), np.int64)
    # A row at a time: all distances at once are gigabytes.
    for row, pixels in enumerate(fitted.astype(np.float32)):
        distances = ((pixels[:, None] - palette) ** 2).sum(2)
        classes[row] = class_of_colour[distances.argmin(1)]
    return classes
