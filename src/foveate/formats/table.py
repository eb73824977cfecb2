"""A CSV file with one row per image: path, label, and optionally group, split and time.

The header names the columns, in any order; capitals, spaces and underscores in it do not matter:

    path:  path, file, filename, image           relative to the CSV's folder, or absolute
    label: label, class, target, category
    group: group, patient, subject               one group stays in one split; empty: none
    split: split, part, set                      train, valid (or val) or test; empty: not assigned
    time:  time, date, datetime, timestamp       when it was taken (for --time-by data); empty:
        unknown

Other columns are ignored. Fields are separated by commas, semicolons or tabs (RFC 4180), the text
is UTF-8.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from foveate import formats
from foveate.annotations import Label
from foveate.data.dataset import Dataset, Skipped
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.csv_table import (
    GROUP,
    PATH,
    SPLIT,
    TIME,
    cells,
    columns,
    has_columns,
    rows_of,
    split_in,
)
from foveate.formats._shared.layout import LabelRow, labelled_dataset, unusable_reason, visible
from foveate.formats._shared.writing import (
    needs_classes,
    new_folder,
    refuse,
    safe_names,
    unlistable_names,
    unsavable_images,
    unsupported_task,
    write_classes,
    write_image,
)

NAME = "csv"
SUMMARY = "a CSV file with the columns path,label (optionally group,split,time), or its folder"
TASKS = ("classification",)

_SUFFIXES = (".csv", ".tsv")
_COLUMNS = {
    "path": PATH,
    "label": ("label", "class", "target", "category"),
    "group": GROUP,
    "split": SPLIT,
    "time": TIME,
}
_NEEDED = ("path", "label")


def sniff(path: Path) -> bool:
    """Return whether this is a table with the required columns, or a folder with one such table.

    A table without the columns is accepted if no other format fits: reading it says what is
    missing.
    """
    try:
        table = _table(path)
        if table.suffix.lower() not in _SUFFIXES or not table.is_file():
            return False
        return has_columns(table, _COLUMNS, _NEEDED) or not any(
            other.sniff(path) for name, other in formats.all().items() if name != NAME
        )
    except (DataError, OSError):
        return False


def read(path: Path) -> Dataset[Label]:
    """Read one sample per row, its id being the path as written.

    Classes are sorted by name, or as in classes.txt. Missing images are skipped and listed.

    Raises:
        DataError: If a row has too few or too many fields, an empty label, an unknown split, a path
            that leaves the CSV's folder, or if one path has two labels; the error names the line.
    """
    table = _table(path)
    rows: dict[str, tuple[int, LabelRow]] = {}
    skipped: list[Skipped] = []
    lines = rows_of(table)
    _, header = next(lines)
    indices = columns(header, _COLUMNS, _NEEDED, table)
    for line, fields in lines:
        row = _row(fields, header, indices, table, line)
        if row.id not in rows:
            rows[row.id] = (line, row)
        elif rows[row.id][1] == row:
            skipped.append(Skipped(row.id, f"line {line} repeats line {rows[row.id][0]}"))
        else:
            raise _conflict(*rows[row.id], row, table, line)
    usable = []
    for id, (_, row) in rows.items():
        if reason := unusable_reason(table.parent / id):
            skipped.append(Skipped(id, reason))
        else:
            usable.append(row)
    name = table.stem if path == table else path.name
    return labelled_dataset(usable, skipped, name=name, origin=path, beside=table.parent)


def write(dataset: Dataset[Label], path: Path) -> None:
    """Write a folder with data.csv and images/.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If a class name is blank or holds a zero byte.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    problems = [
        f"the class name {name!r}" for name in dataset.classes if not name.strip() or "\0" in name
    ]
    problems += unlistable_names(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unsavable_images(dataset))
    names = safe_names(dataset, [("images",)] * len(dataset))
    with new_folder(dataset, path) as folder:
        with (folder / "data.csv").open("w", encoding="utf-8", newline="") as file:
            # Quotes keep the spaces at either end of a name.
            table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            has_times = any(sample.time for sample in dataset)
            table.writerow(["path", "label", "group", "split", *["time"] * has_times])
            for sample, name in zip(dataset, names, strict=True):
                assert sample.target is not None
                label = dataset.classes[sample.target.index]
                optional = [
                    sample.group or "",
                    sample.split or "",
                    *[sample.time or ""] * has_times,
                ]
                table.writerow([f"images/{name}", label, *optional])
                write_image(sample, folder / "images" / name)
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _table(path: Path) -> Path:
    """Return the CSV file itself; raise DataError if a folder does not hold exactly one."""
    if path.is_file():
        return path
    tables = [entry for entry in visible(path)[1] if entry.name.lower().endswith(_SUFFIXES)]
    if len(tables) != 1:
        raise DataError(
            f"one CSV file is expected in the folder, found {len(tables)}",
            where=path,
            remedy="Give the file itself.",
        )
    return Path(tables[0].path)


def _row(
    fields: list[str], header: list[str], indices: dict[str, int], table: Path, line: int
) -> LabelRow:
    values = cells(fields, header, indices, table, line)
    if not values["label"].strip():
        raise DataError("a label is expected, got nothing", where=table, line=line)
    split = (
        split_in(values["split"], header[indices["split"]], table, line)
        if "split" in indices
        else None
    )
    id = _id(values["path"], table, line)
    return LabelRow(
        id,
        FileSource(table.parent / id),
        values["label"],
        values.get("group") or None,
        split,
        values.get("time") or None,
    )


def _id(path: str, table: Path, line: int) -> str:
    """Return the path of a row as a sample id: normalised, relative to the table or absolute."""
    if not path.strip():
        raise DataError("a path is expected, got nothing", where=table, line=line)
    if "\\" in path and not (table.parent / path).exists():
        path = path.replace("\\", "/")  # written on Windows
    id = os.path.normpath(path)
    if id == ".." or id.startswith("../"):
        raise DataError(
            f"a path below the table's folder is expected, {path!r} leaves it",
            where=table,
            line=line,
            remedy="Move the table to a folder above the images, or write absolute paths.",
        )
    return id


def _conflict(
    first_line: int, first: LabelRow, second: LabelRow, table: Path, line: int
) -> DataError:
    values = [
        (field, getattr(first, field), getattr(second, field))
        for field in ("label", "group", "split", "time")
    ]
    field, earlier, later = next(value for value in values if value[1] != value[2])
    return DataError(
        f"one {field} is expected for {first.id!r}, got {earlier!r} on line {first_line} "
        f"and {later!r} here",
        where=table,
        line=line,
        remedy="Decide which is right and remove the other row.",
    )
