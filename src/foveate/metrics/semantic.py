"""Metrics of semantic segmentation.

They are computed from statistics with one row an image, so that any selection of images can be
scored. Unlabelled pixels (IGNORE) count nowhere. IoU and Dice are taken over all pixels of the
images, then averaged over the classes that occur in targets or predictions (Everingham et al., "The
Pascal visual object classes challenge", 2015). An edge pixel of a class is correct if the other
edge is near: Csurka et al., "What is a good evaluation measure for semantic segmentation?", 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.metrics.columns import MANY, Column
from foveate.metrics.metric import Metric, PerImageStats, means_of_known, ragged_column, ratio
from foveate.metrics.resampling import BatchScorer, Score

EDGE_TOLERANCE = 0.0075
"""How far an edge may be off, as a share of the image's diagonal; at least a pixel."""
_BLOCK_SIDE = 2048
"""Pixels a side that are counted at once."""


class SemanticMetric(Metric[Mask]):
    """Metrics of semantic segmentation with these classes."""

    min_images: ClassVar[int] = 150  # a class that few images show decides the means

    def __init__(self, classes: Sequence[str]):
        self.classes = classes

    def per_image(self, predictions: Sequence[Mask], targets: Sequence[Mask]) -> PerImageStats:
        """See `compare`."""
        rows = [
            compare(prediction.pixels.read(), target.pixels.read(), len(self.classes))
            for prediction, target in zip(predictions, targets, strict=True)
        ]
        return per_image_stats(rows)

    def scorer(self, stats: PerImageStats) -> Score:
        """Scores any selection of rows."""
        return Scorer(stats, len(self.classes))

    def columns(self) -> Mapping[str, Column]:
        """See `compare`."""
        count = len(self.classes)
        return {
            "cells": Column(("c", 2), high=(count**2 - 1, MANY)),
            "edges": Column(("e", 5), high=(count - 1, *[MANY] * 4)),
        }

    def to_column(self, values: list[Any]) -> NDArray[Any]:
        """Lists of unequal lengths."""
        return ragged_column(values)

    def check_targets(self, split: SplitName, targets: Sequence[Mask]) -> None:
        """Raise DataError if no pixel is labelled or, for training, all are of one class."""
        seen = {k for target in targets for k in target.present()}
        if not seen:
            purpose = "learnt" if split == "train" else "scored"
            raise DataError(
                f"no pixel of the {split} split is labelled, so nothing can be {purpose}",
                remedy="Label some, put labelled images into that split, or see what was read: "
                "foveate audit DATA.",
            )
        if split == "train" and len(seen) == 1:
            raise DataError(
                f"all labelled pixels of the train split are {self.classes[seen.pop()]!r}, "
                "so there is nothing to distinguish",
                remedy="Put images that show another class into the train split.",
            )


def class_counts(mask: Mask, num_classes: int) -> NDArray[np.int64]:
    """(K,) pixels of each class."""
    counts = np.zeros(num_classes, np.int64)
    for rows in np.array_split(mask.pixels.read(), 16):  # counting takes 8 bytes a pixel
        known = rows[(rows >= 0) & (rows < num_classes)]
        counts += np.bincount(known, minlength=num_classes)
    return counts


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class; NaN if it does not occur.

    Attributes:
        share: Share of the labelled pixels.
        iou: Intersection over union.
        dice: Dice coefficient.
        precision: Share of the pixels predicted as this class that belong to it.
        recall: Share of its pixels that are predicted as it.
        boundary_f1: F1 of its edge pixels.
    """

    share: float
    iou: float
    dice: float
    precision: float
    recall: float
    boundary_f1: float


def compare(
    predicted: NDArray[np.integer], true: NDArray[np.integer], num_classes: int
) -> dict[str, list[list[int]]]:
    """Compare the (H, W) classes of one image.

    Returns:
        cells: for each pair of classes that occurs, true * K + predicted and the number of pixels;
        edges: for each class with an edge itself, predicted edge pixels, how many of these are
        correct, true edge pixels, how many of these were found.

    Raises:
        ValueError: If the sizes differ, or a labelled pixel has no predicted class.
    """
    if predicted.shape != true.shape:
        raise ValueError(
            f"a prediction of shape {true.shape} is expected, as its target has, "
            f"got {predicted.shape}"
        )
    known = true != IGNORE
    if (predicted[known] < 0).any():
        raise ValueError("a prediction is expected to have a class at each labelled pixel")
    pairs = np.zeros(num_classes**2, np.int64)
    for block in _blocks(true.shape):
        inside = known[block]
        cells = true[block][inside].astype(np.int64) * num_classes + predicted[block][inside]
        pairs += np.bincount(cells, minlength=num_classes**2)
    occurring = np.flatnonzero(pairs)
    edges = []
    classes = np.concatenate([occurring // num_classes, occurring % num_classes])
    for k in np.unique(classes).tolist():
        predicted_edge, true_edge = edge(predicted == k, known), edge(true == k, known)
        if predicted_edge.any() or true_edge.any():
            counts = *_near(predicted_edge, true_edge), *_near(true_edge, predicted_edge)
            edges.append([k, *counts])
    return {"cells": [[int(cell), int(pairs[cell])] for cell in occurring], "edges": edges}


def per_image_stats(rows: Sequence[Mapping[str, list[list[int]]]]) -> dict[str, NDArray[Any]]:
    """The results of `compare` as columns."""
    return {name: ragged_column([row[name] for row in rows]) for name in ("cells", "edges")}


def edge(inside: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels inside with one of four neighbours outside; both must be known."""
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
    """How many edge pixels there are, and how many have a pixel of the other edge near."""
    from scipy.ndimage import distance_transform_edt

    count = int(edges.sum())
    if not count or not others.any():
        return count, 0
    tolerance, near = max(1.0, EDGE_TOLERANCE * float(np.hypot(*edges.shape))), 0
    margin = math.ceil(tolerance)
    for block in _blocks(edges.shape):
        around = tuple(slice(max(0, one.start - margin), one.stop + margin) for one in block)
        if edges[block].any() and others[around].any():
            inner = tuple(
                slice(one.start - wide.start, one.stop - wide.start)
                for one, wide in zip(block, around, strict=True)
            )
            distances = distance_transform_edt(~others[around])[inner]
            near += int((distances[edges[block]] <= tolerance).sum())
    return count, near


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) of the blocks that are counted one by one, as that takes many bytes."""
    height, width = shape
    for top in range(0, height, _BLOCK_SIDE):
        for left in range(0, width, _BLOCK_SIDE):
            bottom, right = min(height, top + _BLOCK_SIDE), min(width, left + _BLOCK_SIDE)
            yield slice(top, bottom), slice(left, right)


class Scorer(BatchScorer):
    """Sparse counts of each image, so that any selection of images is scored by one sum.

    Metrics: miou, dice: means over the classes that occur; pixel_accuracy; boundary_f1: mean over
    the classes with edges. NaN if no pixel is labelled.
    """

    def __init__(self, stats: PerImageStats, num_classes: int):
        from scipy.sparse import csr_array

        self.images, self.num_classes = len(stats["cells"]), num_classes
        self.width = num_classes**2

        def counts(column: str, places: int, width: int) -> Any:
            cells = [(image, *cell) for image, row in enumerate(stats[column]) for cell in row]
            table = np.array(cells, np.int64).reshape(-1, width)
            at = table[:, 0], table[:, 1]
            return [csr_array((table[:, k], at), (self.images, places)) for k in range(2, width)]

        (self.cells,) = counts("cells", num_classes**2, 3)
        self.edges = counts("edges", num_classes, 6)

    def confusion(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """(K, K) pixels: a row for each true class, a column for each predicted one.

        Args:
            rows: Images, each as often as it counts; by default all once.
        """
        counts: NDArray[np.int64] = self._confusion(self._times(rows))[0]
        return counts

    def per_class(self, rows: NDArray[np.int64] | None = None) -> list[ClassMetrics]:
        """The metrics of each class."""
        return [ClassMetrics(*map(float, row)) for row in self._rates(self._times(rows))[:, 0].T]

    def of_times(self, times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """See `BatchScorer.of_times`."""
        share, iou, dice, _, recall, boundary_f1 = self._rates(times)
        return {
            "miou": means_of_known(iou),
            "dice": means_of_known(dice),
            "pixel_accuracy": (share * np.nan_to_num(recall)).sum(1),
            "boundary_f1": means_of_known(boundary_f1),
        }

    def _confusion(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, K, K)."""
        summed: NDArray[np.int64] = times @ self.cells
        counts: NDArray[np.int64] = summed.reshape(-1, self.num_classes, self.num_classes)
        return counts

    def _rates(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """(6, B, K) the attributes of `ClassMetrics`."""
        pixels = self._confusion(times)
        hits = np.diagonal(pixels, axis1=1, axis2=2)
        true, predicted = pixels.sum(2), pixels.sum(1)
        predicted_edges, correct_edges, true_edges, found_edges = (
            times @ counts for counts in self.edges
        )
        # The harmonic mean of two shares, of which one is 0 if only one side has an edge.
        precision, recall = ratio(correct_edges, predicted_edges), ratio(found_edges, true_edges)
        precision, recall = np.nan_to_num(precision), np.nan_to_num(recall)
        f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
        return np.array(
            [
                ratio(true, np.broadcast_to(true.sum(1, keepdims=True), true.shape)),
                ratio(hits, true + predicted - hits),
                ratio(2 * hits, true + predicted),
                ratio(hits, predicted),
                ratio(hits, true),
                np.where(predicted_edges + true_edges > 0, f1, np.nan),
            ]
        )

    def _times(self, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """(1, images) how often each image counts."""
        if rows is None:
            return np.ones((1, self.images), np.int64)
        return np.bincount(rows, minlength=self.images)[None]
