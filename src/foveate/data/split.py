"""Train, valid and test: stratified, by group, without a leak, and the same for the same seed whatever the order."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from foveate import files
from foveate.data.dataset import PARTS, Dataset, Part, Sample
from foveate.data.draws import Draws, keys
from foveate.errors import DataError, RunError

A = TypeVar("A")


@dataclass(frozen=True)
class Leak:
    """Samples that are one (the same picture, or the same group) but lie in several parts."""

    ids: tuple[str, ...]
    parts: tuple[Part, ...]
    reason: str


@dataclass(frozen=True)
class Split:
    """parts: sample id -> part, in the samples' order; leaks: only where they were allowed; notes: for the user."""

    parts: dict[str, Part]
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()


def split(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    hashes: Sequence[str],
    *,
    classes: Sequence[str],
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    most: int = 5000,
    seed: int = 0,
    allow_leak: bool = False,
) -> Split:
    """Give each sample a part.

    strata: the classes in each sample; hashes: of each picture: equal hashes are the same picture
    fractions: of train, valid and test; a part that we carve holds at most `most` samples, since a larger one makes its
        figures hardly surer, while the train part can use them

    A part that the data assigns is kept; parts that it lacks are carved from its train part. Pictures that are equal and
    samples of one group stay together. Raises DataError on leaks (unless allowed), on a class too rare to be split, and
    where there are fewer than two classes.
    """
    _refuse_few_classes(classes, strata)
    units = _units(samples, hashes)
    given: list[Part | None] = [sample.part for sample in samples]
    notes: list[str] = []
    if any(given):
        notes += _complete(samples, given)
    leaks = _leaks(samples, units, given)
    if leaks and not allow_leak:
        _refuse_leaks(leaks, samples, given)
    wanted = _shares(fractions, {part for part in given if part})
    if wanted:
        free = [unit for unit in units if all(given[row] in (None, "train") for row in unit)]
        _refuse_rare(samples, strata, free, classes, parts=1 + len(wanted))
        given = _carved(samples, strata, free, given, wanted, len(classes), most, seed)
    parts: dict[str, Part] = {sample.id: part or "train" for sample, part in zip(samples, given, strict=True)}
    notes += _told_apart(samples, strata, hashes, classes)
    notes += _missing(list(parts.values()), strata, classes)
    return Split(parts, tuple(leaks), tuple(notes))


# --- units: what must stay together -----------------------------------------------------------------------------------


def _units(samples: Sequence[Sample[Any]], hashes: Sequence[str]) -> list[list[int]]:
    """Rows that share a group or a picture, directly or through others (union-find), in an order free of the rows'."""
    parent = list(range(len(samples)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[tuple[str, str], int] = {}
    for row, (sample, digest) in enumerate(zip(samples, hashes, strict=True)):
        marks = [("picture", digest)] if sample.group is None else [("picture", digest), ("group", sample.group)]
        for mark in marks:
            parent[root(row)] = root(first.setdefault(mark, row))
    units = defaultdict(list)
    for row in range(len(samples)):
        units[root(row)].append(row)
    return list(units.values())


def _complete(samples: Sequence[Sample[Any]], given: list[Part | None]) -> list[str]:
    """Check the parts that the data assigns; in place, samples without one join the train part."""
    if "train" not in given:
        raise DataError(
            f"the data assigns parts ({', '.join(sorted({p for p in given if p}))}) but no sample to train",
            remedy="Name the train part 'train', or remove the split to have one made.",
        )
    without = [i for i, part in enumerate(given) if part is None]
    for i in without:
        given[i] = "train"
    return [f"{len(without):,} samples had no part and joined train, e.g. {samples[without[0]].id}"] if without else []


def _leaks(samples: Sequence[Sample[Any]], units: list[list[int]], given: list[Part | None]) -> list[Leak]:
    leaks = []
    for unit in units:
        parts = tuple(part for part in PARTS if any(given[row] == part for row in unit))
        if len(parts) > 1:
            groups = {samples[row].group for row in unit} - {None}
            reason = f"group {sorted(map(str, groups))[0]}" if groups else "the same picture"
            leaks.append(Leak(tuple(samples[row].id for row in unit), parts, reason))
    return leaks


def _refuse_leaks(leaks: list[Leak], samples: Sequence[Sample[Any]], given: list[Part | None]) -> None:
    part_of = {sample.id: part for sample, part in zip(samples, given, strict=True)}
    shown = "".join(
        f"\n    {leak.reason}: " + ", ".join(f"{id} ({part_of[id]})" for id in leak.ids[:4]) for leak in leaks[:5]
    )
    more = f"\n    ... and {len(leaks) - 5:,} more" if len(leaks) > 5 else ""
    raise DataError(
        f"{len(leaks):,} pictures or groups lie in more than one part, so a score would partly be memory:{shown}{more}",
        remedy="Remove all but one of each, or pass --allow-leak to go on; the record and the report will say so.",
    )


# --- carving ----------------------------------------------------------------------------------------------------------


def _shares(fractions: tuple[float, float, float], given: set[Part]) -> dict[Part, float]:
    """The parts to carve, each with its share of what they are carved from."""
    missing = [part for part in PARTS[1:] if part not in given]
    pool = fractions[0] + sum(fractions[PARTS.index(part)] for part in missing)
    return {part: fractions[PARTS.index(part)] / pool for part in missing}


def _carved(
    samples: Sequence[Sample[Any]],
    strata: Sequence[Sequence[int]],
    units: list[list[int]],
    given: list[Part | None],
    wanted: dict[Part, float],
    classes: int,
    most: int,
    seed: int,
) -> list[Part | None]:
    """Units go, biggest first, to the part that lacks their classes most, so the shares of all classes come out alike."""
    counts = Counter(stratum for unit in units for row in unit for stratum in strata[row])
    total = sum(len(unit) for unit in units)
    shares = {part: min(share, most / total) for part, share in wanted.items()}
    shares["train"] = 1 - sum(shares.values())
    order: list[Part] = ["train", *wanted]
    lacking = _quotas(counts, [shares[part] for part in order], classes)

    key = keys([samples[min(unit, key=lambda row: samples[row].id)].id for unit in units])
    draw = Draws(key, seed).uniform(1)[:, 0]
    given = list(given)
    for index in sorted(range(len(units)), key=lambda i: (-len(units[i]), draw[i])):
        unit = units[index]
        tally = np.bincount([stratum for row in unit for stratum in strata[row]], minlength=classes)
        need = lacking @ tally if tally.any() else lacking.sum(1)
        best = int(np.argmax(need))
        lacking[best] -= tally
        for row in unit:
            given[row] = order[best]
    return given


def _quotas(counts: Counter[int], shares: list[float], classes: int) -> np.ndarray:
    """(parts, K): how many of each class a part should get, by largest remainder, at least one where there are enough."""
    quotas = np.zeros((len(shares), classes))
    for k, count in counts.items():
        exact = np.array(shares) * count
        whole = np.floor(exact)
        for part in np.argsort(-(exact - whole), kind="stable")[: int(count - whole.sum())]:
            whole[part] += 1
        if count >= len(shares):
            for part in np.flatnonzero(whole == 0):
                whole[int(np.argmax(whole))] -= 1
                whole[part] += 1
        quotas[:, k] = whole
    return quotas


# --- what is refused, and what is noted -------------------------------------------------------------------------------


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
    parts: int,
) -> None:
    rows: dict[int, list[int]] = defaultdict(list)
    for unit in units:
        for row in unit:
            for stratum in strata[row]:
                rows[stratum].append(row)
    for stratum, found in sorted(rows.items()):
        if len(found) < parts:
            names = ", ".join(samples[row].id for row in found)
            raise DataError(
                f"class {classes[stratum]!r} has {len(found)} picture{'s' if len(found) > 1 else ''} ({names}), but each "
                f"of {parts} parts needs one",
                remedy="Add pictures of it, merge it with another class, or remove it.",
            )


def _told_apart(
    samples: Sequence[Sample[Any]], strata: Sequence[Sequence[int]], hashes: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """The same picture with different labels."""
    labels: dict[str, dict[tuple[int, ...], str]] = defaultdict(dict)
    for sample, row, digest in zip(samples, strata, hashes, strict=True):
        labels[digest].setdefault(tuple(sorted(row)), sample.id)
    torn = [found for found in labels.values() if len(found) > 1]
    if not torn:
        return []
    shown = "; ".join(
        " and ".join(f"{id} ({', '.join(classes[k] for k in row)})" for row, id in found.items()) for found in torn[:3]
    )
    return [f"{len(torn):,} pictures occur with different labels, e.g. {shown}"]


def _missing(parts: Sequence[Part], strata: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    seen = {part: set[int]() for part in PARTS}
    for part, row in zip(parts, strata, strict=True):
        seen[part].update(row)
    unlearnt = (seen["valid"] | seen["test"]) - seen["train"]
    if unlearnt:
        names = ", ".join(repr(classes[k]) for k in sorted(unlearnt)[:5])
        raise DataError(
            f"class {names} occurs in valid or test but not in train, so it cannot be learnt",
            remedy="Move some of its pictures to the train part, or remove the class.",
        )
    return [
        f"the {part} part has no picture of {', '.join(repr(classes[k]) for k in sorted(absent)[:5])}"
        + (f" and {len(absent) - 5} more classes" if len(absent) > 5 else "")
        for part in ("valid", "test")
        if (absent := seen["train"] - seen[part])
    ]


# --- split.csv --------------------------------------------------------------------------------------------------------


def write(path: Path, samples: Sequence[Sample[Any]], made: Split) -> None:
    """Columns id, group, part."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "group", "part"])
    table.writerows([sample.id, sample.group or "", made.parts[sample.id]] for sample in samples)
    files.write_text(path, text.getvalue())


def read(path: Path) -> dict[str, Part]:
    """id -> part. Raises RunError with the line that is wrong."""
    parts: dict[str, Part] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                part, id = row.get("part"), row.get("id")
                if part not in PARTS or id is None or id in parts:
                    raise RunError(
                        f"a new id and a part out of {', '.join(PARTS)} are expected, got {id!r} and {part!r}",
                        where=path,
                        line=line,
                        remedy="Take the file from a backup; a split is not to be edited under a run.",
                    )
                parts[id] = part
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"this file cannot be read ({error})", where=path) from None
    return parts


def apply(dataset: Dataset[A], parts: dict[str, Part]) -> Dataset[A]:
    """The dataset with its parts set. Raises RunError if it does not hold exactly the samples that were split."""
    ids = {sample.id for sample in dataset}
    if ids != parts.keys():
        new, gone = sorted(ids - parts.keys()), sorted(parts.keys() - ids)
        examples = ", ".join([f"{id} (new)" for id in new[:2]] + [f"{id} (gone)" for id in gone[:2]])
        raise RunError(
            f"the data has changed since it was split: {len(new):,} new samples, {len(gone):,} gone, e.g. {examples}",
            where=str(dataset.origin or dataset.name),
            remedy="Bring the data back as it was, or train again into another --out.",
        )
    return replace(dataset, samples=[replace(sample, part=parts[sample.id]) for sample in dataset])
