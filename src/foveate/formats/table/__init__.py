"""A CSV file with one row per image: path, label, and optionally group, split and time.

The header names the columns, in any order; capitals, spaces, hyphens and underscores in it do not
matter:

    path:  path, file, filename, image           as found below the folder; also without suffix
    label: label, class, target, category        or a column of 0 and 1 for each class
    group: group, patient, subject               one group stays in one split; empty: none
    split: split, part, set                      train, valid (or val) or test; empty: not assigned
    time:  time, date, datetime, timestamp       when it was taken (for --time-by data); empty:
        unknown

A column with another heading is read where its fields leave no doubt, and a note says so. There may
be a table for each split (train.csv, val.csv). `columns` finds the columns; `labels` decides what
the fields of labels are.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from foveate import formats
from foveate.annotations import Label
from foveate.data.dataset import Dataset, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import with_splits_of_paths
from foveate.formats._shared.files.walk import note_unlisted
from foveate.formats._shared.layout import LabelRow, labelled_dataset
from foveate.formats._shared.tables.csv_table import first_rows
from foveate.formats._shared.tables.several_labels import SEVERAL
from foveate.formats._shared.tables.table_files import (
    SUFFIXES,
    find_tables,
    tables_in,
)
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
from foveate.formats.table.columns import read_table, recognised
from foveate.formats.table.labels import checked

NAME = "csv"
SUMMARY = "a CSV file with the columns path,label (optionally group,split,time), or its folder"
TASKS = ("classification",)


@dataclass(slots=True)
class _Rows:
    """The rows of all tables so far.

    Attributes:
        by_id: The table and the line of each image, with its row.
        written: The path of each image as written.
        skipped: The rows that are left out.
    """

    by_id: dict[str, tuple[Path, int, LabelRow]]
    written: dict[str, str]
    skipped: list[Skipped]


def sniff(path: Path) -> bool:
    """Return whether this is a table of labels, or a folder with such tables.

    A table whose labels have no such heading is accepted if no other format fits; so is any other
    single table: reading it says what is missing.
    """
    try:
        tables = [path] if path.is_file() else [table for table, _ in tables_in(path)]
        tables = [one for one in tables if one.name.lower().endswith(SUFFIXES) and one.is_file()]
        found = [one for table in tables if (one := recognised(first_rows(table), path))]
        if any(table.is_named for table in found):
            return True
        return bool(found or len(tables) == 1) and not any(
            other.sniff(path) for name, other in formats.all().items() if name != NAME
        )
    except (DataError, OSError):
        return False


def read(path: Path) -> Dataset[Label]:
    """Read one sample per row, its id being the path of the image.

    Classes are sorted by name, or as in classes.txt. Missing images are skipped and listed.

    Raises:
        DataError: If a row has too few or too many fields, no label or several, an unknown split,
            or if one image has two labels; the error names the line.
    """
    root = path if path.is_dir() else path.parent
    tables, notes = find_tables(path, lambda table: recognised(first_rows(table), root) is not None)
    if not tables:
        tables = [(_only_table(path), None)]
    finder = ImageFinder(root)
    rows = _Rows({}, {}, [])
    for table, split in tables:
        notes += _add_table(rows, table, split, finder)
    if rows.by_id and all(finder.problem(id) for id in rows.by_id):
        skipped = [Skipped(id, finder.problem(id) or "") for id in rows.by_id]
        raise finder.none_usable([*rows.skipped, *skipped], tables[0][0])
    usable = []
    for id, (*_, row) in rows.by_id.items():
        if reason := finder.problem(id):
            rows.skipped.append(Skipped(id, reason))
        else:
            usable.append(row)
    usable, split_notes = with_splits_of_paths(usable, rows.written)
    name = tables[0][0].stem if path.is_file() else path.name
    data = labelled_dataset(usable, rows.skipped, name=name, origin=path, beside=root)
    return replace(
        data, notes=(*notes, *finder.notes(), *split_notes, *note_unlisted(root, rows.by_id))
    )


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
    problems += _unreadable_labels(dataset)
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


def _only_table(path: Path) -> Path:
    """Return the only CSV file; raise DataError if a folder does not hold exactly one."""
    if path.is_file():
        return path
    tables = [table for table, _ in tables_in(path)]
    if len(tables) != 1:
        raise DataError(
            f"one CSV file of labels is expected in the folder, found {len(tables)} files",
            where=path,
            remedy="Give the file itself.",
        )
    return tables[0]


def _add_table(rows: _Rows, table: Path, split: SplitName | None, finder: ImageFinder) -> list[str]:
    """Add the rows of a table, and return the notes on it."""
    content = read_table(table, finder.root)
    labels, notes = checked(
        content.label_fields(), content.label_heading, table, is_named=not content.is_other_heading
    )
    for (line, fields), label in zip(content.rows, labels, strict=True):
        written = fields[content.image]
        group, time = (
            fields[content.optional[column]] if column in content.optional else ""
            for column in ("group", "time")
        )
        row_split = content.split_of_row(line, fields)
        if split and row_split and split != row_split:
            raise DataError(
                f"{split} is expected, as the name of the table says, got {row_split}",
                where=table,
                line=line,
            )
        own = split or row_split
        id = finder.find(written, folder=table.parent, split=own, where=table, line=line)
        source = FileSource(finder.root / id)
        row = LabelRow(id, source, label, group or None, own, time or None)
        if id in rows.by_id and (reason := finder.problem(id)):
            rows.skipped.append(Skipped(id, reason))
            continue
        _add_row(rows, row, table, line)
        rows.written.setdefault(id, written)
    return content.notes + notes


def _add_row(rows: _Rows, row: LabelRow, table: Path, line: int) -> None:
    """Add a row; raise DataError if the image has another one that differs."""
    if row.id not in rows.by_id:
        rows.by_id[row.id] = (table, line, row)
        return
    first_table, first_line, first = rows.by_id[row.id]
    place = f"line {first_line}"
    place += "" if first_table == table else f" of {first_table.name}"
    if first == row:
        rows.skipped.append(Skipped(row.id, f"line {line} repeats {place}"))
        return
    values = [
        (field, getattr(first, field), getattr(row, field))
        for field in ("label", "group", "split", "time")
    ]
    field, earlier, later = next(value for value in values if value[1] != value[2])
    raise DataError(
        f"one {field} is expected for {row.id!r}, got {earlier!r} on {place} and {later!r} here",
        where=table,
        line=line,
        remedy="Decide which is right and remove the other row."
        + (f" If both are right: {SEVERAL}." if field == "label" else ""),
    )


def _unreadable_labels(dataset: Dataset[Label]) -> list[str]:
    """List what keeps class names from being read as they are: "1.0", "a" beside "b" and "a b"."""
    labels = [dataset.classes[sample.target.index] for sample in dataset if sample.target]
    try:
        classes, _ = checked(list(enumerate(labels, 2)), "label", Path("data.csv"))
    except DataError as error:
        return [f"these class names ({error.message})"]
    return [] if classes == labels else ["class names that would be read as other ones"]
