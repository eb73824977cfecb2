"""Classes with fewer images than there are splits, and what can be done about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.errors import DataError
from foveate.wording import count_noun, list_some

MERGED = "other"
"""Name of the class that rare classes are merged into."""
_MAX_LISTED = 100

RareClasses = Literal["refuse", "train", "merge", "drop"]
"""What is done about rare classes: see `Settings.rare_classes`."""


def find(
    strata: Sequence[Sequence[int]], rows: Iterable[int], num_splits: int
) -> dict[int, list[int]]:
    """The classes that have too few samples for every split.

    Args:
        strata: The classes in each sample.
        rows: Rows of the samples that are divided.
        num_splits: Number of splits to divide them among.

    Returns:
        Class -> rows of its samples, for classes with at least one and fewer than `num_splits`.
    """
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        for k in strata[row]:
            found[k].append(row)
    return {k: members for k, members in sorted(found.items()) if len(members) < num_splits}


def error(
    rare: dict[int, list[int]],
    samples: Sequence[Sample[Any]],
    classes: Sequence[str],
    num_splits: int,
    *,
    in_folds: bool,
) -> DataError:
    """The error for data with rare classes: all of them, and the ways to go on.

    Every sample of a fold is measured, so no class can be in train alone.
    """
    listed = [
        f"{classes[k]!r}: {count_noun(len(rows), 'image')} "
        f"({', '.join(samples[row].id for row in rows)})"
        for k, rows in list(rare.items())[:_MAX_LISTED]
    ]
    more = [f"... and {len(rare) - _MAX_LISTED:,} more"] if len(rare) > _MAX_LISTED else []
    rows = {row for members in rare.values() for row in members}
    images, plural = count_noun(len(rows), "image"), len(rare) > 1
    subject = count_noun(len(rare), "class has", "classes have")
    options = []
    if not in_folds:
        options.append(
            (f"Put their {images} into train; the test split will not measure them", "train")
        )
    if plural and len(rows) >= num_splits:
        options.append((f"Make them one class, named {MERGED!r}", "merge"))
    options.append((f"Leave the class{'es' * plural} and the {images} out", "drop"))
    return DataError(
        f"{subject} too few images: each of {num_splits} splits needs one of every class",
        details=listed + more,
        remedy="Add images of them, or give the same command with one of these options.",
        options=[(what, f"--rare-classes {how}") for what, how in options],
    )


@dataclass(frozen=True)
class Handled:
    """A dataset after its rare classes were merged or dropped.

    Attributes:
        dataset: The dataset, with other classes if there were rare ones.
        left_out: The samples that were left out, with the reason.
        notes: Sentences for the user.
    """

    dataset: Dataset[Any]
    left_out: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def merge(dataset: Dataset[Any], num_splits: int) -> Handled:
    """Make one class of all rare classes."""
    rare = _rare_of(dataset, num_splits)
    names = [name for k, name in enumerate(dataset.classes) if k not in rare]
    if not rare or (len(rare) == 1 and MERGED not in names):
        return Handled(dataset)
    if MERGED not in names:
        names.append(MERGED)
    merged = [dataset.classes[k] for k in rare]
    note = f"classes {list_some(merged)} are one class here, {MERGED!r}: each has too few images"
    return Handled(_with_classes(dataset, names, names.index(MERGED)), notes=(note,))


def drop(dataset: Dataset[Any], num_splits: int) -> Handled:
    """Leave out all rare classes, and the images that hold them.

    Classes that become rare by that are left out, too.
    """
    reasons: dict[str, str] = {}
    dropped: set[int] = set()
    while rare := _rare_of(dataset, num_splits, reasons):
        dropped.update(rare)
        for sample in dataset:
            for k in rare.keys() & _present(sample):
                count = count_noun(len(rare[k]), "image")
                reasons.setdefault(sample.id, f"its class {dataset.classes[k]!r} has only {count}")
    if not reasons:
        return Handled(dataset)
    names = [name for k, name in enumerate(dataset.classes) if k not in dropped]
    gone = [name for k, name in enumerate(dataset.classes) if k in dropped]
    subject = "class" if len(gone) == 1 else "classes"
    note = (
        f"{subject} {list_some(gone)} left out with {count_noun(len(reasons), 'image')}: too few "
        "images to learn from and to measure"
    )
    left = replace(dataset, samples=[one for one in dataset if one.id not in reasons])
    left_out = tuple(Skipped(id, reason) for id, reason in reasons.items())
    return Handled(_with_classes(left, names, merged=-1), left_out, (note,))


def _present(sample: Sample[Any]) -> tuple[int, ...]:
    present: tuple[int, ...] = () if sample.target is None else sample.target.present()
    return present


def _rare_of(
    dataset: Dataset[Any], num_splits: int, left_out: Container[str] = ()
) -> dict[int, list[int]]:
    """The rare classes among the samples that are divided and not left out."""
    rows = [
        row
        for row, sample in enumerate(dataset)
        if sample.split in (None, "train") and sample.id not in left_out
    ]
    found = find([_present(sample) for sample in dataset], rows, num_splits)
    return {k: rows for k, rows in found.items() if k < len(dataset.classes)}


def _with_classes(dataset: Dataset[Any], names: Sequence[str], merged: int) -> Dataset[Any]:
    """The dataset with these classes; one that has no such name gets the index `merged`."""
    index = np.array(
        [names.index(name) if name in names else merged for name in dataset.classes], np.int64
    )
    change = _NewIndex(index, len(names))
    samples = [
        one if one.target is None else replace(one, target=one.target.map_classes(change))
        for one in dataset
    ]
    colours = dataset.colours and tuple(
        dataset.colours[int(np.flatnonzero(index == k)[0])] for k in range(len(names))
    )
    return replace(dataset, samples=samples, classes=tuple(names), colours=colours)


@dataclass(frozen=True)
class _NewIndex:
    """Maps class indices; of a class of its own, as it is sent to the processes that read masks."""

    index: NDArray[np.int64]
    count: int

    def __call__(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        before = len(self.index)
        # Classes that have no name are a fault of the data, which the audit reports.
        unnamed = classes - before + self.count
        return np.where(classes < before, self.index[np.minimum(classes, before - 1)], unnamed)
