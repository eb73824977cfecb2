"""split.csv: a split as a file, with a hash of each image, so it is never used on other data."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from foveate import atomic_io
from foveate.data.dataset import SPLITS, Dataset, Sample, SplitName
from foveate.errors import RunError

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row of a split file.

    Attributes:
        split: The sample's split.
        content: The hash of its image.
    """

    split: SplitName
    content: str


def write(
    path: Path, samples: Sequence[Sample[Any]], hashes: Sequence[str], splits: dict[str, SplitName]
) -> None:
    """Write a split as a CSV file with the columns id, group, split, content.

    Args:
        path: The file.
        samples: The samples.
        hashes: The hash of each sample's image.
        splits: Sample id -> split.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "group", "split", "content"])
    table.writerows(
        [sample.id, sample.group or "", splits[sample.id], digest]
        for sample, digest in zip(samples, hashes, strict=True)
    )
    atomic_io.write_text(path, text.getvalue())


def read(path: Path) -> dict[str, SplitRow]:
    """Read a split file.

    Returns:
        Sample id -> row.

    Raises:
        RunError: With the line, if the file is damaged.
    """
    rows: dict[str, SplitRow] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                split, id, content = row.get("split"), row.get("id"), row.get("content")
                if split not in SPLITS or id is None or id in rows or not content:
                    raise RunError(
                        f"a new id, a split out of {', '.join(SPLITS)} and the hash of an image "
                        f"are expected, got {id!r}, {split!r} and {content!r}",
                        where=path,
                        line=line,
                        remedy="Restore the file from a backup, or make it again: "
                        "foveate split DATA --out FILE.",
                    )
                rows[id] = SplitRow(split, content)
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"this file cannot be read ({error})", where=path) from None
    return rows


def apply(
    dataset: Dataset[A], hashes: Sequence[str], rows: dict[str, SplitRow], path: Path
) -> Dataset[A]:
    """Set the splits of a dataset.

    Args:
        dataset: The samples.
        hashes: The hash of each sample's image.
        rows: Sample id -> row of the split file.
        path: The split file, for the error.

    Raises:
        RunError: If the dataset does not hold exactly the samples of the file, with the same
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
        raise RunError(
            f"the data has changed since it was split: {len(new):,} new samples, "
            f"{len(gone):,} gone, {len(changed):,} changed, e.g. {', '.join(examples)}",
            where=path,
            remedy="Restore the data, or make a new split.",
        )
    return replace(
        dataset, samples=[replace(sample, split=rows[sample.id].split) for sample in dataset]
    )
