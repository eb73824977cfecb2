"""Search for duplicates: equal images, and images that were changed a little.

Found are copies that were resized, re-encoded, brightened, mirrored, turned by quarters, inverted,
cropped by up to a fifth of a side, or shifted by up to a tenth; see `near`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.duplicates.near import near_pairs
from foveate.data.dataset import Dataset
from foveate.data.mirroring import mirror_keeps_class

__all__ = ["DuplicateClusters", "components", "directed_classes", "find"]


@dataclass(frozen=True)
class DuplicateClusters:
    """Which images are copies of one another.

    Attributes:
        clusters: (N,) int64, equal for copies of one image.
        pairs: (M, 2) int64, rows that are copies.
        changes: For each pair, how they differ in words, e.g. "mirrored"; empty if they are equal
            or differ by size, encoding, brightness or a slight crop only.
    """

    clusters: NDArray[np.int64]
    pairs: NDArray[np.int64]
    changes: tuple[str, ...]


def find(
    hashes: Sequence[str],
    image_stats: NDArray[Any],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    directed: Sequence[Hashable] | None = None,
) -> DuplicateClusters:
    """Find duplicates and near duplicates.

    Args:
        hashes: The content hash of each image.
        image_stats: (N,) of IMAGE_STATS.
        on_progress: Called with (searches done, searches in all).
        directed: The classes of each image where turning may change them, see
            `directed_classes`: mirrored and turned images of two classes are then no copies.
    """
    first: dict[str, int] = {}
    exact = np.array([first.setdefault(digest, row) for row, digest in enumerate(hashes)], np.int64)
    unique = np.flatnonzero(exact == np.arange(len(exact)))
    near = near_pairs(image_stats["thumb"][unique], on_progress)
    near_rows, changes = unique[near.rows], list(near.changes)
    if directed is not None:
        kept = [
            not turned or directed[one] == directed[two]
            for turned, (one, two) in zip(near.turned, near_rows.tolist(), strict=True)
        ]
        near_rows = near_rows[np.array(kept, bool)]
        changes = [change for change, keep in zip(changes, kept, strict=True) if keep]
    same = np.flatnonzero(exact != np.arange(len(exact)))
    pairs = np.concatenate([np.stack([exact[same], same], 1), near_rows]).astype(np.int64)
    return DuplicateClusters(components(len(exact), pairs), pairs, ("",) * len(same) + (*changes,))


def directed_classes(dataset: Dataset[Any]) -> list[Hashable] | None:
    """Return the classes of each image if turning may change them, as it makes a 6 a 9."""
    if mirror_keeps_class(dataset.hflip_safe, dataset.classes):
        return None
    return [None if s.target is None else tuple(s.target.present()) for s in dataset]


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute the connected component of each of `count` rows, from (M, 2) pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    result: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return result
