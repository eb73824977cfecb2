"""The interface of a task's metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import SplitName
from foveate.metrics.columns import Column
from foveate.metrics.intervals import MIN_IMAGES, MetricValue, Range
from foveate.metrics.resampling import Score

A = TypeVar("A")

PerImageStats = Mapping[str, NDArray[Any]]
"""Columns with one row an image. Any selection of rows can be scored, so every metric can have
a confidence interval."""


class Metric(ABC, Generic[A]):
    """Compares predictions with targets image by image, then over any selection of images.

    Attributes:
        ranges: Lowest and highest value of each metric that is not from 0 to 1.
        min_images: Images below which intervals from resamples are called rough, as
            `benchmarks/coverage.py` measures them; so they are with a fifth as many groups.
    """

    ranges: ClassVar[Mapping[str, Range]] = {}
    min_images: ClassVar[int] = MIN_IMAGES

    @abstractmethod
    def per_image(self, predictions: Sequence[A], targets: Sequence[A]) -> PerImageStats:
        """Compare predictions with targets, one row an image."""

    @abstractmethod
    def scorer(self, stats: PerImageStats) -> Score:
        """A function from rows to metrics, which the bootstrap calls a thousand times."""

    def exact_values(
        self, stats: PerImageStats, clusters: NDArray[np.int64] | None = None
    ) -> dict[str, MetricValue]:
        """Metrics with an interval that needs no resamples.

        Args:
            stats: From `per_image`.
            clusters: (N,) equal for images that belong together.
        """
        return {}

    def exact_lifts(
        self,
        stats: PerImageStats,
        baseline: PerImageStats,
        clusters: NDArray[np.int64] | None = None,
    ) -> dict[str, MetricValue]:
        """Lifts over a baseline with an interval that needs no resamples; see `exact_values`."""
        return {}

    def rough(
        self, stats: PerImageStats, clusters: NDArray[np.int64] | None = None
    ) -> frozenset[str]:
        """Metrics whose interval from resamples cannot be trusted on these images."""
        return frozenset()

    def compute(self, stats: PerImageStats) -> dict[str, float]:
        """All metrics over all rows."""
        return dict(self.scorer(stats)(None))

    def score(self, predictions: Sequence[A], targets: Sequence[A]) -> dict[str, float]:
        """All metrics of these predictions."""
        return self.compute(self.per_image(predictions, targets))

    @abstractmethod
    def columns(self) -> Mapping[str, Column]:
        """What each column of the statistics may hold."""

    def to_column(self, values: list[Any]) -> NDArray[Any]:
        """One column of the statistics from plain values, one an image, as read from a file."""
        return np.array(values)

    def check_targets(self, split: SplitName, targets: Sequence[A]) -> None:
        """Raise DataError if nothing can be learnt or scored on the targets of this split."""

    def label_errors(self, predictions: Sequence[A], targets: Sequence[A]) -> list[int] | None:
        """Rows whose target looks wrong, the most suspicious first; None if this is unknown.

        Args:
            predictions: Of a model that was not trained on these images.
            targets: Their targets.
        """
        return None


def ragged_column(values: Sequence[Any]) -> NDArray[Any]:
    """(N,) of objects: lists of unequal lengths as one column."""
    column = np.empty(len(values), object)
    column[:] = values
    return column


def means_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, K) -> (B,) the mean of the values that are not NaN; NaN if there are none."""
    known = ~np.isnan(values)
    count, total = known.sum(1), np.where(known, values, 0.0).sum(1)
    return ratio(total, count)


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """The quotients; NaN where the denominator is 0."""
    nan = np.full(numerator.shape, np.nan)
    quotient: NDArray[np.float64] = np.divide(
        numerator, denominator, out=nan, where=np.asarray(denominator) > 0
    )
    return quotient


def empty_split_message(split: SplitName, lacking: str) -> str:
    """Why a split cannot be used: "no image of the train split has a box ..."."""
    purpose = "learnt" if split == "train" else "scored"
    return f"no image of the {split} split has {lacking}, so nothing can be {purpose}"
