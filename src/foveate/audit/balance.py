"""Checks of class frequencies: classes too rare to be learnt or tested, or missing from a split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

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
    True: ("error", "Move some of its images to train: a class cannot be learnt without any."),
    False: ("warning", "Move some of its images there."),
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
    for k, name in enumerate(dataset.classes):
        if not total[k]:
            continue
        train = counts[0, k] if splits else total[k] * (1 - 2 * TEST_FRACTION)
        test = counts[2, k] if "test" in splits else total[k] * TEST_FRACTION
        images = f"{total[k]:,} image{'' if total[k] == 1 else 's'}"
        if train < MIN_TRAIN_IMAGES and not per_pixel:
            reason = f"{name!r} is in {images}, about {train:.0f} of them for training"
            remedy = "Add images of it, or merge it with another class."
            yield Finding("warning", "class too rare to learn", (), reason, remedy)
        elif test < MIN_TEST_IMAGES and not per_pixel:
            reason = f"{name!r} is in {images}, about {test:.0f} of them for the test"
            remedy = "Add images, or do not rely on the metrics of this class."
            yield Finding("note", "class too rare to test", (), reason, remedy)
        for row, split in enumerate(SPLITS):
            if split in splits and not counts[row, k]:
                severity, remedy = _MISSING[split == "train"]
                reason = f"the {split} split has no image of {name!r}"
                yield Finding(severity, "class missing from a split", (), reason, remedy)
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
