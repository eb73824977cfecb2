"""Outliers, semantic duplicates and splits that differ, by features of a pretrained net.

Images that lie far from all others in feature space are outliers. Two images that lie far nearer to
each other than is usual around them show one object or scene, even if no pixel agrees: semantic
duplicates (Abbas et al., "SemDeDup", 2023). A split whose images lie elsewhere is not
representative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit import representative
from foveate.audit.duplicates.neighbours import Index
from foveate.audit.finding import Finding
from foveate.audit.representative import TwoSamples
from foveate.data.dataset import Dataset, SplitName

OUTLIER = "outlier"
"""The check of images that lie far from all others."""
SEMANTIC_DUPLICATE = "semantic duplicate"
"""The check of two images of one object or scene, in one split."""
SEMANTIC_LEAK = "semantic duplicate between splits"
"""The same, in two splits."""
NEIGHBOURS = 10
"""Nearest images that each image is compared with; among fewer than twice as many, single images
are not reported."""
OUTLIER_NEIGHBOURS = 5
"""Nearest images whose mean distance tells an outlier: five strange images do not hide one
another's strangeness, six may."""
OUTLIER_DEVIATIONS = 3.0
"""Standard deviations from the median, estimated from the upper quartile, that make an outlier."""
MAX_OUTLIERS = 0.01
"""Largest fraction of images that are outliers: in some datasets many images are far from all."""
MAX_RATIO = 0.5
"""Cosine distance of two semantic duplicates, as a share of the usual one to their neighbours."""
_MAX_COPIES = 6  # of an image, itself included; one with more is no outlier
_MAX_IN_UNIT = 300  # images of one unit that are passed over on the way to the others
_EXACT = 8000  # images up to which all pairs are compared
_FAR_QUANTILE = 0.99  # of the distances within train; test images beyond it are far from train
_BLOCK = 500  # images whose distances are computed at once
_MIN_SPREAD = 0.01  # share of the median distance that a standard deviation is at least
_MIN_DEVIATION = 1e-6  # of a feature; what varies less is constant


@dataclass(frozen=True)
class SplitComparison:
    """A split compared with train.

    Attributes:
        two_samples: How well a classifier of features tells them apart; None if there are too few
            groups.
        far: Share of the split's images that are farther from the nearest train image than 99% of
            the train images are from another one.
        farthest: Rows of the split, the farthest from train first; without those that have no
            train image of another group near them.
        distances: (M,) the distance of each to its nearest train image, as a multiple of the median
            among train images; in the order of `farthest`.
    """

    two_samples: TwoSamples | None
    far: float
    farthest: NDArray[np.int64]
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSpace:
    """Where N images lie in feature space.

    Attributes:
        points: (N, D) float32, from `standardised`.
        distance: (N,) mean Euclidean distance to the OUTLIER_NEIGHBOURS nearest images, copies not
            counted, as a multiple of the median; NaN where there are too few.
        outliers: (M,) rows, those with the most deviations first.
        deviations: (M,) robust standard deviations by which their distance lies above the median of
            their class.
        duplicates: (M, 2) rows of semantic duplicates, the most alike first.
        ratio: (M,) their cosine distance, as a share of the usual one to their neighbours.
        comparisons: Each other split that the data assigns, compared with train.
    """

    points: NDArray[np.float32]
    distance: NDArray[np.float64]
    outliers: NDArray[np.int64]
    deviations: NDArray[np.float64]
    duplicates: NDArray[np.int64]
    ratio: NDArray[np.float64]
    comparisons: Mapping[SplitName, SplitComparison]

    @classmethod
    def of(
        cls,
        points: NDArray[np.float32],
        dataset: Dataset[Any],
        clusters: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
        seed: int = 0,
    ) -> FeatureSpace:
        """Search for outliers and semantic duplicates, and compare the splits.

        Args:
            points: (N, D) float32, from `standardised`.
            dataset: The N images.
            clusters: (N,) equal for copies of an image.
            labels: (N,) the class of each image, if each has one: images of some classes are less
                alike than those of others.
            seed: The seed of the comparison of splits.
        """
        units = representative.units_of(dataset, clusters)
        rows, cosines = _neighbours(points, points, clusters, clusters, NEIGHBOURS, _MAX_COPIES)
        nearest = _distances(points, points, rows, cosines)[:, :OUTLIER_NEIGHBOURS].mean(1)
        distance = nearest / _median(nearest)
        pairs, ratio = _semantic_duplicates(rows, 1 - cosines, units)
        comparisons = _comparisons(points, dataset, units, seed)
        return cls(points, distance, *_outliers(distance, labels), pairs, ratio, comparisons)

    def findings(self, dataset: Dataset[Any]) -> Iterator[Finding]:
        """A warning for each split that differs from train, and notes for single images."""
        for split, comparison in self.comparisons.items():
            compared = comparison.two_samples
            if compared is not None and compared.differ:
                yield compared.finding(split, "features of a pretrained net")
        for row, deviations in zip(self.outliers.tolist(), self.deviations.tolist(), strict=True):
            yield Finding(
                "note",
                OUTLIER,
                (dataset[row].id,),
                f"in feature space it is {deviations:.1f} robust standard deviations farther from "
                "the images nearest to it than is usual",
                "Look at it: does it belong to the dataset?",
                score=deviations,
            )
        for pair, ratio in zip(self.duplicates.tolist(), self.ratio.tolist(), strict=True):
            one, two = (dataset[row] for row in pair)
            across = None not in (one.split, two.split) and one.split != two.split
            where = f"one lies in {one.split}, one in {two.split}; " if across else ""
            yield Finding(
                "note",
                SEMANTIC_LEAK if across else SEMANTIC_DUPLICATE,
                (one.id, two.id),
                f"both seem to show one object or scene: {where}their distance in feature space "
                f"is {ratio:.0%} of what is usual around them",
                "Look at them: if they are one scene or object, keep them in one split.",
                score=1 - ratio,
            )


def standardised(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give each of the (N, D) features the mean 0 and the standard deviation 1."""
    if not len(features):
        return features
    mean, deviation = (
        np.asarray(f(features, 0, dtype=np.float64), np.float32) for f in (np.mean, np.std)
    )
    result: NDArray[np.float32] = features - mean
    result /= np.where(deviation < _MIN_DEVIATION, np.float32(np.inf), deviation)
    return result


def _neighbours(
    queries: NDArray[np.float32],
    points: NDArray[np.float32],
    query_units: NDArray[np.int64],
    units: NDArray[np.int64],
    count: int,
    passed_over: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The points of other units whose directions are nearest to those of the queries.

    Args:
        queries: (Q, D).
        points: (N, D).
        query_units: (Q,).
        units: (N,).
        count: K, the number of points to find.
        passed_over: Points of the query's own unit that may be nearer, the query included; beyond
            more of them nothing is found.

    Returns:
        (Q, K) rows, nearest first, and (Q, K) cosines, NaN where there are fewer points.
    """
    found = min(count + passed_over, len(points))
    if not found or not len(queries):
        return np.zeros((len(queries), count), np.int64), np.full((len(queries), count), np.nan)
    rows, near = Index(_unit(points), _EXACT).nearest(_unit(queries), count=found)
    cosines = near.astype(np.float64)
    cosines[(units[rows] == query_units[:, None]) | (cosines < -1.5)] = -np.inf
    order = np.argsort(-cosines, 1, kind="stable")[:, :count]
    rows, cosines = np.take_along_axis(rows, order, 1), np.take_along_axis(cosines, order, 1)
    cosines[np.isinf(cosines)] = np.nan
    missing = ((0, 0), (0, count - rows.shape[1]))
    return np.pad(rows, missing), np.pad(cosines, missing, constant_values=np.nan)


def _unit(points: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    result: NDArray[np.float32] = points / np.maximum(lengths, np.float32(1e-12))
    return result


def _distances(
    queries: NDArray[np.float32],
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    cosines: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(Q, K) Euclidean distances to what `_neighbours` found, ascending; NaN, which is last."""
    found = np.empty(rows.shape)
    for start in range(0, len(queries), _BLOCK):
        some = slice(start, start + _BLOCK)
        away = queries[some, None] - points[rows[some]]
        found[some] = np.linalg.norm(away, axis=2)
    found[np.isnan(cosines)] = np.nan
    return np.sort(found, 1)


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return max(float(np.median(known)), 1e-12) if len(known) else 1.0


def _outliers(
    distance: NDArray[np.float64], labels: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows that are farther from their neighbours than is usual in their class, and how far."""
    deviation = np.zeros(len(distance))
    known = np.flatnonzero(np.isfinite(distance))
    groups = [known]
    if labels is not None:  # those of small classes keep what all images give
        groups += [known[labels[known] == k] for k in np.unique(labels[known])]
    for rows in groups:
        if len(rows) < 2 * NEIGHBOURS:
            continue
        median, quartile = np.quantile(distance[rows], (0.5, 0.75))
        # The lower half does not count: copies that were not noticed would make it wide.
        scale = max((quartile - median) / 0.6745, _MIN_SPREAD * median, 1e-12)
        deviation[rows] = (distance[rows] - median) / scale
    order = np.argsort(-deviation, kind="stable")[: max(1, int(MAX_OUTLIERS * len(known)))]
    order = order[deviation[order] > OUTLIER_DEVIATIONS]
    return order, deviation[order]


def _semantic_duplicates(
    rows: NDArray[np.int64], distances: NDArray[np.float64], units: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs that are far nearer than their other neighbours.

    Args:
        rows: (N, K) the neighbours of each image, nearest first.
        distances: (N, K) their cosine distances.
        units: (N,) images of one unit are no pair: the split keeps them together anyway.
    """
    if len(rows) < 2 * NEIGHBOURS:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    known = np.flatnonzero(np.isfinite(distances).all(1))
    usual = np.full(len(rows), np.nan)
    usual[known] = np.median(distances[known, 2:], 1)
    nearest = rows[:, 0]
    ratio = distances[:, 0] / np.maximum(np.fmin(usual, usual[nearest]), 1e-12)
    ones = np.flatnonzero((ratio < MAX_RATIO) & (units != units[nearest]))
    pairs = np.sort(np.stack([ones, nearest[ones]], 1), 1)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    order = np.argsort(ratio[ones][first], kind="stable")
    return pairs[order], ratio[ones][first][order]


def _comparisons(
    points: NDArray[np.float32], dataset: Dataset[Any], units: NDArray[np.int64], seed: int
) -> dict[SplitName, SplitComparison]:
    rows = representative.comparable_splits(dataset)
    if len(rows) < 2:
        return {}
    train = rows.pop("train")
    largest = min(int(np.unique(units, return_counts=True)[1].max()), _MAX_IN_UNIT)

    def distance(some: NDArray[np.int64]) -> NDArray[np.float64]:
        """To the nearest train image of another unit; NaN if none is found."""
        rows, cosines = _neighbours(
            points[some], points[train], units[some], units[train], 1, largest
        )
        return _distances(points[some], points[train], rows, cosines)[:, 0]

    within = distance(train)
    within = within[np.isfinite(within)]
    usual = _median(within)
    limit = np.quantile(within, _FAR_QUANTILE) if len(within) else np.inf
    result: dict[SplitName, SplitComparison] = {}
    for split, other in rows.items():
        away = distance(other)
        order = np.argsort(-away, kind="stable")[: np.isfinite(away).sum()]
        result[split] = SplitComparison(
            representative.compare(points, train, other, units, seed),
            float((away > limit).mean()),
            other[order],
            away[order] / usual,
        )
    return result
