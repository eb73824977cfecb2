"""Do the parts look alike? A model is judged by what the test part is like, and can only learn what the train part is like.

The test is a classifier's (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017): if a simple one can tell train
pictures from test pictures better than by chance, on pictures it was not fitted on, then they differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import SPLITS, Dataset

SURE = 0.001
"""The p-value below which a difference is taken as real."""
TOLD_APART = 0.6
"""The share of pictures put to the right part from which the difference is also large enough to matter."""
SHIFT = 0.2
"""The largest distance between two distribution functions (Kolmogorov and Smirnov) that is no drift."""
CLASSES_MOVED = 0.1
"""The share of pictures that would have to change class for the parts to agree, from which it is drift."""
MOST = 2000
"""Pictures of each part that are looked at."""
_LEAST = 30  # pictures of each part that anything can be told from
_SIDE = 8  # pixels a side of the small pictures that the classifier sees


def check(dataset: Dataset[Any], image_stats: NDArray[Any], seed: int = 0) -> Iterator[Finding]:
    """Findings of the parts that the data assigns. looks: (N,) of LOOK."""
    rows = {
        split: np.array([i for i, s in enumerate(dataset) if s.split == split], np.int64)
        for split in SPLITS
    }
    for split in ("valid", "test"):
        if min(len(rows["train"]), len(rows[split])) >= _LEAST:
            yield from _told_apart(image_stats, rows["train"], rows[split], split, seed)
            yield from _drifts(image_stats, rows["train"], rows[split], split)
            yield from _shares(dataset, rows["train"], rows[split], split)


def features(image_stats: NDArray[Any]) -> NDArray[np.float64]:
    """(N, F): a small picture, and how large, bright, sharp and colourful it is."""
    step = image_stats["thumb"].shape[1] // _SIDE
    small = (
        image_stats["thumb"]
        .reshape(-1, _SIDE, step, _SIDE, step)
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
    """(accuracy, p): how often a logistic regression, fitted on half of two samples, puts the other half to the right one,
    and how likely so much would be if both were from one source (binomial).
    """
    from scipy.stats import binomtest
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count = min(len(ones), len(others), MOST)
    rng = np.random.default_rng(seed)
    chosen = [rows[rng.permutation(len(rows))[:count]] for rows in (ones, others)]
    half = count // 2
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.concatenate([rows[:half] for rows in chosen]), np.repeat([0, 1], half))
    rest = np.concatenate([rows[half:] for rows in chosen])
    right = int((model.predict(rest) == np.repeat([0, 1], count - half)).sum())
    return right / len(rest), float(binomtest(right, len(rest), 0.5, "greater").pvalue)


def _told_apart(
    image_stats: NDArray[Any],
    train: NDArray[np.int64],
    other: NDArray[np.int64],
    split: str,
    seed: int,
) -> Iterator[Finding]:
    seen = features(image_stats)
    accuracy, p = two_samples(seen[train], seen[other], seed)
    if p < SURE and accuracy > TOLD_APART:
        yield Finding(
            "warning",
            "parts look different",
            (),
            f"a simple classifier tells train from {split} pictures {accuracy:.0%} of the time (chance is 50%, p = {p:.1g})",
            "Draw the parts from one pool, or say that the figure is for pictures like those.",
            score=accuracy,
        )


def _drifts(
    image_stats: NDArray[Any], train: NDArray[np.int64], other: NDArray[np.int64], split: str
) -> Iterator[Finding]:
    from scipy.stats import ks_2samp

    measures = {
        "size": np.sqrt(image_stats["height"].astype(float) * image_stats["width"]),
        "shape (width to height)": image_stats["width"] / np.maximum(image_stats["height"], 1),
        "brightness": image_stats["brightness"].astype(float),
        "contrast": image_stats["contrast"].astype(float),
        "sharpness": image_stats["sharpness"].astype(float),
    }
    for name, values in measures.items():
        test = ks_2samp(values[train], values[other], method="asymp")
        if test.statistic > SHIFT and test.pvalue < SURE:
            middles = f"{np.median(values[train]):.3g} in train, {np.median(values[other]):.3g} in {split}"
            yield Finding(
                "warning",
                "drift between parts",
                (),
                f"{name} is not alike: its median is {middles} (distance {test.statistic:.2f}, p = {test.pvalue:.1g})",
                "Draw the parts from one pool, or add train pictures like those.",
                score=float(test.statistic),
            )


def _shares(
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
    if moved > CLASSES_MOVED and p < SURE:
        yield Finding(
            "warning",
            "drift between parts",
            (),
            f"classes are not shared alike: {moved:.0%} of the {split} pictures would have to be of another class (p = {p:.1g})",
            "Split by class, or read the figures class by class.",
            score=moved,
        )
