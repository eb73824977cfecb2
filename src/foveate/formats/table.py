"""A CSV file with a row per picture: path, label, and optionally group, split and time.

The header names the columns, in any order; capitals, spaces and underscores in it do not matter:

    path:  path, file, filename, image            from the CSV's folder, or absolute
    label: label, class, target, category
    group: group, patient, subject                one group never straddles parts; empty means none
    part:  split, part, set                       train, valid (or val) or test; empty means not assigned
    time:  time, date, datetime, timestamp        when it was taken, for --time-by data; empty means not known

Other columns are not read. Fields are parted by commas, semicolons or tabs (RFC 4180); the text is UTF-8.
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
    PART,
    PATH,
    TIME,
    cells,
    columns,
    has_columns,
    part_in,
    rows_of,
)
from foveate.formats._shared.layout import Row, labelled, unusable, visible
from foveate.formats._shared.writing import (
    listed,
    needs_classes,
    new_folder,
    refuse,
    safe_names,
    unlabelled,
    unpaintable,
    write_classes,
    write_picture,
)

NAME = "csv"
SUMMARY = "a CSV file of path,label and optionally group,split,time, or the folder that it lies in"
TASKS = ("classification",)

_ENDINGS = (".csv", ".tsv")
_COLUMNS = {
    "path": PATH,
    "label": ("label", "class", "target", "category"),
    "group": GROUP,
    "part": PART,
    "time": TIME,
}
_NEEDED = ("path", "label")


def sniff(path: Path) -> bool:
    """A file that ends like a table, or a folder with one such file, if it has the columns. Also if it has not,
    where no other format fits: then reading says which are missing.
    """
    try:
        table = _table(path)
        if table.suffix.lower() not in _ENDINGS or not table.is_file():
            return False
        return has_columns(table, _COLUMNS, _NEEDED) or not any(
            other.sniff(path) for name, other in formats.all().items() if name != NAME
        )
    except (DataError, OSError):
        return False


def read(path: Path) -> Dataset[Label]:
    """One sample a row, its id being the path as written. Classes are sorted by name, or as in classes.txt.

    A picture that is not there is skipped and listed. Raises DataError, with the line, for a row that cannot
    be understood: too few or too many fields, an empty label, an unknown part, a path that leaves the CSV's
    folder, or one path with two labels.
    """
    table = _table(path)
    rows: dict[str, tuple[int, Row]] = {}
    skipped: list[Skipped] = []
    lines = rows_of(table)
    _, header = next(lines)
    places = columns(header, _COLUMNS, _NEEDED, table)
    for line, fields in lines:
        row = _row(fields, header, places, table, line)
        if row.id not in rows:
            rows[row.id] = (line, row)
        elif rows[row.id][1] == row:
            skipped.append(Skipped(row.id, f"line {line} repeats line {rows[row.id][0]}"))
        else:
            raise _conflict(*rows[row.id], row, table, line)
    kept = []
    for id, (_, row) in rows.items():
        if reason := unusable(table.parent / id):
            skipped.append(Skipped(id, reason))
        else:
            kept.append(row)
    name = table.stem if path == table else path.name
    return labelled(kept, skipped, name=name, origin=path, beside=table.parent)


def write(dataset: Dataset[Label], path: Path) -> None:
    """A folder with data.csv and images/. Files are copied as they are, pictures in memory become PNG."""
    refuse(path, NAME, unlabelled(dataset, TASKS))
    problems = [
        f"the class name {name!r}" for name in dataset.classes if not name.strip() or "\0" in name
    ]
    problems += listed(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unpaintable(dataset))
    names = safe_names(dataset, [("images",)] * len(dataset))
    with new_folder(dataset, path) as place:
        with (place / "data.csv").open("w", encoding="utf-8", newline="") as file:
            # All quoted, so that spaces at either end of a name stay.
            table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            timed = any(sample.time for sample in dataset)
            table.writerow(["path", "label", "group", "split", *["time"] * timed])
            for sample, name in zip(dataset, names, strict=True):
                assert sample.target is not None
                label = dataset.classes[sample.target.index]
                told = [sample.group or "", sample.split or "", *[sample.time or ""] * timed]
                table.writerow([f"images/{name}", label, *told])
                write_picture(sample, place / "images" / name)
        if needs_classes(dataset):
            write_classes(dataset, place)


def _table(path: Path) -> Path:
    """The CSV file itself. Raises DataError if a folder does not hold exactly one."""
    if path.is_file():
        return path
    tables = [entry for entry in visible(path)[1] if entry.name.lower().endswith(_ENDINGS)]
    if len(tables) != 1:
        raise DataError(
            f"one CSV file is expected in the folder, found {len(tables)}",
            where=path,
            remedy="Give the file itself.",
        )
    return Path(tables[0].path)


def _row(
    fields: list[str], header: list[str], places: dict[str, int], table: Path, line: int
) -> Row:
    found = cells(fields, header, places, table, line)
    if not found["label"].strip():
        raise DataError("a label is expected, got nothing", where=table, line=line)
    split = (
        part_in(found["part"], header[places["part"]], table, line) if "part" in places else None
    )
    id = _id(found["path"], table, line)
    return Row(
        id,
        FileSource(table.parent / id),
        found["label"],
        found.get("group") or None,
        split,
        found.get("time") or None,
    )


def _id(path: str, table: Path, line: int) -> str:
    """The path as a sample's id: normal, from the table's folder unless it is absolute."""
    if not path.strip():
        raise DataError("a path is expected, got nothing", where=table, line=line)
    if "\\" in path and not (table.parent / path).exists():
        path = path.replace("\\", "/")  # a table from Windows
    id = os.path.normpath(path)
    if id == ".." or id.startswith("../"):
        raise DataError(
            f"a path below the table's folder is expected, {path!r} leaves it",
            where=table,
            line=line,
            remedy="Move the table to a folder above the pictures, or write the path in full, from the root.",
        )
    return id


def _conflict(first_line: int, first: Row, second: Row, table: Path, line: int) -> DataError:
    pairs = [
        (what, getattr(first, what), getattr(second, what))
        for what in ("label", "group", "split", "time")
    ]
    what, one, other = next(pair for pair in pairs if pair[1] != pair[2])
    return DataError(
        f"one {what} is expected for {first.id!r}, got {one!r} on line {first_line} and {other!r} here",
        where=table,
        line=line,
        remedy="Decide which is right and remove the other row.",
    )
