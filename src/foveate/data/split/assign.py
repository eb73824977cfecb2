"""Train, valid and test: stratified, by group or by time, without a leak, and the same for the same seed whatever the order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import SPLITS, Sample, SplitName
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import DataError


@dataclass(frozen=True)
class Leak:
    """Samples that are one (copies of a picture, or the same group) but lie in several parts."""

    ids: tuple[str, ...]
    splits: tuple[SplitName, ...]
    reason: str


@dataclass(frozen=True)
class Split:
    """parts: sample id -> part, in the samples' order; leaks: only where they were allowed; notes: for the user."""

    splits: dict[str, SplitName]
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()


def split(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    alike: Sequence[Hashable],
    *,
    classes: Sequence[str],
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    most: int = 5000,
    seed: int = 0,
    allow_leak: bool = False,
    times: Sequence[str] | None = None,
    fold: tuple[int, int] | None = None,
    single_class_ok: bool = False,
) -> Split:
    """Give each sample a part.

    strata: the classes in each sample; alike: a mark for each picture, equal for copies of one
    fractions: of train, valid and test; a part that we carve holds at most `most` samples, since a larger one makes its
        figures hardly surer, while the train part can use them
    times: when each sample was taken, in an order that text has: the test part is then the latest, train the earliest
    fold: (i, k): the i-th of k equal parts, from 0, is the test part, the next one the valid part, the rest train
    lone_class: whether there is something to learn where all is of one class

    A part that the data assigns is kept; parts that it lacks are carved from its train part. Copies of a picture and samples
    of one group stay together. Raises DataError on leaks (unless allowed), on a class too rare to be split, where
    there are fewer than two classes, and where the data's own parts stand against `times` or `fold`.
    """
    if not single_class_ok:
        _refuse_few_classes(classes, strata)
    units = groups(samples, alike)
    given: list[SplitName | None] = [sample.split for sample in samples]
    notes: list[str] = []
    if any(given) and (times is not None or fold is not None):
        raise DataError(
            "the data assigns parts of its own, so it cannot be split by time or into folds",
            remedy="Remove the parts from the data, or leave out that setting.",
        )
    if any(given):
        notes += _complete(samples, given)
    leaks = _leaks(samples, units, given)
    if leaks and not allow_leak:
        _refuse_leaks(leaks, samples, given)
    wanted = _shares(fractions, {split for split in given if split})
    if fold is not None:
        _refuse_rare(samples, strata, units, classes, splits=fold[1])
        given = _folded(samples, strata, units, fold, len(classes), seed)
    elif times is not None:
        given = _in_time(samples, units, times, fractions)
    elif wanted:
        free = [unit for unit in units if all(given[row] in (None, "train") for row in unit)]
        _refuse_rare(samples, strata, free, classes, splits=1 + len(wanted))
        given = _carved(samples, strata, free, given, wanted, len(classes), most, seed)
    splits: dict[str, SplitName] = {
        sample.id: split or "train" for sample, split in zip(samples, given, strict=True)
    }
    notes += _missing(list(splits.values()), strata, classes)
    return Split(splits, tuple(leaks), tuple(notes))


# --- units: what must stay together


def groups(samples: Sequence[Sample[Any]], alike: Sequence[Hashable]) -> list[list[int]]:
    """Rows that share a group or a picture, directly or through others (union-find), in an order free of the rows'."""
    parent = list(range(len(samples)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[tuple[str, Hashable], int] = {}
    for row, (sample, image) in enumerate(zip(samples, alike, strict=True)):
        marks = (
            [("picture", image)]
            if sample.group is None
            else [("picture", image), ("group", sample.group)]
        )
        for mark in marks:
            parent[root(row)] = root(first.setdefault(mark, row))
    units = defaultdict(list)
    for row in range(len(samples)):
        units[root(row)].append(row)
    return list(units.values())


def _complete(samples: Sequence[Sample[Any]], given: list[SplitName | None]) -> list[str]:
    """Check the parts that the data assigns; in place, samples without one join the train part."""
    if "train" not in given:
        raise DataError(
            f"the data assigns parts ({', '.join(sorted({p for p in given if p}))}) but no sample to train",
            remedy="Name the train part 'train', or remove the split to have one made.",
        )
    without = [i for i, split in enumerate(given) if split is None]
    for i in without:
        given[i] = "train"
    return (
        [f"{len(without):,} samples had no part and joined train, e.g. {samples[without[0]].id}"]
        if without
        else []
    )


def _leaks(
    samples: Sequence[Sample[Any]], units: list[list[int]], given: list[SplitName | None]
) -> list[Leak]:
    leaks = []
    for unit in units:
        splits = tuple(split for split in SPLITS if any(given[row] == split for row in unit))
        if len(splits) > 1:
            groups = {samples[row].group for row in unit} - {None}
            reason = (
                f"group {sorted(map(str, groups))[0]}" if groups else "the same picture, or nearly"
            )
            leaks.append(Leak(tuple(samples[row].id for row in unit), splits, reason))
    return leaks


def _refuse_leaks(
    leaks: list[Leak], samples: Sequence[Sample[Any]], given: list[SplitName | None]
) -> None:
    part_of = {sample.id: split for sample, split in zip(samples, given, strict=True)}
    shown = "".join(
        f"\n    {leak.reason}: " + ", ".join(f"{id} ({part_of[id]})" for id in leak.ids[:4])
        for leak in leaks[:5]
    )
    more = f"\n    ... and {len(leaks) - 5:,} more" if len(leaks) > 5 else ""
    many = (
        "one picture or group lies" if len(leaks) == 1 else f"{len(leaks):,} pictures or groups lie"
    )
    raise DataError(
        f"{many} in more than one part, so a score would partly be memory:{shown}{more}",
        remedy="Remove all but one of each (foveate audit DATA --fix COPY does that), or pass --allow-leak to go on; the record and the report will say so.",
    )


# --- carving


def _shares(fractions: tuple[float, float, float], given: set[SplitName]) -> dict[SplitName, float]:
    """The parts to carve, each with its share of what they are carved from."""
    missing = [split for split in SPLITS[1:] if split not in given]
    pool = fractions[0] + sum(fractions[SPLITS.index(split)] for split in missing)
    return {split: fractions[SPLITS.index(split)] / pool for split in missing}


def _carved(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: list[list[int]],
    given: list[SplitName | None],
    wanted: dict[SplitName, float],
    classes: int,
    most: int,
    seed: int,
) -> list[SplitName | None]:
    total = sum(len(unit) for unit in units)
    shares = {split: min(share, most / total) for split, share in wanted.items()}
    order: list[SplitName] = ["train", *wanted]
    each = [1 - sum(shares.values()), *shares.values()]
    given = list(given)
    for unit, place in zip(
        units, iterative_stratify(samples, strata, units, each, classes, seed), strict=True
    ):
        for row in unit:
            given[row] = order[place]
    return given


def _folded(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: list[list[int]],
    fold: tuple[int, int],
    classes: int,
    seed: int,
) -> list[SplitName | None]:
    tested, count = fold
    role: dict[int, SplitName] = {tested: "test", (tested + 1) % count: "valid"}
    given: list[SplitName | None] = [None] * len(samples)
    for unit, place in zip(
        units,
        iterative_stratify(samples, strata, units, [1 / count] * count, classes, seed),
        strict=True,
    ):
        for row in unit:
            given[row] = role.get(place, "train")
    return given


def _in_time(
    samples: Sequence[Sample[Any]],
    units: list[list[int]],
    times: Sequence[str],
    fractions: tuple[float, float, float],
) -> list[SplitName | None]:
    """The latest units are the test part, those before them the valid part. A unit is as late as its latest sample."""
    given: list[SplitName | None] = [None] * len(samples)
    latest = [max(times[row] for row in unit) for unit in units]
    order = sorted(range(len(units)), key=lambda i: (latest[i], samples[units[i][0]].id))
    ends = np.cumsum(fractions) * len(samples)
    done, split = 0, 0
    for index, unit in enumerate(order):
        # What was taken at one moment is not torn apart: the next part begins with the next moment.
        new = index == 0 or latest[unit] != latest[order[index - 1]]
        while new and split < 2 and done >= ends[split] - 0.5:
            split += 1
        for row in units[unit]:
            given[row] = SPLITS[split]
        done += len(units[unit])
    if missing := [split for split in SPLITS if split not in given]:
        raise DataError(
            f"a split by time leaves nothing for {' and '.join(missing)}: too many samples were taken at one moment",
            remedy="Split by something else, or give finer times.",
        )
    return given


def iterative_stratify(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: list[list[int]],
    shares: list[float],
    classes: int,
    seed: int,
) -> list[int]:
    """A place out of len(shares) for each unit (rows that stay together), so that the shares of all classes come out alike.

    Iterative stratification (Sechidis et al., "On the stratification of multi-label data", 2011): the class of which fewest
    samples are left goes first, each of its units to the place that lacks it most. Units of several samples, which are hardest to
    fit, go before all others, biggest first.
    """
    tallies = [Counter(k for row in unit for k in strata[row]) for unit in units]
    left = np.zeros(classes, np.int64)
    for stats in tallies:
        for k, count in stats.items():
            left[k] += count
    lacking = _quotas(Counter(dict(enumerate(left.tolist()))), shares, classes)
    weights = 1 / np.maximum(
        left, 1
    )  # a rare class's want counts more: it is harder to put right later
    room = np.array(shares) * sum(map(len, units))
    key = sample_keys([samples[min(unit, key=lambda row: samples[row].id)].id for unit in units])
    order = np.argsort(SampleRNG(key, seed).uniform(1)[:, 0], kind="stable").tolist()
    places = [-1] * len(units)

    def put(index: int, wants: NDArray[np.float64]) -> None:
        """Into the place that wants it most; among equals, the one with most room."""
        best = places[index] = int(np.lexsort((-room, -wants))[0])
        room[best] -= len(units[index])
        for k, count in tallies[index].items():
            lacking[best, k] -= count
            left[k] -= count

    for index in sorted((i for i in order if len(units[i]) > 1), key=lambda i: -len(units[i])):
        ks = sorted(tallies[index])
        put(
            index,
            (lacking[:, ks] * weights[ks]) @ [tallies[index][k] for k in ks] if ks else room.copy(),
        )
    having: dict[int, list[int]] = defaultdict(list)
    for index in order:
        if places[index] < 0:
            for k in tallies[index]:
                having[k].append(index)
    while having:
        k = min(having, key=lambda k: (left[k], k))
        for index in having.pop(k):
            if places[index] < 0:
                put(index, lacking[:, k].copy())
    for index in order:
        if places[index] < 0:
            put(index, room.copy())
    return places


def _quotas(counts: Counter[int], shares: list[float], classes: int) -> np.ndarray:
    """(parts, K): how many of each class a part should get, by largest remainder, at least one where there are enough."""
    quotas = np.zeros((len(shares), classes))
    for k, count in counts.items():
        if not count:
            continue
        exact = np.array(shares) * count
        whole = np.floor(exact)
        for split in np.argsort(-(exact - whole), kind="stable")[: int(count - whole.sum())]:
            whole[split] += 1
        if count >= len(shares):
            for split in np.flatnonzero(whole == 0):
                whole[int(np.argmax(whole))] -= 1
                whole[split] += 1
        quotas[:, k] = whole
    return quotas


# --- what is refused, and what is noted


def _refuse_few_classes(classes: Sequence[str], strata: Sequence[Sequence[int]]) -> None:
    present = {stratum for row in strata for stratum in row}
    if len(classes) == 1 or (len(classes) > 1 and len(present) == 1):
        only = classes[next(iter(present))] if present else classes[0]
        raise DataError(
            f"there is one class only ({only!r}), so there is nothing to tell apart",
            remedy="Add pictures of at least one other class, in a folder or with a label of its own.",
        )


def _refuse_rare(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: list[list[int]],
    classes: Sequence[str],
    splits: int,
) -> None:
    rows: dict[int, list[int]] = defaultdict(list)
    for unit in units:
        for row in unit:
            for stratum in strata[row]:
                rows[stratum].append(row)
    for stratum, found in sorted(rows.items()):
        if len(found) < splits:
            names = ", ".join(samples[row].id for row in found)
            raise DataError(
                f"class {classes[stratum]!r} has {len(found)} picture{'s' if len(found) > 1 else ''} ({names}), but each "
                f"of {splits} parts needs one",
                remedy="Add pictures of it, merge it with another class, or remove it.",
            )


def _missing(
    splits: Sequence[SplitName], strata: Sequence[Sequence[int]], classes: Sequence[str]
) -> list[str]:
    seen = {split: set[int]() for split in SPLITS}
    for split, row in zip(splits, strata, strict=True):
        seen[split].update(row)
    unlearnt = (seen["valid"] | seen["test"]) - seen["train"]
    if unlearnt:
        names = ", ".join(repr(classes[k]) for k in sorted(unlearnt)[:5])
        raise DataError(
            f"class {names} occurs in valid or test but not in train, so it cannot be learnt",
            remedy="Move some of its pictures to the train part, or remove the class.",
        )
    return [
        f"the {split} part has no picture of {', '.join(repr(classes[k]) for k in sorted(absent)[:5])}"
        + (f" and {len(absent) - 5} more classes" if len(absent) > 5 else "")
        for split in ("valid", "test")
        if (absent := seen["train"] - seen[split])
    ]
