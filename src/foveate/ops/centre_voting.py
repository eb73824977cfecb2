"""Instances from votes: each pixel votes for its object's centre, and dense votes make an object.

After Cheng et al., "Panoptic-DeepLab: A simple, strong, and fast baseline for bottom-up panoptic
segmentation", 2020, without its map of centres: the density of the votes tells as much (Leibe et
al., "Robust object detection with interleaved categorization and segmentation", 2008).

Instances are (H, W) integers: objects count from 1, 0 is background. Positions are rows and
columns in continuous pixel coordinates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MERGE_DISTANCE = 0.4
"""Centres closer than this belong to one object, and votes closer than this agree with it. The unit
is the side of a square with the object's area."""
MERGE_VALLEY = 0.4
"""Two centres also belong to one object if the density of the votes between them, blurred half as
much, never falls below this fraction of the lower one's."""
MIN_VOTES = 4
"""Smallest number of votes that make an object."""
_PAIRS_AT_ONCE = 200_000  # of peaks that are compared: few, as most peaks soon are merged


def centres(ids: NDArray[np.integer], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compute the centre of each object.

    Args:
        ids: (H, W) instances.
        count: Number of objects.

    Returns:
        (count, 2) mean position of each object's pixels, (0, 0) if it has none; and (count,)
        number of its pixels.
    """
    rows, columns = np.nonzero(ids)
    values = ids[rows, columns]
    area = np.bincount(values, minlength=count + 1)[1:]
    sums = [np.bincount(values, axis + 0.5, count + 1)[1:] for axis in (rows, columns)]
    return (np.stack(sums, 1) / np.maximum(area, 1)[:, None]).astype(np.float32), area


def centre_offsets(ids: NDArray[np.integer], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the offset from each pixel to its object's centre.

    Args:
        ids: (H, W) instances.
        centres: (N, 2) from `centres`.

    Returns:
        (2, H, W) rows and columns; 0 in the background.
    """
    height, width = ids.shape
    rows, columns = np.concatenate([np.zeros((1, 2), np.float32), centres]).T.copy()
    offsets = np.empty((2, height, width), np.float32)
    offsets[0] = rows[ids] - (np.arange(height, dtype=np.float32) + 0.5)[:, None]
    offsets[1] = columns[ids] - (np.arange(width, dtype=np.float32) + 0.5)
    offsets *= ids > 0
    return offsets


def group_votes(
    offsets: NDArray[np.float32], foreground: NDArray[np.bool_], blur: float
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Group pixels whose votes gather at one centre.

    Args:
        offsets: (2, H, W) as from `centre_offsets`.
        foreground: (H, W), whether a pixel belongs to any object.
        blur: Standard deviation in pixels of the votes' density; more gives fewer objects.

    Returns:
        (H, W) instances, and (N,) the fraction of each object's votes that agree, from 0 to 1.
    """
    from scipy.spatial import cKDTree

    ids = np.zeros(foreground.shape, np.int32)
    rows, columns = np.nonzero(foreground)
    if not len(rows):
        return ids, np.zeros(0)
    votes = (np.stack([rows, columns], 1) + 0.5 + offsets[:, rows, columns].T).astype(np.float64)
    peaks = _peaks(_density(votes, foreground.shape, blur), blur)
    nearest = cKDTree(peaks).query(votes)[1]
    area = np.bincount(nearest, minlength=len(peaks))
    distinct = _distinct(peaks, area, _density(votes, foreground.shape, blur / 2))
    distance, nearest = cKDTree(peaks[distinct]).query(votes)
    count = int(distinct.sum())
    area = np.bincount(nearest, minlength=count)
    agrees = distance <= np.maximum(2.0, MERGE_DISTANCE * np.sqrt(area))[nearest]
    agreement = np.bincount(nearest, agrees, count) / np.maximum(area, 1)
    large = area >= MIN_VOTES
    ids[rows, columns] = (np.cumsum(large) * large)[nearest]
    return ids, agreement[large]


def _density(
    votes: NDArray[np.float64], shape: tuple[int, ...], blur: float
) -> NDArray[np.float32]:
    """(N, 2) -> (H, W) number of votes at each pixel, blurred."""
    from scipy.ndimage import gaussian_filter

    cells = np.clip(votes, 0, np.array(shape) - 1).astype(np.int64)
    flat = np.ravel_multi_index(tuple(cells.T), shape)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
    density: NDArray[np.float32] = gaussian_filter(counts.astype(np.float32), blur, mode="constant")
    return density


def _peaks(density: NDArray[np.float32], blur: float) -> NDArray[np.float64]:
    """(N, 2) local maxima of the density, the densest first; at least one."""
    from scipy.ndimage import maximum_filter

    peak = (density == maximum_filter(density, 2 * int(np.ceil(blur)) + 1)) & (density > 0)
    # At least half the density of MIN_VOTES at one position; but the highest peak always counts.
    peak &= density >= min(MIN_VOTES / (2 * np.pi * blur**2) / 2, float(density.max()))
    rows, columns = np.nonzero(peak)
    order = np.argsort(-density[rows, columns], kind="stable")
    return (np.stack([rows, columns], 1)[order] + 0.5).astype(np.float64)


def _distinct(
    peaks: NDArray[np.float64], area: NDArray[np.int64], density: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(N,) which peaks do not merge with a denser one; the densest come first."""
    from scipy.spatial import cKDTree

    distinct, tree, largest = area > 0, cKDTree(peaks), area.max()
    height = density[tuple(peaks.astype(np.int64).T)]
    # No peak farther away can merge. Comparing all pairs would take hours for a slide with
    # thousands of cells.
    radius = np.sqrt(np.maximum(2.1, area + largest))
    pairs = np.cumsum(tree.query_ball_point(peaks, radius, return_length=True))
    cuts = np.flatnonzero(np.diff(pairs // _PAIRS_AT_ONCE)) + 1
    for rows in np.split(np.arange(len(peaks)), cuts):
        rows = rows[distinct[rows]]
        around = tree.query_ball_point(peaks[rows], radius[rows])
        first = np.repeat(rows, [len(one) for one in around])
        second = np.concatenate([*around, []]).astype(np.int64)
        later = (second > first) & distinct[second]
        first, second = first[later], second[later]
        merges = _merges(peaks, area, density, height, first, second)
        for row, other in zip(first[merges].tolist(), second[merges].tolist(), strict=True):
            if distinct[row]:
                distinct[other] = False
    return distinct


def _merges(
    peaks: NDArray[np.float64],
    area: NDArray[np.int64],
    density: NDArray[np.float32],
    height: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """(P,) whether the peaks first[i] and second[i] are those of one object."""
    squared = ((peaks[second] - peaks[first]) ** 2).sum(1)
    # Neighbouring pixels always merge: votes on the line between them went to both.
    limit = np.maximum(2.1, MERGE_DISTANCE**2 * np.maximum(area[first], area[second]))
    merged: NDArray[np.bool_] = squared < limit
    near = np.flatnonzero(~merged & (squared < area[first] + area[second]))
    fractions = np.linspace(0, 1, 9)[:, None, None]
    line = peaks[first[near]] + fractions * (peaks[second[near]] - peaks[first[near]])
    valley = density[tuple(np.moveaxis(line.astype(np.int64), -1, 0))].min(0)
    merged[near] = valley > MERGE_VALLEY * height[second[near]]
    return merged
