"""Captions beside the images: a table such as metadata.csv, COCO's captions, or a text an image.

    metadata.csv or .jsonl, captions.csv, captions.txt, ...   a table, its columns as below
    captions.json                                             a list of objects with the columns as
                                                              keys, or a text for each image name
    captions_train2017.json, ...                              as COCO is published
    1.jpg and 1.txt                                           each line of the text is a caption

The columns of the CSV, or the keys of each line in JSON Lines; capitals, spaces and underscores do
not matter:

    path:  path, file, filename, image, image_name, ...   relative to the table's folder
    text:  text, caption, captions, prompt, description   in JSON Lines also a list of texts
    group: group, patient, subject                        one group stays in one split; empty: none
    split: split, part, set                               train, valid (or val), test; empty: none
    time:  time, date, datetime, timestamp                when it was taken; empty: unknown

Several rows for one image are several captions. There may be one table for each split, in folders
of the splits or with their names. captions.txt may also have lines without a header, each with an
image, a tab and a text, as Flickr8k has. Without any of these, lists of images with a split in
their name (Flickr_8k.trainImages.txt) give the splits, or else the folders in the images' paths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveate.annotations import Captions
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import split_of_folder, with_splits_of_paths
from foveate.formats._shared.files.walk import note_unlisted
from foveate.formats._shared.layout import is_utf8, printable, visible
from foveate.formats._shared.tables.table_files import Tables
from foveate.formats._shared.writing import (
    count_problem,
    new_folder,
    refuse,
    safe_names,
    unsavable_images,
    unsupported_task,
    write_image,
)
from foveate.formats.captions.coco_captions import read_coco
from foveate.formats.captions.rows import JSON, CaptionRow, has_caption_columns, headings, read_rows
from foveate.formats.captions.sidecars import has_sidecars, read_sidecars
from foveate.formats.captions.split_lists import with_splits_of_lists
from foveate.formats.captions.tables import find_caption_tables, is_coco_captions
from foveate.wording import count_noun

NAME = "captions"
SUMMARY = "metadata.csv or metadata.jsonl with file_name,text beside the images, or a similar table"
TASKS = ("text_to_image",)


def sniff(path: Path) -> bool:
    """Return whether there is a table with the columns, or one that is called captions."""
    try:
        tables = find_caption_tables(path)
        if not tables:
            return has_sidecars(path)
        return any(
            table.suffix.lower() in JSON
            or has_caption_columns(table)
            or table.name.lower().startswith("captions.")
            for table, _ in tables
        )
    except DataError:  # there are several, and reading says so
        return True
    except OSError:
        return False


def missing(path: Path) -> str | None:
    """Return why a table of metadata is not one of captions, None if there is no such table."""
    try:
        tables = find_caption_tables(path)
    except (DataError, OSError):
        return None
    for table, _ in tables:
        if found := headings(table):
            listed = printable(", ".join(found))[:200]
            return f"{printable(table.name)} has {listed}, but no column text or caption"
    return None


def read(path: Path) -> Dataset[Captions]:
    """Read one sample per image, with all its captions in the order of the rows.

    Sample ids are paths relative to the dataset's folder. Missing images are skipped and listed.

    Raises:
        DataError: If a row cannot be understood, or if rows of one image differ in group, split or
            time; the error names the line.
    """
    tables = find_caption_tables(path)
    root = _root(path)
    finder, notes, skipped = ImageFinder(root), list[str](), list[Skipped]()
    if tables:
        rows = _rows(tables, finder, notes)
    elif has_sidecars(path):
        rows = read_sidecars(root, skipped, notes)
    else:
        raise DataError(
            "a table of captions is expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    first: dict[str, CaptionRow] = {}
    texts: dict[str, list[str]] = {}
    for id, row in rows:
        before = first.setdefault(id, row)
        if (before.group, before.split, before.time) != (row.group, row.split, row.time):
            raise _conflict(id, before, row)
        texts.setdefault(id, []).extend(row.texts)
    samples: list[Sample[Captions]] = []
    for id, row in first.items():
        if reason := finder.problem(id):
            skipped.append(Skipped(printable(id), reason))
        else:
            target = Captions(tuple(texts[id]))
            source = FileSource(root / id)
            samples.append(Sample(id, source, target, row.group, row.split, row.time))
    if not samples:
        raise finder.none_usable(skipped, tables[0][0] if tables else path)
    notes += finder.notes()
    samples, list_notes = with_splits_of_lists(samples, [root, *(one.parent for one, _ in tables)])
    samples, split_notes = with_splits_of_paths(samples)
    notes += [*list_notes, *split_notes]
    name = path.stem if path.is_file() else path.name
    notes += note_unlisted(root, first) if tables else []
    return Dataset(name, TASKS[0], (), samples, tuple(skipped), path, notes=tuple(notes))


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


def _root(path: Path) -> Path:
    """Return the dataset's folder: of a single file its own, or that around annotations/."""
    if path.is_dir():
        return path
    return path.parents[path.parent.name.casefold() in ("annotation", "annotations")]


def _rows(
    tables: Tables, finder: ImageFinder, notes: list[str]
) -> Iterator[tuple[str, CaptionRow]]:
    """Yield the id of the image and the content of each row."""
    for table, split in tables:
        is_coco = table.suffix.lower() == ".json" and is_coco_captions(table)
        rows = read_coco(table, split) if is_coco else read_rows(table, split, notes)
        folder = _images_of(finder.root, table, split)
        for row in rows:
            id = finder.find(
                row.written, folder=folder, split=row.split, where=table, line=row.line
            )
            yield id, row


def _images_of(root: Path, table: Path, split: SplitName | None) -> Path:
    """Return the folder that a table's names are relative to: its own, or that of its split."""
    if split is None or (table.parent != root and split_of_folder(table.parent.name)):
        return table.parent
    named = (Path(folder.path) for folder in visible(root)[0])
    return next((one for one in named if split_of_folder(one.name) == split), table.parent)


def _conflict(id: str, first: CaptionRow, second: CaptionRow) -> DataError:
    """Return the error for two rows of one image that differ in group, split or time."""
    fields = ("group", "split", "time")
    field = next(field for field in fields if getattr(first, field) != getattr(second, field))
    place = f"line {first.line}" + (
        "" if first.where == second.where else f" of {first.where.name}"
    )
    return DataError(
        f"one {field} is expected for {id!r}, got {getattr(first, field)!r} on {place} and "
        f"{getattr(second, field)!r} here",
        where=second.where,
        line=second.line,
        remedy="Decide which is right and change the other row.",
    )
