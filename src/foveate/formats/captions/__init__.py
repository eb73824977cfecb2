"""A table of captions beside the images: metadata.csv, metadata.jsonl, or another such table.

The columns of the CSV, or the keys of each line in JSON Lines; capitals, spaces and underscores do
not matter:

    path:  path, file, filename, image                    relative to the table's folder
    text:  text, caption, captions, prompt, description   in JSON Lines also a list of texts
    group: group, patient, subject                        one group stays in one split; empty: none
    split: split, part, set                               train, valid (or val), test; empty: none
    time:  time, date, datetime, timestamp                when it was taken; empty: unknown

Several rows for one image are several captions. There may be one table in each of the folders
train, valid and test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foveate.annotations import Captions
from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.layout import is_utf8, unusable_reason
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    count_problem,
    new_folder,
    refuse,
    safe_names,
    unsavable_images,
    unsupported_task,
    write_image,
)
from foveate.formats.captions.tables import (
    CaptionRow,
    conflict,
    find_tables,
    has_caption_columns,
    read_rows,
)
from foveate.wording import count_noun

NAME = "captions"
SUMMARY = "metadata.csv or metadata.jsonl with file_name,text beside the images, or a similar table"
TASKS = ("text_to_image",)


def sniff(path: Path) -> bool:
    """Return whether there is a table with the columns, or one that is called captions."""
    try:
        tables = find_tables(path)
        return any(
            has_caption_columns(table) or table.name.lower().startswith("captions.")
            for _, table in tables
        )
    except DataError:  # there are several, and reading says so
        return True
    except OSError:
        return False


def read(path: Path) -> Dataset[Captions]:
    """Read one sample per image, with all its captions in the order of the rows.

    Sample ids are paths relative to the dataset's folder. Missing images are skipped and listed.

    Raises:
        DataError: If a row cannot be understood, or if rows of one image differ in group, split or
            time; the error names the line.
    """
    tables = find_tables(path)
    if not tables:
        raise DataError(
            "a table of captions is expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    root = path.parent if path.is_file() else path
    first: dict[str, CaptionRow] = {}
    texts: dict[str, list[str]] = {}
    for split, table in tables:
        for row in read_rows(root, table, split):
            before = first.setdefault(row.id, row)
            if (before.group, before.split, before.time) != (row.group, row.split, row.time):
                raise conflict(before, row)
            texts.setdefault(row.id, []).extend(row.texts)
    samples: list[Sample[Captions]] = []
    skipped: list[Skipped] = []
    for id, row in first.items():
        if reason := unusable_reason(root / id):
            skipped.append(Skipped(id, reason))
        else:
            target = Captions(tuple(texts[id]))
            samples.append(
                Sample(id, FileSource(root / id), target, row.group, row.split, row.time)
            )
    if not samples:
        raise DataError(
            "images with captions are expected, found none that can be used "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=tables[0][1],
        )
    name = path.stem if path.is_file() else path.name
    return Dataset(name, TASKS[0], (), samples, tuple(skipped), path)


def write(dataset: Dataset[Captions], path: Path) -> None:
    """Write a folder with metadata.jsonl and images/.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If there are classes, or texts that are not valid Unicode.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    invalid = [
        s
        for s in dataset
        if s.target is not None
        and not all(map(is_utf8, (*s.target.texts, s.group or "", s.time or "")))
    ]
    problems = count_problem("with text that is not valid Unicode", invalid)
    problems += (
        [f"{count_noun(len(dataset.classes), 'class', 'classes')}"] if dataset.classes else []
    )
    refuse(path, NAME, problems + unsavable_images(dataset))
    names = safe_names(dataset, [("images",)] * len(dataset))
    with (
        new_folder(dataset, path) as folder,
        (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as file,
    ):
        for sample, name in zip(dataset, names, strict=True):
            assert sample.target is not None
            texts = sample.target.texts
            record: dict[str, Any] = {
                "file_name": f"images/{name}",
                "text": texts[0] if len(texts) == 1 else texts,
            }
            record |= {"group": sample.group} if sample.group else {}
            record |= {"split": sample.split} if sample.split else {}
            record |= {"time": sample.time} if sample.time else {}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            write_image(sample, folder / "images" / name)
