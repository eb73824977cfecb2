"""split.csv: a split as a file, with a hash of each image, so it is never used on other data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from foveate import csv_file, outputs, regular_file
from foveate.data.dataset import SPLITS, Dataset, Sample, SplitName
from foveate.data.split.assign import SplitAssignment
from foveate.errors import DataChanged, RunError

A = TypeVar("A")

_REMEDY = "Restore it from a backup, or make it again: foveate split DATA --out FILE."
_NUMBER = re.compile("[0-9]{1,18}")
_TEST_ROW = re.compile(rb"^([^,\n]*+),[^,\n]*+,[0-9]++,test,([0-9a-f]++)$", re.MULTILINE)
LEFT_OUT = "left out"
"""What stands for the split of a sample that is in none."""
_COLUMNS = ("id", "group", "unit", "split", "content")
KIND = outputs.csv_kind("split", _COLUMNS)
"""A split file, which `foveate split --overwrite` may replace."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row of a split file.

    Attributes:
        split: The sample's split; None if it is left out.
        content: The hash of its image.
        group: The sample's group, or "".
        unit: Equal for samples that stay together: copies of an image, and those of one group.
    """

    split: SplitName | None
    content: str
    group: str
    unit: int


SplitRows = Mapping[str, SplitRow]
"""Sample id -> row of a split file."""


def rows_of(
    samples: Sequence[Sample[Any]], hashes: Sequence[str], made: SplitAssignment
) -> dict[str, SplitRow]:
    """The rows of a split.

    Args:
        samples: N samples.
        hashes: The hash of each sample's image.
        made: Their split.
    """
    return {
        sample.id: SplitRow(made.splits[sample.id], content, sample.group or "", unit)
        for sample, content, unit in zip(samples, hashes, made.units, strict=True)
    }


def write(path: Path, rows: SplitRows) -> None:
    """Write a split as a CSV file."""
    table = (
        (id, row.group, row.unit, row.split or LEFT_OUT, row.content) for id, row in rows.items()
    )
    csv_file.write(path, _COLUMNS, table)


def read(path: Path) -> dict[str, SplitRow]:
    """Read a split file.

    Raises:
        RunError: With the line, if the file is damaged.
    """
    rows: dict[str, SplitRow] = {}
    for line, cells in csv_file.read(path, _COLUMNS, remedy=_REMEDY):
        id, group, unit, split, content = (cells[name] for name in _COLUMNS)
        is_row = id not in rows and content and _NUMBER.fullmatch(unit)
        if is_row and split in SPLITS:
            rows[id] = SplitRow(split, content, group, int(unit))
        elif is_row and split == LEFT_OUT:
            rows[id] = SplitRow(None, content, group, int(unit))
        else:
            raise RunError(
                f"a new id, the number of a unit, a split out of {', '.join(SPLITS)}, {LEFT_OUT} "
                f"and the hash of an image are expected, got {id!r}, {unit!r}, {split!r} and "
                f"{content!r}",
                where=path,
                line=line,
                remedy=_REMEDY,
            )
    return rows


def read_test_images(path: Path) -> dict[str, set[str]]:
    """Read which images the test split holds: unchecked, and so in a twentieth of the time.

    Samples whose id or group holds a comma are left out.

    Returns:
        File name without suffix -> the hashes of the images of that name.

    Raises:
        OSError: The file cannot be read.
    """
    images: dict[str, set[str]] = {}
    for id, content in _TEST_ROW.findall(regular_file.read_bytes(path)):
        stem = id.rpartition(b"/")[2].rpartition(b".")[0] or id
        images.setdefault(stem.decode("utf-8", "replace"), set()).add(content.decode())
    return images


def apply(dataset: Dataset[A], hashes: Sequence[str], rows: SplitRows, path: Path) -> Dataset[A]:
    """Set the splits of a dataset, and the groups that the file knows.

    Args:
        dataset: The samples.
        hashes: The hash of each sample's image.
        rows: The rows of the split file.
        path: The split file, for the error.

    Raises:
        DataChanged: If the dataset does not hold exactly the samples of the file, with the same
            images.
    """
    current = dict(zip((sample.id for sample in dataset), hashes, strict=True))
    new, gone = sorted(current.keys() - rows.keys()), sorted(rows.keys() - current.keys())
    changed = sorted(id for id in current.keys() & rows.keys() if current[id] != rows[id].content)
    if new or gone or changed:
        examples = [
            f"{id} ({change})"
            for ids, change in ((new, "new"), (gone, "gone"), (changed, "changed"))
            for id in ids[:2]
        ]
        raise DataChanged(
            f"the data has changed since it was split: {len(new):,} new samples, "
            f"{len(gone):,} gone, {len(changed):,} changed, e.g. {', '.join(examples)}",
            where=path,
            remedy="Restore the data, or make a new split.",
        )
    return replace(dataset, samples=[_assigned(sample, rows[sample.id]) for sample in dataset])


def _assigned(sample: Sample[A], row: SplitRow) -> Sample[A]:
    return replace(sample, split=row.split, group=row.group or sample.group)


# --- a record of a split, by which a change of the file is found


def record(rows: SplitRows) -> dict[str, str]:
    """What data.json keeps of a split: a hash of it, and the split of each sample by its id's rank.

    The hash finds any change of ids, splits, groups and units; the letters (t, v, e for train,
    valid, test, and - for left out) tell which samples were moved.
    """
    digest = hashlib.blake2b(digest_size=16)
    for id in sorted(rows):
        row = rows[id]
        line = f"{id}\0{row.split or LEFT_OUT}\0{row.group}\0{row.unit}\n"
        digest.update(line.encode("utf-8", "surrogatepass"))
    letters = "".join(_LETTERS[rows[id].split] for id in sorted(rows))
    return {"hash": digest.hexdigest(), "letters": letters}


_LETTERS: dict[SplitName | None, str] = {"train": "t", "valid": "v", "test": "e", None: "-"}


def check_unchanged(rows: SplitRows, recorded: Mapping[str, str], path: Path) -> None:
    """Check a split file against the record that was made when it was written.

    Raises:
        RunError: It was changed; with what was changed.
    """
    if record(rows) == recorded:
        return
    names = {letter: split or LEFT_OUT for split, letter in _LETTERS.items()}
    before = [names.get(letter, "?") for letter in recorded["letters"]]
    ids = sorted(rows)
    if len(before) != len(ids):
        change = f"it had {len(before):,} samples and has {len(ids):,}"
    else:
        moved = [
            f"{id} ({old} -> {rows[id].split or LEFT_OUT})"
            for id, old in zip(ids, before, strict=True)
            if old != (rows[id].split or LEFT_OUT)
        ]
        change = f"{len(moved):,} samples were moved, e.g. {', '.join(moved[:3])}"
        if not moved:
            change = "ids, groups or units were changed"
    raise RunError(
        f"the split was changed after the run began: {change}; images that the run was trained on "
        "could be scored as new ones",
        where=path,
        remedy="Restore the file from a backup, or train again into another --out.",
    )
