"""Average precision as COCO defines it, for any selection of images.

Lin et al., "Microsoft COCO: Common objects in context", 2014; equal to pycocotools (tests check it
to 1e-9). Matching happens within an image (`metrics.matching`), so it is done once; a resample only
counts each image another number of times, and many resamples are counted at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.metrics.matching import BITS, SIZES, THRESHOLDS
from foveate.metrics.metric import PerImageStats, means_of_known
from foveate.metrics.resampling import BatchScorer

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is averaged."""


MIN_IMAGES = 200
"""Images below which the interval of an average precision is rough."""
MAX_CELLS = 100_000
"""Numbers held at once while resamples are scored, so that they fit a core's cache."""


class Scorer(BatchScorer):
    """Predictions sorted by score, so that any selection of images is scored by counting.

    Metrics: map: mean average precision over classes and THRESHOLDS; map50 and map75: at one of
    these; map_small, map_medium, map_large: of objects of that size; recall: mean over classes and
    thresholds of the share of the objects that was found. NaN if there is no object.
    """

    def __init__(self, stats: PerImageStats, num_classes: int):
        self.images = len(stats["scores"])
        image, scores, classes = flatten(stats, "scores", "classes")
        hits, ignored = (
            bits.astype(np.int64)
            for bits in flatten(stats, "hits", "ignored", width=len(SIZES))[1:]
        )
        order = np.argsort(-scores, kind="stable")
        target_image, targets = flatten(stats, "target_classes")
        counted = flatten(stats, "counted", width=len(SIZES))[1]
        self.curves: list[tuple[int, Curves]] = []
        for k in range(num_classes):
            rows, required = order[classes[order] == k], np.zeros((self.images, len(SIZES)))
            np.add.at(required, target_image[targets == k], counted[targets == k])
            if required.any():
                self.curves.append((k, Curves(image[rows], hits[rows], ignored[rows], required)))
        self.shape = (num_classes, len(SIZES), len(THRESHOLDS))
        self.width = int(np.prod(self.shape))

    def of_times(self, times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """See `BatchScorer.of_times`."""
        precision, recall = self.average_precision(times)
        return {
            "map": means_of_known(precision[:, :, 0].reshape(len(times), -1)),
            "map50": means_of_known(precision[:, :, 0, 0]),
            "map75": means_of_known(precision[:, :, 0, 5]),
            "map_small": means_of_known(precision[:, :, 1].reshape(len(times), -1)),
            "map_medium": means_of_known(precision[:, :, 2].reshape(len(times), -1)),
            "map_large": means_of_known(precision[:, :, 3].reshape(len(times), -1)),
            "recall": means_of_known(recall[:, :, 0].reshape(len(times), -1)),
        }

    def average_precision(
        self, times: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(B, K, sizes, thresholds) average precision, and recall; NaN for a class without objects.

        Args:
            times: (B, images) how often each image counts.
        """
        shape = (len(times), *self.shape)
        precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
        for k, curves in self.curves:
            at_once = max(1, MAX_CELLS // max(1, curves.cells))
            for start in range(0, len(times), at_once):
                some = slice(start, start + at_once)
                precision[some, k], recall[some, k] = curves.average(times[some])
        return precision, recall


class Curves:
    """Precision-recall curves of one class, for S ranges of object sizes.

    Args:
        image: (D,) image of each prediction, by falling score.
        hits: (D, S) a bit for each of THRESHOLDS at which the prediction is a hit.
        ignored: (D, S) likewise, at which it counts neither for nor against the model.
        required: (images, S) objects that count.
    """

    def __init__(
        self,
        image: NDArray[np.int64],
        hits: NDArray[np.int64],
        ignored: NDArray[np.int64],
        required: NDArray[np.float64],
    ):
        # Predictions after the last hit change nothing.
        end = int(np.flatnonzero(hits.any(1))[-1]) + 1 if hits.any() else 0
        self.image, self.required = image[:end], required
        hit = (hits[:end, :, None] & BITS) > 0
        wrong = ~hit & ((ignored[:end, :, None] & BITS) == 0)
        # Most predictions are hits at no threshold, and wrong at all of them or at none: these are
        # counted once for all thresholds.
        mixed = (hit.any(2) | (wrong.any(2) & ~wrong.all(2))).any(1)
        self.plain = wrong[:, :, 0] & ~mixed[:, None]
        self.mixed = np.flatnonzero(mixed)
        columns = required.shape[1] * len(THRESHOLDS)
        self.hit, self.wrong = (
            one[mixed].reshape(len(self.mixed), columns) for one in (hit, wrong)
        )
        self.steps = np.flatnonzero(self.hit.any(1))  # precision is highest at a hit
        self.cells = max(self.hit.size, self.plain.size)

    def average(self, times: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Average precision and recall.

        Args:
            times: (B, images) how often each image counts. An image that counts twice has two boxes
                where it had one; no curve sees the step between them.

        Returns:
            (B, S, thresholds) mean precision at RECALLS, and the recall of all predictions; NaN if
            no object counts.
        """
        shape = (len(times), self.required.shape[1], len(THRESHOLDS))
        total = times @ self.required
        weight = times[:, self.image, None]
        plain = (self.plain * weight).cumsum(1)[:, self.mixed[self.steps]]
        plain = plain.repeat(len(THRESHOLDS), 2)
        hits = (self.hit * weight[:, self.mixed]).cumsum(1)[:, self.steps]
        wrong = (self.wrong * weight[:, self.mixed]).cumsum(1)[:, self.steps] + plain
        recall = hits / np.repeat(np.maximum(total, 1), len(THRESHOLDS), 1)[:, None]
        precision = hits / np.maximum(hits + wrong, np.finfo(float).eps)
        # Each precision is the best at its recall or beyond, so that the curve falls.
        best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        reached = _recalls_reached(recall)
        averages = (np.diff(reached, axis=1, prepend=0) * best).sum(1) / len(RECALLS)
        recalls = recall[:, -1] if recall.shape[1] else np.zeros(averages.shape)
        without = (total == 0)[:, :, None]
        return (
            np.where(without, np.nan, averages.reshape(shape)),
            np.where(without, np.nan, recalls.reshape(shape)),
        )


def _recalls_reached(recall: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of RECALLS each recall reaches: as np.searchsorted, in half the time."""
    index = (recall * (len(RECALLS) - 1)).astype(np.int64)  # may be one off by rounding
    index -= RECALLS[index] > recall
    index += np.append(RECALLS, np.inf)[index + 1] <= recall
    return index + 1


def flatten(stats: PerImageStats, *names: str, width: int = 0) -> list[NDArray[Any]]:
    """Columns of lists, concatenated; the first array is the image of each entry."""
    counts = [len(each) for each in stats[names[0]]]
    columns: list[NDArray[Any]] = [np.repeat(np.arange(len(counts)), counts)]
    for name in names:
        entries = [one for each in stats[name] for one in each]
        columns.append(np.array(entries) if entries else np.zeros((0, width) if width else 0))
    return columns
