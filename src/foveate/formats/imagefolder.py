"""Hugging Face's imagefolder with metadata.jsonl: objects in boxes, or a class of each image.

    {"file_name": "1.jpg", "objects": {"bbox": [[left, top, width, height], ...],
                                       "categories": [0, ...]}}
    {"file_name": "1.jpg", "label": "cat"}

`category`, `label` and `labels` are read as `categories` are. Classes are names, or numbers, which
classes.txt beside the images may name. There may be one metadata.jsonl in each of the folders of
the splits; else the folders in the paths tell them. Captions are read by `captions`, and a
metadata.csv with labels by `csv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Boxes, Label
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.bboxes import corners_of
from foveate.formats._shared.documents.json_file import as_numbers, read_size
from foveate.formats._shared.documents.json_lines import first_keys, read_lines
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import (
    split_in_name,
    split_of_folder,
    with_splits_of_paths,
)
from foveate.formats._shared.files.walk import files_with, note_unlisted
from foveate.formats._shared.layout import (
    is_utf8,
    printable,
    read_classes,
    require_two_classes,
    visible,
)
from foveate.formats._shared.tables.csv_table import PATH, plain, split_in_field

NAME = "imagefolder"
SUMMARY = "Hugging Face imagefolder: metadata.jsonl with file_name and objects (boxes) or label"
TASKS = ("detection", "classification")

_OBJECTS = ("objects", "object", "annotations")
_LABEL = ("label", "class", "category")
_BBOX = ("bbox", "bboxes", "boxes")
_CATEGORIES = ("categories", "category", "labels", "label", "class", "classes")


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: an image with its objects, or with one class and no boxes."""

    id: str
    split: SplitName | None
    table: Path
    line: int
    names: list[str]
    bboxes: list[list[float]]
    areas: list[float]
    size: tuple[int, int] | None


def sniff(path: Path) -> bool:
    """Return whether there is a metadata.jsonl, or another such file, with objects or labels."""
    try:
        return bool(_tables(path))
    except OSError:
        return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per line: as detection if the lines have objects, else as classification.

    Raises:
        DataError: If a line cannot be understood; the error names it. Also if several tables list
            images and do not tell their splits, or if an image has two lines.
    """
    tables = _tables(path)
    if not tables:
        raise DataError(
            "a file metadata.jsonl with objects or labels is expected, found none", where=path
        )
    splits = [split for split, _ in tables]
    if len(tables) > 1 and (None in splits or len(set(splits)) < len(splits)):
        raise DataError(
            f"one table is expected, found {', '.join(table.name for _, table in tables)}",
            where=path,
            remedy="Give the file itself.",
        )
    root = path.parent if path.is_file() else path
    finder, notes, skipped = ImageFinder(root), list[str](), list[Skipped]()
    boxed = _key(first_keys(tables[0][1]), _OBJECTS) is not None
    rows: dict[str, _Row] = {}
    for split, table in tables:
        for line, record in read_lines(table):
            row = _row(record, finder, split, table, line, boxed=boxed)
            if row.id in rows:
                raise _error(row, f"one line per image is expected, {row.id!r} has another one")
            rows[row.id] = row
    usable = [row for row in rows.values() if not finder.problem(row.id)]
    skipped = [Skipped(printable(id), why) for id in rows if (why := finder.problem(id))]
    if not usable:
        raise finder.none_usable(skipped, tables[0][1])
    classes, indices = _classes(usable, root, notes)
    targets = _boxes(usable, indices, notes) if boxed else _labels(usable, indices)
    if not boxed:
        require_two_classes(classes, path)
    samples = [
        Sample(row.id, FileSource(root / row.id), target, None, row.split)
        for row, target in zip(usable, targets, strict=True)
    ]
    samples, split_notes = with_splits_of_paths(samples)
    notes += [*split_notes, *finder.notes(), *note_unlisted(root, rows)]
    name = path.stem if path.is_file() else path.name
    task = "detection" if boxed else "classification"
    return Dataset(name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def _tables(path: Path) -> list[tuple[SplitName | None, Path]]:
    """Return the tables in a folder, or else those in its folders of splits, with their splits."""
    if path.is_file():
        return [(None, path)] if _fits(path) else []
    here = [file for file in files_with(path, (".jsonl",)) if _fits(file)]
    if here:
        return [(split_in_name(file.stem) if len(here) > 1 else None, file) for file in here]
    return [
        (split, file)
        for folder in visible(path)[0]
        if (split := split_of_folder(folder.name))
        for file in files_with(Path(folder.path), (".jsonl",))
        if _fits(file)
    ]


def _fits(file: Path) -> bool:
    keys = first_keys(file) if file.suffix.lower() == ".jsonl" else []
    return _key(keys, PATH) is not None and _key(keys, (*_OBJECTS, *_LABEL)) is not None


def _key(keys: Any, words: tuple[str, ...]) -> str | None:
    """Return the first key that is one of some words, whatever its capitals."""
    return next((key for word in words for key in keys if plain(key) == word), None)


def _row(
    record: dict[str, Any],
    finder: ImageFinder,
    split: SplitName | None,
    table: Path,
    line: int,
    *,
    boxed: bool,
) -> _Row:
    written = record.get(_key(record, PATH) or "")
    if not isinstance(written, str):
        raise DataError("the path of an image is expected as file_name", where=table, line=line)
    word = record.get("split")
    if isinstance(word, str) and not split:
        split = split_in_field(word, "split", table, line)
    id = finder.find(written, folder=table.parent, split=split, where=table, line=line)
    row = _Row(id, split, table, line, [], [], [], None)
    value = record.get(_key(record, _OBJECTS if boxed else _LABEL) or "")
    if not boxed:
        if isinstance(value, list | dict):
            raise _error(row, "one class per image is expected, several labels are not read")
        row.names.append(_name(value, row))
        return row
    objects = _as_columns(value, row)
    bboxes = objects.get(_key(objects, _BBOX) or "", [])
    names = objects.get(_key(objects, _CATEGORIES) or "", [])
    areas = as_numbers(objects.get("area"))
    if not isinstance(bboxes, list) or not isinstance(names, list) or len(bboxes) != len(names):
        raise _error(row, "as many categories as boxes are expected in the objects")
    for bbox in bboxes:
        if as_numbers(bbox) is None or len(bbox) != 4:
            raise _error(row, f"four numbers are expected as a bbox, got {ascii(bbox)[:100]}")
    size = read_size(record, "height", "width", "the image", table)
    if areas is None or len(areas) != len(bboxes):
        areas = np.full(len(bboxes), np.nan)
    return replace(
        row,
        names=[_name(name, row) for name in names],
        bboxes=bboxes,
        areas=areas.tolist(),
        size=size,
    )


def _as_columns(value: Any, row: _Row) -> Mapping[str, Any]:
    """Return the objects as lists by key; they may also be written as a list of objects."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _error(row, "objects with bbox and categories are expected")
    keys = {key for one in value for key in one}
    return {key: [one.get(key) for one in value] for key in keys}


def _name(value: Any, row: _Row) -> str:
    if isinstance(value, str) and is_utf8(value) and value.strip():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0:
        return str(int(value))
    raise _error(row, f"the name or the number of a class is expected, got {ascii(value)[:100]}")


def _classes(
    rows: list[_Row], root: Path, notes: list[str]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the classes, and the index of each as it is written."""
    present = {name for row in rows for name in row.names}
    numbers = all(name.isdigit() and name.isascii() for name in present)
    listed = read_classes(root)
    if listed and numbers and not present.intersection(listed):
        if present and max(map(int, present)) >= len(listed):
            raise DataError(
                f"a name for each class is expected in classes.txt, {len(listed)} are there and "
                f"the number {max(map(int, present))} occurs",
                where=root,
            )
        return listed, {name: int(name) for name in present}
    if listed and (unknown := sorted(present.difference(listed))):
        raise DataError(
            f"a name for each class is expected in classes.txt, {unknown[0]!r} is missing",
            where=root,
        )
    if numbers and present:
        notes.append(
            "the classes are numbers without names; classes.txt beside the images names them"
        )
    classes = listed or tuple(sorted(present, key=lambda name: (int(name) if numbers else 0, name)))
    return classes, {name: index for index, name in enumerate(classes)}


def _labels(rows: list[_Row], indices: Mapping[str, int]) -> list[Any]:
    return [Label(indices[row.names[0]]) for row in rows]


def _boxes(rows: list[_Row], indices: Mapping[str, int], notes: list[str]) -> list[Any]:
    counts = [len(row.bboxes) for row in rows]
    bboxes = np.array([bbox for row in rows for bbox in row.bboxes], np.float64).reshape(-1, 4)
    areas = np.array([area for row in rows for area in row.areas], np.float64)
    sizes = np.array([row.size or (np.nan, np.nan) for row in rows], np.float64).reshape(-1, 2)
    corners, box_notes = corners_of(
        bboxes,
        areas,
        np.repeat(sizes, counts, 0),
        [None] * len(bboxes),
        np.ones(len(bboxes), bool),
        rows[0].table,
    )
    notes += box_notes
    ends = np.cumsum(counts)
    return [
        Boxes(
            corners[end - count : end],
            np.array([indices[name] for name in row.names], np.int64),
            size=row.size,
        )
        for row, count, end in zip(rows, counts, ends, strict=True)
    ]


def _error(row: _Row, message: str) -> DataError:
    return DataError(message, where=row.table, line=row.line)
