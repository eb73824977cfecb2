"""Read tables as text: CSV as in RFC 4180, with a header in the first line.

Fields are separated by commas, semicolons, tabs or bars; a first line `sep=;`, as Excel writes it,
names the sign. Text is UTF-8, or UTF-16 with a byte order mark; Windows-1252 where nothing else can
be meant. Capitals, spaces, hyphens and underscores in a header do not matter: "File_Name" is
"filename".
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import SPLIT_WORDS, split_of, unusable_reason
from foveate.regular_file import open_regular, read_bytes
from foveate.wording import count_noun

_MAX_HEADER = 100_000  # bytes; a longer first line is not the header of a table
_MAX_START = 200_000  # bytes that are read to recognise a table

START_ROWS = 50
"""Rows that tell what a table is."""

PATH = ("path", "file", "filename", "image")
GROUP = ("group", "patient", "subject", "groupid", "patientid", "subjectid")
SPLIT = ("split", "part", "set", "subset", "datasplit")
TIME = ("time", "date", "datetime", "timestamp")
"""The headings that these columns may have."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = ",;\t|"
_EXCEL = re.compile(r'"?sep=(.)"?\r?\n')
# What Western European words are written with in Windows-1252, besides ASCII.
_LETTERS = frozenset("ŠšŽžŒœŸ" + "".join(map(chr, range(0xC0, 0x100)))) - {"×", "÷"}
_SIGNS = frozenset("‘’“”–—…°µ€§©®²³ªº")
_WORD = re.compile(r"[^\W\d_]+")


def table_text(path: Path, notes: list[str] | None = None) -> str:
    """Read the text of a table.

    Args:
        path: The table.
        notes: A list that a note is added to if the text is not in Unicode; None to refuse that.

    Raises:
        DataError: If it is not a file with text; the error names the line.
    """
    if not path.is_file() and (reason := unusable_reason(path)):
        raise DataError(f"a table is expected, but {reason}", where=path)
    text = _decoded(read_bytes(path), path, notes)
    if (zero := text.find("\0")) >= 0:
        raise DataError(
            "text in UTF-8 is expected, got a zero byte",
            where=path,
            line=text.count("\n", 0, zero) + 1,
        )
    return text


def rows_of(table: Path, notes: list[str] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of each row that is not empty, the header first.

    The header of an empty file is [].

    Args:
        table: The table.
        notes: As for `table_text`.

    Raises:
        DataError: If the file is not a table; the error names the line.
    """
    yield from _rows(table_text(table, notes), table)


def first_rows(table: Path) -> list[list[str]]:
    """Return the header and the first rows of a table, as far as they can be read.

    Raises:
        OSError: If the file cannot be opened.
    """
    if unusable_reason(table):
        return []
    with open_regular(table) as file:
        data = file.read(_MAX_START)
    if len(data) == _MAX_START:
        data = data[: data.rfind(b"\n") + 1]
        data += b"\0" if data[:2] == codecs.BOM_UTF16_LE else b""
    rows: list[list[str]] = []
    try:
        text = _decoded(data, table, [])
        for _, fields in islice(_rows(text, table), START_ROWS):
            rows.append(fields)
    except DataError:
        pass
    return rows


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
    check_length(fields, header, table, line)
    return {column: fields[index] for column, index in indices.items()}


def check_length(fields: list[str], header: list[str], table: Path, line: int) -> None:
    """Raise DataError if a row has more or fewer fields than the header."""
    if len(fields) != len(header):
        raise DataError(
            f"{count_noun(len(header), 'field')} as in the header are expected, got {len(fields)}",
            where=table,
            line=line,
            remedy="Put quotation marks around a field that holds a comma.",
        )


def split_in_field(word: str, heading: str, table: Path, line: int | None) -> SplitName | None:
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
    """Normalise a heading: no capitals, spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]", "", heading.casefold())


def _rows(text: str, table: Path) -> Iterator[tuple[int, list[str]]]:
    first = 1
    if match := _EXCEL.match(text):
        delimiter, text, first = match[1], text[match.end() :], 2
    else:
        delimiter = _delimiter(text[:_MAX_HEADER].split("\n", 1)[0])
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        yield first, next(reader, [])
        for fields in reader:
            if fields:
                yield reader.line_num + first - 1, fields
    except csv.Error as error:
        raise DataError(
            f"a table is expected, but {error}",
            where=table,
            line=reader.line_num + first - 1,
            remedy="Look for a quotation mark that is not closed.",
        ) from None


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _decoded(data: bytes, path: Path, notes: list[str] | None) -> str:
    """Decode a table; a note says so where its encoding is concluded from its words."""
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        western = None if notes is None or encoding == "utf-16" else _western(data)
        if western is None or notes is None:
            shown = data[max(0, error.start - 10) : error.start + 10]
            raise DataError(
                f"text in UTF-8 is expected, got other bytes: {ascii(shown)[2:-1]}",
                where=path,
                line=data.count(b"\n", 0, error.start) + 1,
                remedy="Save the table as UTF-8.",
            ) from None
    word = next(word for word in _WORD.findall(western) if not word.isascii())
    notes.append(
        f"{path.name} is not in UTF-8; it is read as Windows-1252, in which its words are spelled "
        f"like {word!r} (if that is wrong, save it as UTF-8)"
    )
    return western


def _western(data: bytes) -> str | None:
    """Decode Windows-1252 if all words are then spelled as Western European words are.

    Their letters beyond ASCII stand among ASCII letters. Other alphabets have whole words of such
    bytes, and other encodings of Latin letters use bytes that are signs in this one.
    """
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    if not {character for character in text if character > "\x7f"} <= _LETTERS | _SIGNS:
        return None
    foreign = [word for word in _WORD.findall(text) if not word.isascii()]
    for word in foreign:
        ascii_letters = sum(letter.isascii() for letter in word)
        if not ascii_letters or len(word) > 3 * ascii_letters:
            return None
    return text if foreign else None
