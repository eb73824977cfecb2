"""The run lengths of all objects of a label map at once, see `ops.rle`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def label_runs(ids: NDArray[np.integer]) -> dict[int, NDArray[np.int64]]:
    """Encode each object of a label map as COCO's run lengths.

    The map is scanned once, however many objects it has.

    Args:
        ids: (H, W) integers: 0 for background, another number for each object.

    Returns:
        (R,) int64 run lengths that fill the image, by number in ascending order.
    """
    flat = np.asarray(ids).ravel(order="F")
    if not flat.size:
        return {}
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    ends = np.append(starts[1:], flat.size)
    numbers = flat[starts]
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] != 0]
    if not len(order):
        return {}
    found, first = np.unique(numbers[order], return_index=True)
    edges = np.stack([starts[order], ends[order]], 1).ravel()
    lengths = np.diff(edges)
    runs: dict[int, NDArray[np.int64]] = {}
    bounds = [*(2 * first).tolist(), len(edges)]
    for number, low, high in zip(found.tolist(), bounds[:-1], bounds[1:], strict=True):
        rest = flat.size - edges[high - 1]
        runs[number] = np.concatenate(
            ([edges[low]], lengths[low : high - 1], [rest] if rest else [])
        ).astype(np.int64)
    return runs
