"""Read the rows of a table of captions: CSV, JSON Lines, or lines of text as in Flickr8k."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.json_lines import first_keys, read_lines
from foveate.formats._shared.layout import has_image_suffix, is_utf8, printable
from foveate.formats._shared.tables import csv_table
from foveate.formats._shared.tables.csv_table import GROUP, PATH, SPLIT, TIME, plain, split_in_field
from foveate.formats.captions import json_tables
from foveate.regular_file import open_regular

TABLES, LINES, JSON, TEXT = (".csv", ".tsv"), (".jsonl",), (".json",), (".txt",)
SUFFIXES = (*TABLES, *LINES, *JSON, *TEXT)

_COLUMNS = {
    "path": (*PATH, "imagename", "imagepath", "filepath"),
    "text": ("text", "caption", "captions", "prompt", "description", "imagecaption"),
    "group": GROUP,
    "split": SPLIT,
    "time": TIME,
}
_NEEDED = ("path", "text")
# Flickr30k's results.csv: image_name| comment_number| comment
_FLICKR_COLUMNS = {**_COLUMNS, "text": ("comment",)}
_NUMBERED = re.compile("(?:caption|description|prompt|text)[0-9]+")  # caption_1
_MAX_LINE = 1_000_000  # bytes; a longer first line is not a record
_NUMBER = re.compile(r"#\d+$")  # Flickr8k.token.txt: 1000.jpg#0, 1000.jpg#1


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One row of a table.

    Attributes:
        written: The path of the image, as written.
        texts: The captions.
        group: The group, or None.
        split: The split, or None.
        time: When the image was taken, or None.
        where: The table.
        line: Its line in the table, or None.
    """

    written: str
    texts: tuple[str, ...]
    group: str | None
    split: SplitName | None
    time: str | None
    where: Path
    line: int | None


def headings(table: Path) -> list[str]:
    """Return the headings of a table, or the keys of its first line; [] if it has none."""
    if table.suffix.lower() in LINES:
        return first_keys(table)
    if table.suffix.lower() in JSON:
        return json_tables.keys_of_first_record(table)
    try:
        return next(iter(csv_table.first_rows(table)), [])
    except (OSError, DataError):
        return []


def has_caption_columns(table: Path) -> bool:
    """Return whether a table has columns for the image and for a text, or lines with both."""
    found = headings(table)
    names = {plain(name) for name in found}
    if all(names.intersection(_columns(found)[column]) for column in _NEEDED):
        return True
    suffix = table.suffix.lower()
    return (suffix in TEXT and _has_text_lines(table)) or (
        suffix in JSON and json_tables.maps_names_to_texts(table)
    )


def _columns(header: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the words of each column; for several captions a row, those that are there."""
    names = {plain(name) for name in header}
    if "commentnumber" in names:
        return _FLICKR_COLUMNS
    numbered = tuple(filter(_NUMBERED.fullmatch, names))
    if names.isdisjoint(_COLUMNS["text"]) and len(numbered) > 1:
        return {**_COLUMNS, "text": numbered}
    return _COLUMNS


def _numbered_texts(header: list[str]) -> list[int]:
    """Return the columns caption_1, caption_2, ..., if there is no other one for the text."""
    words = _columns(header)["text"]
    found = [index for index, name in enumerate(header) if plain(name) in words]
    return found if all(map(_NUMBERED.fullmatch, words)) else []


def read_rows(table: Path, split: SplitName | None, notes: list[str]) -> Iterator[CaptionRow]:
    """Yield the rows of a table.

    Args:
        table: The table.
        split: The split that the name or the folder of the table gives, or None.
        notes: A list that notes on how it was read are added to.

    Raises:
        DataError: If a row cannot be understood; the error names the line.
    """
    suffix = table.suffix.lower()
    records: Iterator[tuple[int | None, dict[str, Any]]]
    if suffix in LINES:
        records = ((line, _by_column(one, table, line)) for line, one in read_lines(table))
    elif suffix in JSON:
        found = json_tables.json_table_records(table)
        records = ((None, _by_column(one, table, None)) for one in found)
    elif suffix in TEXT and _has_text_lines(table):
        records = _text_records(table)
    else:
        records = _csv_records(table, notes)
    for line, record in records:
        row_split = split_in_field(_text(record, "split", table, line), "split", table, line)
        if split and row_split and split != row_split:
            raise DataError(
                f"{split} is expected, as the name of the table or of its folder says, "
                f"got {row_split}",
                where=table,
                line=line,
            )
        texts = record["text"] if isinstance(record["text"], list) else [record["text"]]
        if not all(isinstance(text, str) and is_utf8(text) for text in texts):
            raise DataError(
                f"a text or a list of texts is expected, got {_shown(record['text'])}",
                where=table,
                line=line,
            )
        written = _text(record, "path", table, line)
        group, time = (_text(record, column, table, line) or None for column in ("group", "time"))
        yield CaptionRow(written, tuple(texts), group, split or row_split, time, table, line)


def _csv_records(table: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = csv_table.rows_of(table, notes)
    _, header = next(lines)
    words = _columns(header)
    texts = _numbered_texts(header)
    if texts:
        words = {column: names for column, names in words.items() if column != "text"}
        listed = ", ".join(header[index].strip() for index in texts)
        notes.append(
            f"the columns {printable(listed)} of {printable(table.name)} are read as captions of "
            "the same image"
        )
    needed = tuple(column for column in _NEEDED if column in words)
    indices = csv_table.columns(header, words, needed, table)
    for line, fields in lines:
        record: dict[str, Any] = dict(csv_table.cells(fields, header, indices, table, line))
        if texts:
            record["text"] = [fields[index] for index in texts if fields[index].strip()]
        yield line, record


def _has_text_lines(table: Path) -> bool:
    """Return whether the first line is the name of an image, a tab or comma, and a text."""
    try:
        with open_regular(table) as file:
            first = file.readline(_MAX_LINE).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return _split_line(first) is not None


def _split_line(line: str) -> tuple[str, str] | None:
    """Return the image and the text of a line, None if it is no such line."""
    for sign in ("\t", ","):
        name, found, text = line.strip("\r\n").partition(sign)
        name = _NUMBER.sub("", name.strip())
        if found and has_image_suffix(name) and re.search(r"[^\W\d_]", text):
            return name, text.strip()
    return None


def _text_records(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(csv_table.table_text(table).split("\n"), 1):
        if not text.strip():
            continue
        if (pair := _split_line(text)) is None:
            raise DataError(
                f"the name of an image, a tab and a text are expected, got {_shown(text)}",
                where=table,
                line=line,
            )
        yield line, {"path": pair[0], "text": pair[1].removeprefix('"').removesuffix('"')}


def _by_column(record: dict[str, Any], table: Path, line: int | None) -> dict[str, Any]:
    """Return the values of a record by column; raise DataError if one is missing or there twice."""
    values: dict[str, Any] = {}
    names = list(record)
    for column, words in _columns(names).items():
        keys = [key for key in record if plain(key) in words]
        if column == "text" and _numbered_texts(names):
            values[column] = [record[key] for key in keys if record[key]]
        elif len(keys) > 1:
            raise DataError(
                f"one key is expected for the {column}, found {', '.join(keys)}",
                where=table,
                line=line,
                remedy="Remove the one that is not meant to be read.",
            )
        elif keys:
            values[column] = record[keys[0]]
        elif column in _NEEDED:
            raise DataError(
                f"a key for the {column} is expected, found {', '.join(record)[:300] or 'none'}",
                where=table,
                line=line,
                remedy=f"Name it one of {', '.join(words)}.",
            )
    return values


def _text(record: dict[str, Any], column: str, table: Path, line: int | None) -> str:
    """Return the text in a column, "" if it is null or absent."""
    value = record.get(column)
    if value is None and column not in _NEEDED:
        return ""
    if not isinstance(value, str) or not is_utf8(value):
        raise DataError(
            f"text is expected as the {column}, got {_shown(value)}", where=table, line=line
        )
    return value


def _shown(value: object) -> str:
    return ascii(value)[:100]
