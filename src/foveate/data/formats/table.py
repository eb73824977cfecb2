"""A CSV file with a row per picture: path, label, and optionally group and split.

The header names the columns, in any order; capitals, spaces and underscores in it do not matter:

    path:  path, file, filename, image            from the CSV's folder, or absolute
    label: label, class, target, category
    group: group, patient, subject                one group never straddles parts; empty means none
    part:  split, part, set                       train, valid (or val) or test; empty means not assigned

Other columns are not read. Fields are parted by commas, semicolons or tabs (RFC 4180); the text is UTF-8.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from foveate.annotations import Label
from foveate.data.dataset import Dataset, Part, Skipped
from foveate.data.formats import folder as class_folders
from foveate.data.formats._layout import PART_WORDS, Row, labelled, part_of, unusable, visible
from foveate.data.formats._writing import (
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
from foveate.data.pictures import FileSource
from foveate.errors import DataError

NAME = "csv"
SUMMARY = "a CSV file of path,label and optionally group,split, or the folder that it lies in"

_ENDINGS = (".csv", ".tsv")
_LONGEST_HEADER = 100_000  # characters; what has no line end by then is no table
_COLUMNS = {
    "path": ("path", "file", "filename", "image"),
    "label": ("label", "class", "target", "category"),
    "group": ("group", "patient", "subject"),
    "part": ("split", "part", "set"),
}


def sniff(path: Path) -> bool:
    """A file that ends like a table, or a folder with one such file that has the columns or no rival."""
    try:
        if path.is_file():
            return path.suffix.lower() in _ENDINGS
        return _has_columns(_table(path)) or not class_folders.sniff(path)
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
    reader = _reader(table)
    header: list[str]
    try:
        header = next(reader, [])
        columns = _columns(header, table)
        for fields in reader:
            if fields:
                line = reader.line_num
                row = _row(fields, header, columns, table, line)
                if row.id not in rows:
                    rows[row.id] = (line, row)
                elif rows[row.id][1] == row:
                    skipped.append(Skipped(row.id, f"line {line} repeats line {rows[row.id][0]}"))
                else:
                    raise _conflict(*rows[row.id], row, table, line)
    except csv.Error as error:
        raise DataError(
            f"a table is expected, but {error}",
            where=table,
            line=reader.line_num,
            remedy="Look for a quotation mark that is not closed.",
        ) from None
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
    refuse(path, NAME, unlabelled(dataset))
    problems = [f"the class name {name!r}" for name in dataset.classes if not name.strip() or "\0" in name]
    problems += listed(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unpaintable(dataset))
    names = safe_names(dataset, [("images",)] * len(dataset))
    with new_folder(dataset, path) as place:
        with (place / "data.csv").open("w", encoding="utf-8", newline="") as file:
            # All quoted, so that spaces at either end of a name stay.
            table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            table.writerow(["path", "label", "group", "split"])
            for sample, name in zip(dataset, names, strict=True):
                assert sample.truth is not None
                label = dataset.classes[sample.truth.index]
                table.writerow([f"images/{name}", label, sample.group or "", sample.part or ""])
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


def _has_columns(table: Path) -> bool:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(_LONGEST_HEADER)
        _columns(next(csv.reader([header], delimiter=_delimiter(header)), []), table)
    except (DataError, UnicodeDecodeError, csv.Error):
        return False
    return True


def _reader(table: Path) -> Any:  # of csv's own type, which has no public name
    data = table.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "text in UTF-8 is expected",
            where=table,
            line=data.count(b"\n", 0, error.start) + 1,
            remedy="Save the table as UTF-8.",
        ) from None
    if (place := data.find(b"\0")) >= 0:
        raise DataError(
            "text in UTF-8 is expected, got a byte of value 0",
            where=table,
            line=data.count(b"\n", 0, place) + 1,
        )
    delimiter = _delimiter(text[:_LONGEST_HEADER].split("\n", 1)[0])
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _columns(header: list[str], table: Path) -> dict[str, int]:
    """Where each column that we read stands."""
    names = [cell.strip().casefold().replace("_", "").replace(" ", "") for cell in header]
    columns: dict[str, int] = {}
    for column, words in _COLUMNS.items():
        found = [index for index, name in enumerate(names) if name in words]
        if len(found) > 1:
            raise DataError(
                f"one column is expected for the {column}, found {', '.join(header[i] for i in found)}",
                where=table,
                line=1,
                remedy="Rename the one that is not meant.",
            )
        if found:
            columns[column] = found[0]
        elif column in ("path", "label"):
            there = ", ".join(header)[:300] or "nothing"
            raise DataError(
                f"a column for the {column} is expected, the header has {there}",
                where=table,
                line=1,
                remedy=f"Name it one of {', '.join(words)} in the first line.",
            )
    return columns


def _row(fields: list[str], header: list[str], columns: dict[str, int], table: Path, line: int) -> Row:
    if len(fields) != len(header):
        raise DataError(
            f"{len(header)} fields are expected as in the header, got {len(fields)}",
            where=table,
            line=line,
            remedy="Put quotation marks around a field that holds a comma.",
        )
    cells = {column: fields[index] for column, index in columns.items()}
    if not cells["label"].strip():
        raise DataError("a label is expected, got nothing", where=table, line=line)
    part: Part | None = None
    if (word := cells.get("part", "").strip()) and (part := part_of(word)) is None:
        raise DataError(
            f"one of {', '.join(PART_WORDS)} is expected as the {header[columns['part']]}, got {word!r}",
            where=table,
            line=line,
        )
    id = _id(cells["path"], table, line)
    return Row(id, FileSource(table.parent / id), cells["label"], cells.get("group") or None, part)


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
    pairs = [(what, getattr(first, what), getattr(second, what)) for what in ("label", "group", "part")]
    what, one, other = next(pair for pair in pairs if pair[1] != pair[2])
    return DataError(
        f"one {what} is expected for {first.id!r}, got {one!r} on line {first_line} and {other!r} here",
        where=table,
        line=line,
        remedy="Decide which is right and remove the other row.",
    )
