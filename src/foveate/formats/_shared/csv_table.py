"""Read tables as text: CSV as in RFC 4180, UTF-8, with a header in the first line.

Fields are separated by commas, semicolons or tabs. Capitals, spaces and underscores in a header do
not matter: "File_Name" is "filename".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import SPLIT_WORDS, split_of, unusable_reason
from foveate.regular_file import open_regular, read_bytes
from foveate.wording import count_noun

_MAX_HEADER = 100_000  # characters; a longer first line is not the header of a table

PATH = ("path", "file", "filename", "image")
GROUP = ("group", "patient", "subject")
SPLIT = ("split", "part", "set")
TIME = ("time", "date", "datetime", "timestamp")
"""The headings that these columns may have."""


def table_text(path: Path) -> str:
    """Read the text of a table.

    Raises:
        DataError: If it is not a file in UTF-8; the error names the line.
    """
    if not path.is_file() and (reason := unusable_reason(path)):
        raise DataError(f"a table is expected, but {reason}", where=path)
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "text in UTF-8 is expected",
            where=path,
            line=data.count(b"\n", 0, error.start) + 1,
            remedy="Save the table as UTF-8.",
        ) from None
    if (zero := data.find(b"\0")) >= 0:
        raise DataError(
            "text in UTF-8 is expected, got a zero byte",
            where=path,
            line=data.count(b"\n", 0, zero) + 1,
        )
    return text


def rows_of(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of each row that is not empty, the header first.

    The header of an empty file is [].

    Raises:
        DataError: If the file is not a table; the error names the line.
    """
    text = table_text(table)
    delimiter = _delimiter(text[:_MAX_HEADER].split("\n", 1)[0])
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
    """Return whether the first line of a file names the required columns."""
    if unusable_reason(table):
        return False
    try:
        with open_regular(table) as file:
            header = file.readline(_MAX_HEADER).decode("utf-8-sig")
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
    """Find the columns of a table.

    Args:
        header: The fields of the first line.
        words: For each column the headings that it may have.
        needed: The columns that must be there.
        table: The table, for messages.
        line: The line of the header, for messages.

    Returns:
        The index of each column that is there.

    Raises:
        DataError: If a required column is missing, or if two headings name the same column.
    """
    names = [plain(cell) for cell in header]
    indices: dict[str, int] = {}
    for column, headings in words.items():
        matches = [index for index, name in enumerate(names) if name in headings]
        if len(matches) > 1:
            raise DataError(
                f"one column is expected for the {column}, "
                f"found {', '.join(header[i] for i in matches)}",
                where=table,
                line=line,
                remedy="Rename the one that is not meant to be read.",
            )
        if matches:
            indices[column] = matches[0]
        elif column in needed:
            headings_found = ", ".join(header)[:300] or "nothing"
            raise DataError(
                f"a column for the {column} is expected, the header has {headings_found}",
                where=table,
                line=line,
                remedy=f"Name it one of {', '.join(headings)} in the first line.",
            )
    return indices


def cells(
    fields: list[str], header: list[str], indices: dict[str, int], table: Path, line: int
) -> dict[str, str]:
    """Return the fields of a row by column.

    Raises:
        DataError: If the row has more or fewer fields than the header.
    """
    if len(fields) != len(header):
        raise DataError(
            f"{count_noun(len(header), 'field')} as in the header are expected, got {len(fields)}",
            where=table,
            line=line,
            remedy="Put quotation marks around a field that holds a comma.",
        )
    return {column: fields[index] for column, index in indices.items()}


def split_in(word: str, heading: str, table: Path, line: int) -> SplitName | None:
    """Return the split that a field names, None for an empty field.

    Raises:
        DataError: If it names no split.
    """
    if not word.strip():
        return None
    if split := split_of(word):
        return split
    raise DataError(
        f"one of {', '.join(SPLIT_WORDS)} is expected as the {heading}, got {word.strip()!r}",
        where=table,
        line=line,
    )


def plain(heading: str) -> str:
    """Normalise a heading: no capitals, spaces and underscores."""
    return heading.strip().casefold().replace("_", "").replace(" ", "")


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)
