"""A map of images in two dimensions: images with similar features lie near each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

MAX_MAP_IMAGES = 1500
"""Images on the map; more would hide one another."""
MIN_IMAGES = 30
"""Images below which there is no map."""
_DIMENSIONS = 50  # that t-SNE sees; the others are mostly noise
_MIN_DEVIATION = 1e-6
_PERPLEXITY = 30.0
_ITERATIONS = 400  # after which the map hardly changes; 2 s of one core for MAX_MAP_IMAGES


def rows_on_map(
    count: int, marked: Sequence[int], most: int = MAX_MAP_IMAGES, seed: int = 0
) -> NDArray[np.int64]:
    """Choose the images of a map.

    Args:
        count: N, the number of images.
        marked: Rows that the map must hold; those that fill half of it, if there are more.
        most: Images on the map at most.
        seed: The seed of the sample of the others.

    Returns:
        (M,) rows, ascending; none if there are fewer than MIN_IMAGES images.
    """
    if count < MIN_IMAGES:
        return np.zeros(0, np.int64)
    kept = np.unique(np.asarray(list(marked)[: most // 2], np.int64))
    others = np.setdiff1d(np.arange(count), kept)
    chosen = np.random.default_rng(seed).permutation(others)[: most - len(kept)]
    return np.sort(np.concatenate([kept, chosen]))


def feature_map(points: NDArray[np.float32], seed: int = 0) -> NDArray[np.float64]:
    """Place images by t-SNE (van der Maaten and Hinton, 2008), from their principal components.

    Args:
        points: (M, D) float32, from `feature_space.standardised`; at least MIN_IMAGES.
        seed: The seed of t-SNE.

    Returns:
        (M, 2) places.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if float(points.std(0).max()) < _MIN_DEVIATION:  # all images are alike
        return np.zeros((len(points), 2))
    with threadpool_limits(1):  # the same places whatever the number of cores
        parts = min(_DIMENSIONS, *points.shape)
        reduced = PCA(parts, svd_solver="randomized", random_state=seed).fit_transform(points)
        places: NDArray[np.float32] = TSNE(
            2,
            init="pca",
            perplexity=min(_PERPLEXITY, (len(points) - 1) / 3),
            max_iter=_ITERATIONS,
            random_state=seed,
        ).fit_transform(reduced)
    return places.astype(np.float64)
