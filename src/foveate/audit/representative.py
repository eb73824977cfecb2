"""Checks whether the splits look alike.

A model learns from images like the train split, and is evaluated on images like the test split. The
test is a classifier's (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017): if a
simple one distinguishes train from test images better than by chance, on images that it was not
fitted to, they differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import SPLITS, Dataset

MAX_P_VALUE = 0.001
"""The p-value below which a difference counts as real."""
MIN_ACCURACY = 0.6
"""Accuracy of the classifier from which a difference is also large enough to matter."""
MAX_KS_DISTANCE = 0.2
"""Largest Kolmogorov-Smirnov distance between two distributions that is no drift."""
MAX_CLASS_SHIFT = 0.1
"""Largest total variation distance between two class distributions that is no drift."""
MAX_IMAGES = 2000
"""Images of each split that the classifier sees."""
_MIN_IMAGES = 30  # images of each split that a test needs
_THUMB_SIDE = 8  # pixels a side of the thumbnails that the classifier sees


def check(dataset: Dataset[Any], image_stats: NDArray[Any], seed: int = 0) -> Iterator[Finding]:
    """Check the splits that the data assigns.

    Args:
        dataset: The readable samples.
        image_stats: (N,) of IMAGE_STATS.
        seed: The seed of the classifier's sample.
    """
    rows = {
        split: np.array([i for i, s in enumerate(dataset) if s.split == split], np.int64)
        for split in SPLITS
    }
    for split in ("valid", "test"):
        if min(len(rows["train"]), len(rows[split])) >= _MIN_IMAGES:
            yield from _classifier(image_stats, rows["train"], rows[split], split, seed)
            yield from _drift(image_stats, rows["train"], rows[split], split)
            yield from _class_shift(dataset, rows["train"], rows[split], split)


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
    ones: NDArray[np.float64], others: NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """Test whether two samples come from one distribution, by a logistic regression.

    It is fitted to half of each sample and evaluated on the other half.

    Args:
        ones: (N, F) the first sample.
        others: (M, F) the second sample.
        seed: The seed of the halves.

    Returns:
        The accuracy, and its p-value if both were one distribution (binomial).
    """
    from scipy.stats import binomtest
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count = min(len(ones), len(others), MAX_IMAGES)
    rng = np.random.default_rng(seed)
    samples = [rows[rng.permutation(len(rows))[:count]] for rows in (ones, others)]
    half = count // 2
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.concatenate([rows[:half] for rows in samples]), np.repeat([0, 1], half))
    rest = np.concatenate([rows[half:] for rows in samples])
    correct = int((model.predict(rest) == np.repeat([0, 1], count - half)).sum())
    return correct / len(rest), float(binomtest(correct, len(rest), 0.5, "greater").pvalue)


def _classifier(
    image_stats: NDArray[Any],
    train: NDArray[np.int64],
    other: NDArray[np.int64],
    split: str,
    seed: int,
) -> Iterator[Finding]:
    inputs = features(image_stats)
    accuracy, p = two_samples(inputs[train], inputs[other], seed)
    if p < MAX_P_VALUE and accuracy > MIN_ACCURACY:
        yield Finding(
            "warning",
            "splits look different",
            (),
            f"a simple classifier distinguishes train from {split} images {accuracy:.0%} of the "
            f"time (chance is 50%, p = {p:.1g})",
            "Draw the splits from one pool, or say that the metrics hold for images like those.",
            score=accuracy,
        )


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
