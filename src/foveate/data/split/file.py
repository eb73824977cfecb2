"""split.csv: the split as a file, with each sample's content, so that it can be used again and never on other data."""

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
    """A sample's part, and the hash of its picture's content."""

    split: SplitName
    content: str


def write(
    path: Path, samples: Sequence[Sample[Any]], hashes: Sequence[str], splits: dict[str, SplitName]
) -> None:
    """Columns id, group, part, content."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "group", "part", "content"])
    table.writerows(
        [sample.id, sample.group or "", splits[sample.id], digest]
        for sample, digest in zip(samples, hashes, strict=True)
    )
    atomic_io.write_text(path, text.getvalue())


def read(path: Path) -> dict[str, SplitRow]:
    """Id -> its row. Raises RunError with the line that is wrong."""
    rows: dict[str, SplitRow] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                split, id, content = row.get("part"), row.get("id"), row.get("content")
                if split not in SPLITS or id is None or id in rows or not content:
                    raise RunError(
                        f"a new id, a part out of {', '.join(SPLITS)} and the content's hash are expected, got {id!r}, "
                        f"{split!r} and {content!r}",
                        where=path,
                        line=line,
                        remedy="Take the file from a backup, or make it again: foveate split DATA --out FILE.",
                    )
                rows[id] = SplitRow(split, content)
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"this file cannot be read ({error})", where=path) from None
    return rows


def apply(
    dataset: Dataset[A], hashes: Sequence[str], rows: dict[str, SplitRow], path: Path
) -> Dataset[A]:
    """The dataset with its parts set.

    hashes: of each sample's picture; path: of the file, for the error
    Raises RunError if the dataset does not hold exactly the samples that were split, with the same pictures.
    """
    held = dict(zip((sample.id for sample in dataset), hashes, strict=True))
    new, gone = sorted(held.keys() - rows.keys()), sorted(rows.keys() - held.keys())
    other = sorted(id for id in held.keys() & rows.keys() if held[id] != rows[id].content)
    if new or gone or other:
        told = [
            f"{id} ({what})"
            for ids, what in ((new, "new"), (gone, "gone"), (other, "changed"))
            for id in ids[:2]
        ]
        raise RunError(
            f"the data has changed since it was split: {len(new):,} new samples, {len(gone):,} gone, {len(other):,} changed, "
            f"e.g. {', '.join(told)}",
            where=path,
            remedy="Bring the data back as it was, or make a new split.",
        )
    return replace(
        dataset, samples=[replace(sample, split=rows[sample.id].split) for sample in dataset]
    )
