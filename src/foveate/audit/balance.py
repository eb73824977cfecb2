"""Classes with too few samples to be learnt, or to be judged by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from foveate.audit.finding import Finding
from foveate.data.dataset import SPLITS, Dataset

LEARN = 10
"""Train pictures with a class below which it is hardly learnt."""
TEST = 10
"""Test pictures with a class below which its recall says little: of 10, one mistake is a tenth."""
TEST_SHARE = 0.15
"""Of the pictures, where the data has no parts of its own: as split.split carves them."""


def check(dataset: Dataset[Any]) -> Iterator[Finding]:
    """Findings of how many pictures have each class, in the set and in the parts that the data assigns."""
    if not dataset.classes or not len(dataset):
        return
    given = {sample.split for sample in dataset if sample.split}
    counts = np.zeros((4, len(dataset.classes)), np.int64)
    for sample in dataset:
        if sample.target is not None:
            split = SPLITS.index(sample.split) if sample.split else 0 if given else 3
            for k in sample.target.present():
                if k < len(dataset.classes):
                    counts[split, k] += 1
    total = counts.sum(0)
    of_pixels = any(sample.target is not None and sample.target.per_pixel for sample in dataset)
    for k, name in enumerate(dataset.classes):
        if not total[k]:
            continue
        train = counts[0, k] if given else total[k] * (1 - 2 * TEST_SHARE)
        test = counts[2, k] if "test" in given else total[k] * TEST_SHARE
        if train < LEARN and not of_pixels:
            reason = (
                f"{name!r} is in {total[k]:,} pictures, about {train:.0f} of them to learn from"
            )
            yield Finding(
                "warning", "class too rare to learn", (), reason, "Add pictures of it, or merge it."
            )
        elif test < TEST and not of_pixels:
            reason = (
                f"{name!r} is in {total[k]:,} pictures, about {test:.0f} of them to be tested by"
            )
            remedy = "Add pictures, or don't read much into this class's own figures."
            yield Finding("note", "class too rare to test", (), reason, remedy)
        for place, at in enumerate(SPLITS):
            if at in given and not counts[place, k]:
                severity, remedy = (
                    ("error", _UNLEARNT) if at == "train" else ("warning", "Move some of it there.")
                )
                reason = f"the {at} part has no picture of {name!r}"
                yield Finding(severity, "class missing from a part", (), reason, remedy)  # type: ignore[arg-type]
    largest, smallest = total.max(), total[total > 0].min(initial=total.max())
    if largest > 10 * smallest:
        names = f"{dataset.classes[int(total.argmax())]!r} ({largest:,} pictures)"
        rare = f"{dataset.classes[int(np.where(total > 0, total, largest + 1).argmin())]!r} ({smallest:,})"
        yield Finding(
            "note",
            "classes out of balance",
            (),
            f"{names} is more than ten times as common as {rare}",
            "Read balanced accuracy beside accuracy; try --set class_weights=balanced.",
        )


_UNLEARNT = "Move some of its pictures to train: what is not there cannot be learnt."
