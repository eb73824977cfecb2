"""Checks of class frequencies: classes too rare to be learnt or tested, or missing from a split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding, Severity
from foveate.data.dataset import SPLITS, Dataset

MIN_TRAIN_IMAGES = 10
"""Training images with a class below which it is hardly learnt."""
MIN_TEST_IMAGES = 10
"""Test images with a class below which its recall means little: of 10, one error is a tenth."""
TEST_FRACTION = 0.15
"""Test fraction if the data has no splits, as `split.assign` makes them."""
MAX_IMBALANCE = 10
"""Ratio of the most to the least frequent class above which classes are imbalanced."""

_MISSING: dict[bool, tuple[Severity, str]] = {
    True: ("error", "Move some of their images to train: a class cannot be learnt without any."),
    False: ("warning", "Move some of their images there."),
}  # by whether the split is train


def check(dataset: Dataset[Any]) -> Iterator[Finding]:
    """Check how many images show each class, in the dataset and in the splits of the data."""
    if not dataset.classes or not len(dataset):
        return
    splits = {sample.split for sample in dataset if sample.split}
    counts = np.zeros((4, len(dataset.classes)), np.int64)  # the last row counts unassigned samples
    for sample in dataset:
        if sample.target is not None:
            row = SPLITS.index(sample.split) if sample.split else 0 if splits else 3
            for k in sample.target.present():
                if k < len(dataset.classes):
                    counts[row, k] += 1
    total = counts.sum(0)
    # One image of a mask holds thousands of examples of its classes.
    per_pixel = any(sample.target is not None and sample.target.per_pixel for sample in dataset)
    train = counts[0] if splits else total * (1 - 2 * TEST_FRACTION)
    test = counts[2] if "test" in splits else total * TEST_FRACTION
    if not per_pixel:
        rare = (total > 0) & (train < MIN_TRAIN_IMAGES)
        untested = (total > 0) & ~rare & (test < MIN_TEST_IMAGES)
        if rare.any():
            yield Finding(
                "warning",
                "classes too rare to learn",
                (),
                _listed(dataset, rare, train, f"fewer than {MIN_TRAIN_IMAGES} training images"),
                "Add images of them, or merge them with other classes.",
            )
        if untested.any():
            yield Finding(
                "note",
                "classes too rare to test",
                (),
                _listed(dataset, untested, test, f"fewer than {MIN_TEST_IMAGES} test images"),
                "Add images, or do not rely on the metrics of these classes.",
            )
    for row, split in enumerate(SPLITS):
        missing = (total > 0) & (counts[row] == 0)
        if split in splits and missing.any():
            severity, remedy = _MISSING[split == "train"]
            names = ", ".join(repr(dataset.classes[k]) for k in np.flatnonzero(missing))
            reason = f"the {split} split has no image of {names}"
            yield Finding(severity, "classes missing from a split", (), reason, remedy)
    largest, smallest = total.max(), total[total > 0].min(initial=total.max())
    if largest > MAX_IMBALANCE * smallest:
        common = dataset.classes[int(total.argmax())]
        rare = dataset.classes[int(np.where(total > 0, total, largest + 1).argmin())]
        yield Finding(
            "note",
            "imbalanced classes",
            (),
            f"{common!r} ({largest:,} images) is more than ten times as common as {rare!r} "
            f"({smallest:,})",
            "Read balanced accuracy beside accuracy; try --set class_weights=balanced.",
        )


def _listed(dataset: Dataset[Any], rows: NDArray[np.bool_], images: NDArray[Any], what: str) -> str:
    """Name all these classes with their number of images, the rarest first."""
    order = [int(k) for k in np.argsort(images, kind="stable") if rows[k]]
    names = ", ".join(f"{dataset.classes[k]!r} ({images[k]:.0f})" for k in order)
    return f"{len(order):,} of {len(dataset.classes):,} classes have {what}: {names}"
