"""Find the tables of a dataset: one for all images, or one for each split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.files.splits import split_in_name
from foveate.formats._shared.layout import (
    printable,
    split_of,
    visible,
)

SUFFIXES = (".csv", ".tsv")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")  # recognised, not read
OTHER_TABLES = "other tables, not read: "
"""How the note on the tables that are not read begins."""

_FOLDERS = frozenset(
    {"annotation", "annotations", "boxes", "csv", "data", "label", "labels", "metadata", "tables"}
)
_MAX_TABLES = 50  # more are not tables of a dataset, but one a measurement, an image or a run

Tables = list[tuple[Path, SplitName | None]]
"""The tables, each with the split whose images it lists."""


def find_tables(path: Path, fits: Callable[[Path], bool]) -> tuple[Tables, list[str]]:
    """Return the tables of one format at a path.

    A single table lists the images of all splits. Of several tables each has to tell its split, by
    its folder or by a word in its name: train/_annotations.csv, val_labels.csv.

    Args:
        path: A folder, or the table itself.
        fits: Whether a table is of the format.

    Returns:
        The tables, none if no table fits, and notes on those that are not read.

    Raises:
        DataError: If it is unclear which table is meant.
        OSError: If the folder cannot be opened.
    """
    if not path.is_dir():
        is_table = path.name.lower().endswith(SUFFIXES) and path.is_file()
        return ([(path, None)] if is_table and fits(path) else []), []
    candidates = tables_in(path)
    found = [(table, split) for table, split in candidates if fits(table)]
    # The labels in a challenge's example of a submission are made up.
    found = [one for one in found if "submission" not in one[0].name.casefold()] or found
    found = one_or_splits(found, path)
    read = {table for table, _ in found}
    others = [table.name for table, _ in candidates if table not in read]
    notes = [f"{OTHER_TABLES}{printable(', '.join(others))}"] if found and others else []
    if len(found) > 1:
        each = ", ".join(f"{table.relative_to(path)} is {split}" for table, split in found)
        notes.append(f"the splits are those of the tables: {printable(each)}")
    return found, notes


def one_or_splits(tables: Tables, path: Path) -> Tables:
    """Return one table without a split, or several of which each lists the images of another split.

    Args:
        tables: Tables below a folder.
        path: The folder.

    Raises:
        DataError: If several tables do not tell their splits, or two tell the same.
    """
    if len(tables) < 2:
        return [(table, None) for table, _ in tables]
    splits = [split for _, split in tables]
    if None in splits or len(set(splits)) < len(splits):
        raise several_tables([table for table, _ in tables], path)
    return tables


def several_tables(tables: list[Path], path: Path) -> DataError:
    """Return the error for several tables in a folder, of which it is unclear which is meant."""
    listed = ", ".join(table.relative_to(path).as_posix() for table in tables[:5])
    return DataError(
        "one table is expected, or one for each split with its name "
        f"(such as train.csv and val.csv), found {len(tables)}: {listed}",
        where=path,
        remedy="Give the file itself.",
    )


def tables_in(folder: Path) -> Tables:
    """Return all tables in a folder and in its folders for splits and annotations."""
    below, files = visible(folder)
    tables: Tables = [
        (Path(entry.path), split_in_name(entry.name))
        for entry in files
        if entry.name.lower().endswith(SUFFIXES)
    ]
    for inner in below:
        split = split_of(inner.name)
        if split or inner.name.casefold() in _FOLDERS:
            try:
                entries = visible(inner.path)[1]
            except OSError:
                continue
            tables += [
                (Path(entry.path), split or split_in_name(entry.name))
                for entry in entries
                if entry.name.lower().endswith(SUFFIXES)
            ]
    return tables if len(tables) <= _MAX_TABLES else []
