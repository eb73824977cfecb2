"""Things told apart by where their middle is: each pixel votes for the middle of its thing, and votes that gather are a thing.

After Cheng et al., "Panoptic-DeepLab: A simple, strong, and fast baseline for bottom-up panoptic segmentation", 2020, without its
map of middles: where the votes lie dense tells as much (Leibe et al., "Robust object detection with interleaved categorization
and segmentation", 2008). A thing is numbered from 1, in an (H, W) picture of numbers; 0 is no thing. Places are rows and columns,
counted between pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOGETHER = 0.4
"""Of the side of a square as large as the thing: middles nearer than that are one thing's, and votes nearer are sure."""
VALLEY = 0.4
"""Two middles are one thing's, too, if votes between them, blurred half as much, lie nowhere less dense than that share of the
less dense of the two."""
LEAST = 4
"""Votes that make a thing."""


def middles(ids: NDArray[np.integer], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(count, 2) the mean place of each thing's pixels, and (count,) how many it has; a thing without pixels is at 0, 0."""
    down, across = np.nonzero(ids)
    own = ids[down, across]
    area = np.bincount(own, minlength=count + 1)[1:]
    rows, columns = (np.bincount(own, axis + 0.5, count + 1)[1:] for axis in (down, across))
    return (np.stack([rows, columns], 1) / np.maximum(area, 1)[:, None]).astype(np.float32), area


def offsets(ids: NDArray[np.integer], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, H, W) rows and columns from each pixel to its thing's middle; 0 where no thing is."""
    height, width = ids.shape
    rows, columns = np.concatenate([np.zeros((1, 2), np.float32), places]).T.copy()
    away = np.empty((2, height, width), np.float32)
    away[0] = rows[ids] - (np.arange(height, dtype=np.float32) + 0.5)[:, None]
    away[1] = columns[ids] - (np.arange(width, dtype=np.float32) + 0.5)
    away *= ids > 0
    return away


def grouped(
    to_middle: NDArray[np.float32], inside: NDArray[np.bool_], blur: float
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """(H, W) numbers of things, and (N,) how well the votes of each agree, from 0 to 1.

    to_middle: (2, H, W) as of `offsets`; inside: (H, W) whether a pixel belongs to any thing; blur: pixels (standard deviation)
    that votes are spread over before they are counted: the more, the fewer things
    """
    from scipy.spatial import cKDTree

    ids = np.zeros(inside.shape, np.int32)
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return ids, np.zeros(0)
    votes = (np.stack([rows, columns], 1) + 0.5 + to_middle[:, rows, columns].T).astype(np.float64)
    middles = _peaks(_density(votes, inside.shape, blur), blur)
    nearest = cKDTree(middles).query(votes)[1]
    kept = _apart(
        middles,
        np.bincount(nearest, minlength=len(middles)),
        _density(votes, inside.shape, blur / 2),
    )
    away, nearest = cKDTree(middles[kept]).query(votes)
    count = int(kept.sum())
    area = np.bincount(nearest, minlength=count)
    sure = np.bincount(nearest, away <= np.maximum(2.0, TOGETHER * np.sqrt(area))[nearest], count)
    number = np.cumsum(area >= LEAST) * (area >= LEAST)
    ids[rows, columns] = number[nearest]
    return ids, (sure / np.maximum(area, 1))[area >= LEAST]


def _density(
    votes: NDArray[np.float64], shape: tuple[int, ...], blur: float
) -> NDArray[np.float32]:
    """(N, 2) -> (H, W) votes for each pixel, blurred."""
    from scipy.ndimage import gaussian_filter

    cells = np.clip(votes, 0, np.array(shape) - 1).astype(np.int64)
    counts = np.bincount(
        np.ravel_multi_index(tuple(cells.T), shape), minlength=int(np.prod(shape))
    ).reshape(shape)
    density: NDArray[np.float32] = gaussian_filter(counts.astype(np.float32), blur, mode="constant")
    return density


def _peaks(density: NDArray[np.float32], blur: float) -> NDArray[np.float64]:
    """(N, 2) where votes are densest in their surroundings, the densest first; one at least."""
    from scipy.ndimage import maximum_filter

    top = (density == maximum_filter(density, 2 * int(np.ceil(blur)) + 1)) & (density > 0)
    # What LEAST votes at one place come to is the least that counts, or the highest there is.
    top &= density >= min(LEAST / (2 * np.pi * blur**2) / 2, float(density.max()))
    rows, columns = np.nonzero(top)
    order = np.argsort(-density[rows, columns], kind="stable")
    return (np.stack([rows, columns], 1)[order] + 0.5).astype(np.float64)


def _apart(
    places: NDArray[np.float64], area: NDArray[np.int64], density: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which middles are not one with a denser one, by their order."""
    from scipy.spatial import cKDTree

    kept, tree, largest = area > 0, cKDTree(places), area.max()
    height = density[tuple(places.astype(np.int64).T)]
    along = np.linspace(0, 1, 9)[:, None, None]
    for row in np.arange(len(places)):
        if not kept[row]:
            continue
        # No further one can be one with it. Of all others it would be hours on a slide with thousands of cells.
        around = tree.query_ball_point(
            places[row], np.sqrt(max(2.1, area[row] + largest)), return_sorted=True
        )
        others = np.array(around, np.int64)
        others = others[(others > row) & kept[others]]
        away = ((places[others] - places[row]) ** 2).sum(1)
        # Cells that touch are one: votes that fall on the line between them went to both.
        one = away < np.maximum(2.1, TOGETHER**2 * np.maximum(area[row], area[others]))
        near = away < area[row] + area[others]
        way = (places[row] + along * (places[others[near]] - places[row])).astype(np.int64)
        one[near] |= density[way[..., 0], way[..., 1]].min(0) > VALLEY * height[others[near]]
        kept[others[one]] = False
    return kept
