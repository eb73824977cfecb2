"""Tables as text: CSV after RFC 4180, fields parted by commas, semicolons or tabs, UTF-8, the first line a header.

In a header capitals, spaces and underscores do not matter: "File_Name" is "filename".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import PART_WORDS, part_of, unusable

_LONGEST_HEADER = 100_000  # characters; what has no line end by then is no table

PATH = ("path", "file", "filename", "image")
GROUP = ("group", "patient", "subject")
PART = ("split", "part", "set")
TIME = ("time", "date", "datetime", "timestamp")
"""What people call these columns."""


def text_of(path: Path) -> str:
    """The text of a file. Raises DataError, with the line, for what is not UTF-8."""
    if not path.is_file() and (reason := unusable(path)):
        raise DataError(f"a table is expected, but {reason}", where=path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "text in UTF-8 is expected",
            where=path,
            line=data.count(b"\n", 0, error.start) + 1,
            remedy="Save the table as UTF-8.",
        ) from None
    if (place := data.find(b"\0")) >= 0:
        raise DataError(
            "text in UTF-8 is expected, got a byte of value 0",
            where=path,
            line=data.count(b"\n", 0, place) + 1,
        )
    return text


def rows_of(table: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row that is not empty, the header first: [] if there is none.

    Raises DataError, with the line, for what is no table.
    """
    text = text_of(table)
    delimiter = _delimiter(text[:_LONGEST_HEADER].split("\n", 1)[0])
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        yield 1, next(reader, [])
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(
            f"a table is expected, but {error}",
            where=table,
            line=reader.line_num,
            remedy="Look for a quotation mark that is not closed.",
        ) from None


def has_columns(table: Path, words: Mapping[str, tuple[str, ...]], needed: tuple[str, ...]) -> bool:
    """Whether the first line of a file names the columns that are needed. Only that line is read."""
    if unusable(table):  # a pipe would be waited for
        return False
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(_LONGEST_HEADER)
        columns(next(csv.reader([header], delimiter=_delimiter(header)), []), words, needed, table)
    except (DataError, UnicodeDecodeError, csv.Error):
        return False
    return True


def columns(
    header: list[str],
    words: Mapping[str, tuple[str, ...]],
    needed: tuple[str, ...],
    table: Path,
    line: int = 1,
) -> dict[str, int]:
    """Where each column stands that we read. words: for each what it may be called.

    Raises DataError if one that is needed is not there, or if there are two for one.
    """
    names = [plain(cell) for cell in header]
    places: dict[str, int] = {}
    for column, called in words.items():
        found = [index for index, name in enumerate(names) if name in called]
        if len(found) > 1:
            raise DataError(
                f"one column is expected for the {column}, found {', '.join(header[i] for i in found)}",
                where=table,
                line=line,
                remedy="Rename the one that is not meant.",
            )
        if found:
            places[column] = found[0]
        elif column in needed:
            there = ", ".join(header)[:300] or "nothing"
            raise DataError(
                f"a column for the {column} is expected, the header has {there}",
                where=table,
                line=line,
                remedy=f"Name it one of {', '.join(called)} in the first line.",
            )
    return places


def cells(
    fields: list[str], header: list[str], places: dict[str, int], table: Path, line: int
) -> dict[str, str]:
    """A row's fields by column. Raises DataError if there are more or fewer than in the header."""
    if len(fields) != len(header):
        raise DataError(
            f"{len(header)} fields are expected as in the header, got {len(fields)}",
            where=table,
            line=line,
            remedy="Put quotation marks around a field that holds a comma.",
        )
    return {column: fields[index] for column, index in places.items()}


def part_in(word: str, heading: str, table: Path, line: int) -> SplitName | None:
    """The part that a field means; None if it is empty. Raises DataError for another word."""
    if not word.strip():
        return None
    if split := part_of(word):
        return split
    raise DataError(
        f"one of {', '.join(PART_WORDS)} is expected as the {heading}, got {word.strip()!r}",
        where=table,
        line=line,
    )


def plain(heading: str) -> str:
    """A heading without what does not matter in it."""
    return heading.strip().casefold().replace("_", "").replace(" ", "")


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)
