"""Assigns samples to train, valid and test: stratified, by group or by time, without leaks.

The same seed gives the same split, whatever the order of the samples.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foveate.data.dataset import SPLITS, Sample, SplitName
from foveate.data.split import leaks as leaking
from foveate.data.split import rare_classes as rare
from foveate.data.split.leaks import Leak
from foveate.data.split.stratify import iterative_stratify
from foveate.data.split.units import Units, group_into_units, unit_numbers, units_without
from foveate.errors import DataError
from foveate.wording import list_some

Assigned = list[SplitName | None]
"""The split of each sample, or None."""


@dataclass(frozen=True)
class SplitAssignment:
    """The split of each sample.

    Attributes:
        splits: Sample id -> split, in the samples' order; None if it is left out.
        units: The unit of each sample, numbered from 0 in the samples' order.
        leaks: Leaks between the data's splits, if they were allowed.
        notes: Sentences for the user.
    """

    splits: dict[str, SplitName | None]
    units: tuple[int, ...]
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()


def assign_splits(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    image_keys: Sequence[Hashable],
    *,
    classes: Sequence[str],
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    max_held_out: int = 5000,
    seed: int = 0,
    allow_leak: bool = False,
    drop_leaks: bool = False,
    rare_in_train: bool = False,
    left_out: Collection[str] = (),
    times: Sequence[str] | None = None,
    fold: tuple[int, int] | None = None,
    single_class_ok: bool = False,
) -> SplitAssignment:
    """Assign each sample to a split.

    Splits that the data assigns are kept; missing ones are taken from its train split.

    Args:
        samples: N samples.
        strata: The classes in each sample.
        image_keys: A key for each image, equal for copies of one image.
        classes: The class names.
        fractions: Of train, valid and test.
        max_held_out: Largest valid and test split to make: more samples hardly narrow the
            confidence intervals, while training can use them.
        seed: The seed of the split.
        allow_leak: Return leaks between the data's splits instead of raising.
        drop_leaks: Leave out the train and valid samples that leak.
        rare_in_train: Put samples of classes that are too rare for every split into train, instead
            of raising.
        left_out: Ids of samples that are in no split.
        times: When each sample was taken, as text that sorts. The latest become the test split,
            the earliest the train split.
        fold: (i, k): of k equal folds, counted from 0, the i-th is the test split, the next one
            the valid split.
        single_class_ok: Whether a dataset of a single class can be learnt.

    Raises:
        DataError: On leaks, unless allowed; if a class is too rare for every split; if there are
            fewer than two classes; if the data's splits conflict with `times` or `fold`.
    """
    if not single_class_ok:
        _check_classes(classes, strata)
    every_unit = group_into_units(samples, image_keys)
    assigned: Assigned = [sample.split for sample in samples]
    notes: list[str] = []
    if any(assigned):
        if times is not None or fold is not None:
            raise DataError(
                "the data assigns its own splits, so it cannot be split by time or into folds",
                remedy="Remove the splits from the data, or leave out that setting.",
            )
        notes += _fill_with_train(samples, assigned, left_out)
    units = units_without(every_unit, samples, left_out)
    leaks = leaking.find(samples, units, assigned)
    if leaks and drop_leaks:
        left_out = {*left_out, *(dropped := leaking.to_leave_out(leaks, samples, assigned))}
        notes.append(leaking.describe_left_out(dropped, samples, assigned))
        units, leaks = units_without(every_unit, samples, left_out), []
    assigned = [
        None if sample.id in left_out else split
        for sample, split in zip(samples, assigned, strict=True)
    ]
    if leaks and not allow_leak:
        raise leaking.error(leaks, samples, assigned)
    shares = _held_out_shares(fractions, {split for split in assigned if split})
    if fold is not None:
        _check_rare_classes(samples, strata, units, classes, fold[1], in_folds=True)
        assigned = _assign_folds(samples, strata, units, fold, len(classes), seed)
    elif times is not None:
        assigned = _assign_by_time(samples, units, times, fractions)
    elif shares:
        free = [unit for unit in units if all(assigned[row] in (None, "train") for row in unit)]
        if rare_in_train:
            free, rare_notes = _without_rare_classes(strata, free, classes, 1 + len(shares))
            notes += rare_notes
            if len(free) <= len(shares):
                raise DataError(
                    "nearly every image holds a class that is too rare to be measured, so that "
                    "nothing is left for the other splits",
                    remedy="Add images.",
                )
        else:
            _check_rare_classes(samples, strata, free, classes, 1 + len(shares))
        total = sum(len(unit) for unit in free)
        shares = {split: min(share, max_held_out / total) for split, share in shares.items()}
        assigned = _hold_out(samples, strata, free, assigned, shares, len(classes), seed)
        if rare_in_train:
            _train_every_class(strata, free, assigned)
    splits: dict[str, SplitName | None] = {
        sample.id: None if sample.id in left_out else split or "train"
        for sample, split in zip(samples, assigned, strict=True)
    }
    notes += _missing_classes(list(splits.values()), strata, classes)
    numbers = unit_numbers(every_unit, len(samples))
    return SplitAssignment(splits, numbers, tuple(leaks), tuple(notes))


# --- splits that the data assigns


def _fill_with_train(
    samples: Sequence[Sample[Any]], assigned: Assigned, left_out: Collection[str]
) -> list[str]:
    """Put samples without a split into train, in place; return notes."""
    if "train" not in assigned:
        names = ", ".join(sorted({split for split in assigned if split}))
        raise DataError(
            f"the data assigns splits ({names}) but no sample to train",
            remedy="Name the train split 'train', or remove the splits to have them made.",
        )
    missing = [
        row
        for row, split in enumerate(assigned)
        if split is None and samples[row].id not in left_out
    ]
    for row in missing:
        assigned[row] = "train"
    if not missing:
        return []
    count = "1 sample" if len(missing) == 1 else f"{len(missing):,} samples"
    return [f"{count} had no split and joined train, e.g. {samples[missing[0]].id}"]


# --- splits that are made


def _held_out_shares(
    fractions: tuple[float, float, float], existing: set[SplitName]
) -> dict[SplitName, float]:
    """The splits to make, each with its share of the samples that they are taken from."""
    missing = [split for split in SPLITS[1:] if split not in existing]
    pool = fractions[0] + sum(fractions[SPLITS.index(split)] for split in missing)
    return {split: fractions[SPLITS.index(split)] / pool for split in missing}


def _hold_out(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: Units,
    assigned: Assigned,
    shares: dict[SplitName, float],
    num_classes: int,
    seed: int,
) -> Assigned:
    order: list[SplitName] = ["train", *shares]
    all_shares = [1 - sum(shares.values()), *shares.values()]
    ids = [sample.id for sample in samples]
    bins = iterative_stratify(ids, strata, units, all_shares, num_classes, seed)
    assigned = list(assigned)
    for unit, index in zip(units, bins, strict=True):
        for row in unit:
            assigned[row] = order[index]
    return assigned


def _assign_folds(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: Units,
    fold: tuple[int, int],
    num_classes: int,
    seed: int,
) -> Assigned:
    test, count = fold
    roles: dict[int, SplitName] = {test: "test", (test + 1) % count: "valid"}
    ids = [sample.id for sample in samples]
    bins = iterative_stratify(ids, strata, units, [1 / count] * count, num_classes, seed)
    assigned: Assigned = [None] * len(samples)
    for unit, index in zip(units, bins, strict=True):
        for row in unit:
            assigned[row] = roles.get(index, "train")
    return assigned


def _assign_by_time(
    samples: Sequence[Sample[Any]],
    units: Units,
    times: Sequence[str],
    fractions: tuple[float, float, float],
) -> Assigned:
    """Test on the latest units, validate on those before. A unit counts by its latest sample."""
    assigned: Assigned = [None] * len(samples)
    latest = [max(times[row] for row in unit) for unit in units]
    order = sorted(range(len(units)), key=lambda unit: (latest[unit], samples[units[unit][0]].id))
    ends = np.cumsum(fractions) * len(samples)
    done, split = 0, 0
    for index, unit in enumerate(order):
        # Samples of one time stay together: the next split begins with the next time.
        new_time = index == 0 or latest[unit] != latest[order[index - 1]]
        while new_time and split < 2 and done >= ends[split] - 0.5:
            split += 1
        for row in units[unit]:
            assigned[row] = SPLITS[split]
        done += len(units[unit])
    if missing := [split for split in SPLITS if split not in assigned]:
        raise DataError(
            f"a split by time leaves nothing for {' and '.join(missing)}: "
            "too many samples were taken at one time",
            remedy="Split by something else, or give finer times.",
        )
    return assigned


# --- checks


def _check_classes(classes: Sequence[str], strata: Sequence[Sequence[int]]) -> None:
    present = {stratum for row in strata for stratum in row}
    if len(classes) == 1 or (len(classes) > 1 and len(present) == 1):
        only = classes[next(iter(present))] if present else classes[0]
        raise DataError(
            f"at least two classes are expected, there is only {only!r}",
            remedy="Add images of another class, in a folder or with a label of its own.",
        )


def _check_rare_classes(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: Units,
    classes: Sequence[str],
    num_splits: int,
    *,
    in_folds: bool = False,
) -> None:
    """Raise DataError if a class is too rare for every split."""
    found = rare.find(strata, (row for unit in units for row in unit), num_splits)
    if found:
        raise rare.error(found, samples, classes, num_splits, in_folds=in_folds)


def _without_rare_classes(
    strata: Sequence[Sequence[int]], units: Units, classes: Sequence[str], num_splits: int
) -> tuple[Units, list[str]]:
    """The units without rare classes; the others stay in train, as a note says."""
    found = rare.find(strata, (row for unit in units for row in unit), num_splits)
    if not found:
        return units, []
    names = list_some([classes[k] for k in found])
    note = f"too rare to be measured, so that all of their images are in train: {names}"
    return [unit for unit in units if not any(found.keys() & strata[row] for row in unit)], [note]


def _train_every_class(strata: Sequence[Sequence[int]], units: Units, assigned: Assigned) -> None:
    """Move units to train, in place, until it has every class: an image holds several of them."""
    trained = {k for row, split in enumerate(assigned) if split == "train" for k in strata[row]}
    for unit in units:
        if any(not trained.issuperset(strata[row]) for row in unit):
            for row in unit:
                assigned[row] = "train"
                trained.update(strata[row])


def _missing_classes(
    splits: Sequence[SplitName | None], strata: Sequence[Sequence[int]], classes: Sequence[str]
) -> list[str]:
    """Notes on the classes that valid and test lack; raises if train lacks one of theirs."""
    present = {split: set[int]() for split in SPLITS}
    for split, row in zip(splits, strata, strict=True):
        if split is not None:
            present[split].update(row)
    untrained = (present["valid"] | present["test"]) - present["train"]
    if untrained:
        names = ", ".join(repr(classes[k]) for k in sorted(untrained)[:5])
        raise DataError(
            f"class {names} occurs in valid or test but not in train, so it cannot be learnt",
            remedy="Move some of its images to the train split, or remove the class.",
        )
    notes = []
    for split in SPLITS[1:]:
        if absent := present["train"] - present[split]:
            names = ", ".join(repr(classes[k]) for k in sorted(absent)[:5])
            more = f" and {len(absent) - 5} more classes" if len(absent) > 5 else ""
            notes.append(f"the {split} split has no image of {names}{more}")
    return notes
