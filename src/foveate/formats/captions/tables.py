"""Find the tables of captions in a folder, and read their rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared import csv_table
from foveate.formats._shared.csv_table import GROUP, PATH, SPLIT, TIME, plain, split_in
from foveate.formats._shared.layout import is_utf8, split_of, visible
from foveate.formats._shared.paths import id_inside
from foveate.regular_file import open_regular

_NAMES = ("metadata.csv", "metadata.jsonl", "captions.csv", "captions.jsonl")
_TABLES, _LINES = (".csv", ".tsv"), ".jsonl"
_COLUMNS = {
    "path": PATH,
    "text": ("text", "caption", "captions", "prompt", "description"),
    "group": GROUP,
    "split": SPLIT,
    "time": TIME,
}
_NEEDED = ("path", "text")
_MAX_LINE = 1_000_000  # characters; a longer first line is not a record


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One row of a table.

    Attributes:
        id: The path of the image relative to the dataset's folder.
        texts: The captions.
        group: The group, or None.
        split: The split, or None.
        time: When the image was taken, or None.
        where: The table.
        line: Its line in the table.
    """

    id: str
    texts: tuple[str, ...]
    group: str | None
    split: SplitName | None
    time: str | None
    where: Path
    line: int


def find_tables(path: Path) -> list[tuple[SplitName | None, Path]]:
    """Return the table at a path, or one per split, each with its split.

    Raises:
        DataError: If it is unclear which table is meant.
        OSError: If the folder cannot be opened.
    """
    if path.is_file():
        return [(None, path)] if path.suffix.lower() in (*_TABLES, _LINES) else []
    folders, files = visible(path)
    named = _named(path)
    below: list[tuple[SplitName | None, Path]] = [
        (split, table)
        for folder in folders
        if (split := split_of(folder.name))
        for table in _named(Path(folder.path))
    ]
    if not named and not below:
        others = [
            Path(file.path)
            for file in files
            if file.name.lower().endswith((*_TABLES, _LINES)) and file.is_file()
        ]
        named = [table for table in others if has_caption_columns(table)]
    if len(named) > 1 or (named and below):
        names = [
            table.relative_to(path).as_posix() for table in (*named, *(table for _, table in below))
        ]
        raise DataError(
            f"one table of captions is expected, found {', '.join(names)}",
            where=path,
            remedy="Give the file itself.",
        )
    return [(None, table) for table in named] or below


def _named(folder: Path) -> list[Path]:
    """Return the table with one of the usual names; raise DataError if there are several."""
    tables = [
        Path(file.path)
        for file in visible(folder)[1]
        if file.name.lower() in _NAMES and file.is_file()
    ]
    if len(tables) > 1:
        tables = [table for table in tables if has_caption_columns(table)]
    if len(tables) > 1:
        raise DataError(
            f"one table of captions is expected, found {', '.join(table.name for table in tables)}",
            where=folder,
            remedy="Give the file itself.",
        )
    return tables


def has_caption_columns(table: Path) -> bool:
    """Return whether the first line of a table names the required columns."""
    if table.suffix.lower() in _TABLES:
        return csv_table.has_columns(table, _COLUMNS, _NEEDED)
    try:
        with open_regular(table) as file:
            record = json.loads(file.readline(_MAX_LINE).decode("utf-8-sig"))
    except (ValueError, RecursionError):  # damaged JSON, or not UTF-8
        return False
    names = {plain(key) for key in record} if isinstance(record, dict) else set()
    return all(names & set(_COLUMNS[column]) for column in _NEEDED)


def read_rows(root: Path, table: Path, split: SplitName | None) -> Iterator[CaptionRow]:
    """Yield the rows of a table.

    Args:
        root: The dataset's folder, which image paths must not leave.
        table: The table.
        split: The split whose folder the table lies in, or None.

    Raises:
        DataError: If a row cannot be understood; the error names the line.
    """
    for line, record in _records(table) if table.suffix.lower() == _LINES else _csv_records(table):
        row_split = split_in(_text(record, "split", table, line), "split", table, line)
        if split and row_split and split != row_split:
            raise DataError(
                f"{split} is expected, as the folder says, got {row_split}", where=table, line=line
            )
        id = id_inside(
            table.parent, _text(record, "path", table, line), where=table, line=line, root=root
        )
        # `..` may lead to a folder beside that of the split.
        id = os.path.normpath(table.parent.relative_to(root) / id)
        texts = record["text"] if isinstance(record["text"], list) else [record["text"]]
        if not all(isinstance(text, str) and is_utf8(text) for text in texts):
            raise DataError(
                f"a text or a list of texts is expected, got {_shown(record['text'])}",
                where=table,
                line=line,
            )
        group, time = (_text(record, column, table, line) or None for column in ("group", "time"))
        yield CaptionRow(id, tuple(texts), group, split or row_split, time, table, line)


def _csv_records(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = csv_table.rows_of(table)
    _, header = next(lines)
    indices = csv_table.columns(header, _COLUMNS, _NEEDED, table)
    for line, fields in lines:
        yield line, dict(csv_table.cells(fields, header, indices, table, line))


def _records(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, values by column) of each line of JSON."""
    for line, text in enumerate(csv_table.table_text(table).split("\n"), 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error)
            raise DataError(
                f"a JSON object is expected, but it has an error ({reason})",
                where=table,
                line=line,
                remedy='A line looks like {"file_name": "1.jpg", "text": "a red bus"}.',
            ) from None
        if not isinstance(record, dict):
            raise DataError(
                f"one JSON object per line is expected, got {_shown(record)}",
                where=table,
                line=line,
            )
        yield line, _by_column(record, table, line)


def _by_column(record: dict[str, Any], table: Path, line: int) -> dict[str, Any]:
    """Return the values of a record by column; raise DataError if one is missing or there twice."""
    values: dict[str, Any] = {}
    for column, words in _COLUMNS.items():
        keys = [key for key in record if plain(key) in words]
        if len(keys) > 1:
            raise DataError(
                f"one key is expected for the {column}, found {', '.join(keys)}",
                where=table,
                line=line,
                remedy="Remove the one that is not meant to be read.",
            )
        if keys:
            values[column] = record[keys[0]]
        elif column in _NEEDED:
            raise DataError(
                f"a key for the {column} is expected, found {', '.join(record)[:300] or 'none'}",
                where=table,
                line=line,
                remedy=f"Name it one of {', '.join(words)}.",
            )
    return values


def _text(record: dict[str, Any], column: str, table: Path, line: int) -> str:
    """Return the text in a column, "" if it is null or absent."""
    value = record.get(column)
    if value is None and column not in _NEEDED:
        return ""
    if not isinstance(value, str) or not is_utf8(value):
        raise DataError(
            f"text is expected as the {column}, got {_shown(value)}", where=table, line=line
        )
    return value


def conflict(first: CaptionRow, second: CaptionRow) -> DataError:
    """Return the error for two rows of one image that differ in group, split or time."""
    fields = ("group", "split", "time")
    field = next(field for field in fields if getattr(first, field) != getattr(second, field))
    place = f"line {first.line}" + (
        "" if first.where == second.where else f" of {first.where.name}"
    )
    return DataError(
        f"one {field} is expected for {first.id!r}, got {getattr(first, field)!r} on {place} and "
        f"{getattr(second, field)!r} here",
        where=second.where,
        line=second.line,
        remedy="Decide which is right and change the other row.",
    )


def _shown(value: object) -> str:
    return ascii(value)[:100]
