"""Metrics of semantic segmentation over tallies: one row a picture, so that any choice of pictures can be scored.

Pixels that nobody labelled (IGNORE) count nowhere. IoU and Dice are taken over all pixels of a set, then averaged over the
classes that occur in it or in its answers (Everingham et al., "The Pascal visual object classes challenge", 2015). An edge
pixel of a class is right if the other's edge is near: Csurka et al., "What is a good evaluation measure for semantic
segmentation?", 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE
from foveate.metrics.detection import column

PerImageStats = Mapping[str, NDArray[Any]]

NEAR = 0.0075
"""How far an edge may be off, as a share of the picture's diagonal; a pixel at least."""
_BLOCK = 2048


@dataclass(frozen=True)
class ClassMetrics:
    """share: of the labelled pixels; NaN where a class does not occur."""

    share: float
    iou: float
    dice: float
    precision: float
    recall: float
    boundary_f1: float


def row(
    found: NDArray[np.integer], true: NDArray[np.integer], classes: int
) -> dict[str, list[list[int]]]:
    """What one picture adds to a tally, from (H, W) classes.

    cells: true * K + found and how many pixels, for each such pair that occurs
    edges: of each class that has any: itself, edge pixels found, of these the right ones, true ones, of these those found
    """
    if found.shape != true.shape:
        raise ValueError(
            f"an answer of {true.shape} is expected, as its truth has, got {found.shape}"
        )
    known = true != IGNORE
    if (found[known] < 0).any():
        raise ValueError("an answer is expected to name a class at each pixel that is labelled")
    pairs = np.zeros(classes**2, np.int64)
    for here in _blocks(true.shape):
        own = known[here]
        pairs += np.bincount(
            true[here][own].astype(np.int64) * classes + found[here][own], minlength=classes**2
        )
    cells = np.flatnonzero(pairs)
    edges = []
    for k in np.unique(np.concatenate([cells // classes, cells % classes])).tolist():
        own, theirs = edge(found == k, known), edge(true == k, known)
        if own.any() or theirs.any():
            edges.append([k, *_near(own, theirs), *_near(theirs, own)])
    return {"cells": [[int(cell), int(pairs[cell])] for cell in cells], "edges": edges}


def per_image_stats(rows: Sequence[Mapping[str, list[list[int]]]]) -> dict[str, NDArray[Any]]:
    """Rows as columns."""
    return {name: column([row[name] for row in rows]) for name in ("cells", "edges")}


def edge(inside: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W): pixels inside that have one of their four neighbours outside; what is not known has no edge."""
    edges = np.zeros_like(inside)
    for axis in (0, 1):
        ahead = [slice(None)] * 2
        behind = [slice(None)] * 2
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        one, other = tuple(ahead), tuple(behind)
        differ = (inside[one] != inside[other]) & known[one] & known[other]
        edges[one] |= differ & inside[one]
        edges[other] |= differ & inside[other]
    return edges


def _near(edges: NDArray[np.bool_], others: NDArray[np.bool_]) -> tuple[int, int]:
    """How many pixels of an edge there are, and how many of these have a pixel of the other one near."""
    from scipy.ndimage import distance_transform_edt

    count = int(edges.sum())
    if not count or not others.any():
        return count, 0
    far, right = max(1.0, NEAR * float(np.hypot(*edges.shape))), 0
    for here in _blocks(edges.shape):
        around = tuple(
            slice(max(0, own.start - math.ceil(far)), own.stop + math.ceil(far)) for own in here
        )
        if edges[here].any() and others[around].any():
            inner = tuple(
                slice(own.start - wide.start, own.stop - wide.start)
                for own, wide in zip(here, around, strict=True)
            )
            right += int((distance_transform_edt(~others[around])[inner][edges[here]] <= far).sum())
    return count, right


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) that a picture is gone through by, as to count takes many bytes a pixel."""
    height, width = shape
    for top in range(0, height, _BLOCK):
        for left in range(0, width, _BLOCK):
            yield slice(top, min(height, top + _BLOCK)), slice(left, min(width, left + _BLOCK))


class Scorer:
    """A tally as sparse counts, so that any choice of its pictures is scored by one sum."""

    def __init__(self, stats: PerImageStats, classes: int):
        from scipy.sparse import csr_array

        self.images, self.classes = len(stats["cells"]), classes

        def counts(column: str, places: int, width: int) -> Any:
            cells = [(image, *cell) for image, row in enumerate(stats[column]) for cell in row]
            table = np.array(cells, np.int64).reshape(-1, width)
            at = table[:, 0], table[:, 1]
            return [csr_array((table[:, k], at), (self.images, places)) for k in range(2, width)]

        (self.cells,), self.edges = counts("cells", classes**2, 3), counts("edges", classes, 6)

    def confusion(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """(K, K) pixels by their true class (row) and the one found (column); rows: pictures, as often as they stand there."""
        summed: NDArray[np.int64] = self._times(rows) @ self.cells
        return summed.reshape(self.classes, self.classes)

    def per_class(self, rows: NDArray[np.int64] | None = None) -> list[ClassMetrics]:
        """One row a class."""
        return [ClassMetrics(*map(float, row)) for row in self._rates(rows).T]

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """miou, dice: means over the classes that occur; pixel_accuracy; boundary_f1: mean over the classes with edges.
        NaN where no pixel is labelled.
        """
        share, iou, dice, _, recall, sharp = self._rates(rows)
        return {
            "miou": _mean(iou),
            "dice": _mean(dice),
            "pixel_accuracy": float((share * np.nan_to_num(recall)).sum()),
            "boundary_f1": _mean(sharp),
        }

    def _rates(self, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """(6, K) what `ClassFigures` holds."""
        pixels = self.confusion(rows)
        right, true, found = np.diag(pixels), pixels.sum(1), pixels.sum(0)
        found_edges, found_right, true_edges, true_right = (
            self._times(rows) @ kind for kind in self.edges
        )
        # Twice the harmonic mean of two shares, of which one is 0 where only one side has an edge.
        precision, recall = _ratio(found_right, found_edges), _ratio(true_right, true_edges)
        precision, recall = np.nan_to_num(precision), np.nan_to_num(recall)
        sharp = np.nan_to_num(_ratio(2 * precision * recall, precision + recall))
        return np.array(
            [
                _ratio(true, np.full(self.classes, true.sum())), _ratio(right, true + found - right),
                _ratio(2 * right, true + found), _ratio(right, found), _ratio(right, true),
                np.where(found_edges + true_edges > 0, sharp, np.nan),
            ]
        )  # fmt: skip

    def _times(self, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        return (
            np.ones(self.images, np.int64)
            if rows is None
            else np.bincount(rows, minlength=self.images)
        )


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=np.asarray(whole) > 0)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
