"""CSV files that foveate writes and reads back: any text survives, and no cell is a formula.

A spreadsheet runs a cell that begins with = + - or @ as a formula, and file names may begin so.
Text that begins like a formula therefore gets an apostrophe in front, as does text that begins with
one; reading takes it away. Numbers stay numbers. A code point that is no Unicode text (a lone
surrogate, which is how Python holds a file name that is not UTF-8) is written as backslash escape.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from foveate import atomic_io, regular_file
from foveate.errors import RunError

Cell = str | int | float | None
"""A cell to write; None is written as an empty one."""

# Full-width signs and white space before a sign too: some spreadsheets take these.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n']")
_PLAIN = re.compile(r'(?:\w[^\\,"\r\n\ud800-\udfff]*)?')  # most cells: written as they are
_QUOTED = re.compile(r'[,"\r\n]')
# With the backslashes before it: they are doubled, so that what was text stays text.
_SURROGATE = re.compile(r"(\\*)([\ud800-\udfff])|(\\+)(?=ud[89a-f][0-9a-f]{2})")
_ESCAPED_SURROGATE = re.compile(r"(\\+)(ud[89a-f][0-9a-f]{2})")
_MAX_FIELD = 2**31 - 1  # statistics of thousands of objects in one image are one field
_MAX_LINE = 2**27
_FIELD_LIMIT_LOCK = threading.Lock()


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table, whole or not at all.

    Args:
        path: The file; a previous version is replaced.
        header: The names of the columns.
        rows: As many cells as there are columns, in each row.

    Raises:
        StorageError: The file cannot be written; its previous version is untouched.
    """
    with atomic_io.new_file(path) as file:
        write_to(file, header, rows)


def write_to(file: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table into an open file; see `write`."""
    file.write(_line(header))
    for row in rows:
        assert len(row) == len(header), (row, header)
        file.write(_line(row))


def read(
    path: Path, columns: Sequence[str], *, remedy: str = "Take it from a backup."
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read what `write` wrote.

    Args:
        path: The file.
        columns: Columns that must be there; others may be.
        remedy: What to do about a damaged file, for the error.

    Yields:
        (line, cells) of each row: its first line, counted from 1, and column -> text of all columns
        in the order of the file.

    Raises:
        RunError: The file is missing or damaged; with the line, where there is one.
    """
    line = 1
    try:
        with io.TextIOWrapper(
            regular_file.open_regular(path), encoding="utf-8-sig", newline=""
        ) as file:
            reader = csv.reader(_lines(file), strict=True)
            header = [_decoded(cell) for cell in _next(reader) or []]
            missing = [column for column in columns if column not in header]
            if missing or len(set(header)) < len(header):
                raise RunError(
                    f"the columns {', '.join(columns)} are expected, each once, "
                    f"got {', '.join(header)[:300] or 'nothing'}",
                    where=path,
                    line=1,
                    remedy=remedy,
                )
            while True:
                line = reader.line_num + 1
                row = _next(reader)
                if row is None:
                    return
                if row and len(row) != len(header):
                    raise RunError(
                        f"{len(header)} cells are expected as in the header, got {len(row)}",
                        where=path,
                        line=line,
                        remedy=remedy,
                    )
                if row:  # an empty line is no row
                    yield line, dict(zip(header, map(_decoded, row), strict=True))
    except FileNotFoundError:
        raise RunError("this file is missing", where=path, remedy=remedy) from None
    except OSError as error:
        raise RunError(
            f"this file cannot be read ({error.strerror})", where=path, remedy=remedy
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(
            f"this file is damaged ({error})", where=path, line=line, remedy=remedy
        ) from None


def _lines(file: IO[str]) -> Iterator[str]:
    """The lines of a file. A hole of a terabyte is one line, which is not read."""
    while line := file.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise csv.Error("a line is too long")
        yield line


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    """The next row. The limit on a field's length is one for the whole process: put it back."""
    with _FIELD_LIMIT_LOCK:
        before = csv.field_size_limit(_MAX_FIELD)
        try:
            return next(reader, None)
        finally:
            csv.field_size_limit(before)


def _line(row: Sequence[Cell]) -> bytes:
    cells = [_encoded(cell) for cell in row]
    return (",".join(cells) if cells != [""] else '""').encode() + b"\n"


def _encoded(cell: Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return str(cell)
    if _PLAIN.fullmatch(cell):
        return cell
    text = _SURROGATE.sub(_escape_surrogate, cell)
    if _FORMULA.match(text):
        text = f"'{text}"
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if _QUOTED.search(text) else text


def _decoded(cell: str) -> str:
    text = cell.removeprefix("'")
    return _ESCAPED_SURROGATE.sub(_unescape_surrogate, text) if "\\" in text else text


def _escape_surrogate(match: re.Match[str]) -> str:
    before, surrogate, literal = match.groups()
    if literal is not None:
        return literal * 2
    return f"{before * 2}\\u{ord(surrogate):04x}"


def _unescape_surrogate(match: re.Match[str]) -> str:
    backslashes, code = len(match[1]), match[2]
    text = "\\" * (backslashes // 2)
    return text + (chr(int(code[1:], 16)) if backslashes % 2 else code)
