"""Checks whether the splits look alike.

A model learns from images like the train split, and is evaluated on images like the test split. The
test is a classifier's (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017): if a
simple one distinguishes train from test images better than by chance, on images that it was not
fitted to, they differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from foveate.audit.finding import Finding
from foveate.data.dataset import SPLITS, Dataset, SplitName
from foveate.data.split.units import group_into_units

MAX_P_VALUE = 0.001
"""The p-value below which a difference counts as real."""
MIN_AUC = 0.65
"""AUC of the classifier from which a difference is also large enough to matter."""
MAX_KS_DISTANCE = 0.2
"""Largest Kolmogorov-Smirnov distance between two distributions that is no drift."""
MAX_CLASS_SHIFT = 0.1
"""Largest total variation distance between two class distributions that is no drift."""
MAX_IMAGES = 2000
"""Images of each split that the classifier sees."""
MIN_IMAGES = 30
"""Images of each split that a comparison needs."""
MIN_UNITS = 8
"""Units of each split, such as patients, that the classifier needs: half of them are for the
test, and fewer could never show a difference."""
_THUMB_SIDE = 8  # pixels a side of the thumbnails that the classifier sees
_NORMAL_95 = 1.959964  # standard deviations of a normal distribution that hold 95%


@dataclass(frozen=True)
class TwoSamples:
    """How well a classifier distinguishes two samples that it was not fitted to.

    Attributes:
        auc: Area under the ROC curve; 0.5 is chance.
        low: Lower end of its 95% confidence interval.
        high: Upper end.
        p: How often an AUC this large occurs by chance, if both samples are alike.
    """

    auc: float
    low: float
    high: float
    p: float

    @property
    def differ(self) -> bool:
        """Whether the difference is real, and large enough to matter."""
        return self.p < MAX_P_VALUE and self.auc > MIN_AUC

    def finding(self, split: SplitName, seen: str) -> Finding:
        """Report the difference between train and another split.

        Args:
            split: The other split.
            seen: What the classifier sees of an image.
        """
        return Finding(
            "warning",
            "splits look different",
            (),
            f"a simple classifier that sees {seen} distinguishes train from {split} images with an "
            f"AUC of {self.auc:.2f} ({self.low:.2f} to {self.high:.2f}; chance is 0.50, "
            f"p = {self.p:.1g})",
            "Draw the splits from one pool, or say that the metrics hold for images like those.",
            score=self.auc,
        )


def check(
    dataset: Dataset[Any], image_stats: NDArray[Any], clusters: NDArray[np.int64], seed: int = 0
) -> Iterator[Finding]:
    """Check the splits that the data assigns.

    Args:
        dataset: The readable samples.
        image_stats: (N,) of IMAGE_STATS.
        clusters: (N,) equal for copies of an image.
        seed: The seed of the classifier's sample.
    """
    rows = comparable_splits(dataset)
    if len(rows) < 2:
        return
    units, inputs, train = units_of(dataset, clusters), features(image_stats), rows.pop("train")
    for split, other in rows.items():
        compared = compare(inputs, train, other, units, seed)
        if compared is not None and compared.differ:
            yield compared.finding(split, "thumbnails")
        yield from _drift(image_stats, train, other, split)
        yield from _class_shift(dataset, train, other, split)


def comparable_splits(dataset: Dataset[Any]) -> dict[SplitName, NDArray[np.int64]]:
    """Rows of the splits that the data assigns, if they have MIN_IMAGES; none without train."""
    rows = {
        split: np.array([i for i, s in enumerate(dataset) if s.split == split], np.int64)
        for split in SPLITS
    }
    rows = {split: some for split, some in rows.items() if len(some) >= MIN_IMAGES}
    return rows if "train" in rows else {}


def compare(
    inputs: NDArray[Any],
    train: NDArray[np.int64],
    other: NDArray[np.int64],
    units: NDArray[np.int64],
    seed: int,
) -> TwoSamples | None:
    """Compare two splits by `two_samples`; None if one has fewer than MIN_UNITS units.

    Args:
        inputs: (N, F) what the classifier sees of each image.
        train: Rows of the train split.
        other: Rows of the other split.
        units: (N,) from `units_of`.
        seed: The seed of the halves.
    """
    both = units[train], units[other]
    if min(len(np.unique(one)) for one in both) < MIN_UNITS:
        return None
    return two_samples(inputs[train], inputs[other], seed, both)


def units_of(dataset: Dataset[Any], clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) equal for copies of an image and for images of one group."""
    if all(sample.group is None for sample in dataset):
        return clusters
    result = np.empty(len(dataset), np.int64)
    for number, unit in enumerate(group_into_units(dataset.samples, clusters.tolist())):
        result[unit] = number
    return result


def features(image_stats: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the classifier's (N, F) inputs: a thumbnail, and the image statistics."""
    step = image_stats["thumb"].shape[1] // _THUMB_SIDE
    small = (
        image_stats["thumb"]
        .reshape(-1, _THUMB_SIDE, step, _THUMB_SIDE, step)
        .mean((2, 4))
        .reshape(len(image_stats), -1)
    )
    sides = np.log(np.maximum(np.stack([image_stats["height"], image_stats["width"]], 1), 1))
    rest = [
        image_stats[name][:, None]
        for name in ("brightness", "contrast", "sharpness", "dark", "bright")
    ]
    return np.concatenate([small, sides, image_stats["colour"], *rest], 1).astype(np.float64)


def two_samples(
    ones: NDArray[Any],
    others: NDArray[Any],
    seed: int,
    units: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> TwoSamples:
    """Test whether two samples come from one distribution, by a logistic regression.

    It is fitted to half of each sample and evaluated on the other half, by the Mann-Whitney test.
    Images of one unit stay in one half and count as one: a hundred frames of one video are no
    hundred proofs.

    Args:
        ones: (N, F) the first sample.
        others: (M, F) the second sample.
        seed: The seed of the halves.
        units: (N,) and (M,), equal for rows that are not independent; by default all are.
    """
    from scipy.stats import mannwhitneyu
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(seed)
    fitted_to, evaluated_on = [], []
    for place, rows in enumerate((ones, others)):
        chosen = rng.permutation(len(rows))[:MAX_IMAGES]
        unit = chosen if units is None else units[place][chosen]
        _, numbers = np.unique(unit, return_inverse=True)
        count = numbers.max() + 1
        in_first_half = (rng.permutation(count) < count // 2)[numbers]
        fitted_to.append(rows[chosen[in_first_half]])
        evaluated_on.append((rows[chosen[~in_first_half]], numbers[~in_first_half]))
    # Of many inputs each gets less weight, so that few images do not fit any labels.
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=1 / ones.shape[1], class_weight="balanced", max_iter=200),
    )
    target = np.repeat([0, 1], [len(rows) for rows in fitted_to])
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.concatenate(fitted_to), target)
        first, second = (
            _unit_means(model.decision_function(rows), numbers) for rows, numbers in evaluated_on
        )
    test = mannwhitneyu(second, first, alternative="greater")
    auc = float(test.statistic) / (len(first) * len(second))
    return TwoSamples(auc, *_auc_interval(auc, len(first), len(second)), float(test.pvalue))


def _unit_means(scores: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.bincount(units)
    means: NDArray[np.float64] = np.bincount(units, scores)[counts > 0] / counts[counts > 0]
    return means


def _auc_interval(auc: float, first: int, second: int) -> tuple[float, float]:
    """A 95% confidence interval that also holds near 1, and for few images.

    It is method 5 of Newcombe, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2", 2006: all values that the normal test does not reject, with the
    variance of Hanley and McNeil at that value and the mean of both sizes.
    """
    values = np.linspace(0, 1, 10_001)
    size = (first + second) / 2 - 1
    rest = (1 - values) / (2 - values) + values / (1 + values)
    variance = values * (1 - values) * (1 + size * rest) / (first * second)
    inside = values[np.abs(values - auc) <= _NORMAL_95 * np.sqrt(variance)]
    return (float(inside[0]), float(inside[-1])) if len(inside) else (auc, auc)


def _drift(
    image_stats: NDArray[Any], train: NDArray[np.int64], other: NDArray[np.int64], split: str
) -> Iterator[Finding]:
    from scipy.stats import ks_2samp

    measures = {
        "size": np.sqrt(image_stats["height"].astype(float) * image_stats["width"]),
        "aspect ratio": image_stats["width"] / np.maximum(image_stats["height"], 1),
        "brightness": image_stats["brightness"].astype(float),
        "contrast": image_stats["contrast"].astype(float),
        "sharpness": image_stats["sharpness"].astype(float),
    }
    for name, values in measures.items():
        test = ks_2samp(values[train], values[other], method="asymp")
        if test.statistic > MAX_KS_DISTANCE and test.pvalue < MAX_P_VALUE:
            medians = (
                f"{np.median(values[train]):.3g} in train, "
                f"{np.median(values[other]):.3g} in {split}"
            )
            yield Finding(
                "warning",
                "drift between splits",
                (),
                f"{name} differs: its median is {medians} "
                f"(distance {test.statistic:.2f}, p = {test.pvalue:.1g})",
                "Draw the splits from one pool, or add train images like those.",
                score=float(test.statistic),
            )


def _class_shift(
    dataset: Dataset[Any], train: NDArray[np.int64], other: NDArray[np.int64], split: str
) -> Iterator[Finding]:
    from scipy.stats import chi2_contingency

    counts = np.zeros((2, len(dataset.classes)))
    for which, rows in enumerate((train, other)):
        for row in rows:
            target = dataset[int(row)].target
            for k in target.present() if target is not None else ():
                if k < len(dataset.classes):
                    counts[which, k] += 1
    counts = counts[:, counts.sum(0) > 0]
    if counts.shape[1] < 2 or (counts.sum(1) == 0).any():
        return
    shares = counts / counts.sum(1, keepdims=True)
    moved = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p = float(chi2_contingency(counts).pvalue)
    if moved > MAX_CLASS_SHIFT and p < MAX_P_VALUE:
        yield Finding(
            "warning",
            "drift between splits",
            (),
            f"class frequencies differ: {moved:.0%} of the {split} images would have to be of "
            f"another class (p = {p:.1g})",
            "Stratify the split by class, or read the metrics class by class.",
            score=moved,
        )
