"""The rows of a table of images: their length, and the columns that all such tables may have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foveate.formats._shared.layout import split_of
from foveate.formats._shared.tables.csv_table import (
    GROUP,
    SPLIT,
    TIME,
    check_length,
    columns,
    plain,
)
from foveate.formats._shared.tables.image_column import IMAGE, NearImages

_OPTIONAL = {"group": GROUP, "split": SPLIT, "time": TIME}


def fitted(
    rows: list[tuple[int, list[str]]], header: list[str], table: Path
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with as many fields as the header, without empty ones beyond it.

    Args:
        rows: The line and the fields of each row.
        header: The headings.
        table: The table, for messages.

    Raises:
        DataError: If a row has another number of fields.
    """
    for line, fields in rows:
        while len(fields) > len(header) and not fields[-1].strip():
            fields.pop()
        check_length(fields, header, table, line)
        if any(cell.strip() for cell in fields):
            yield line, fields


def optional_columns(
    header: list[str],
    rows: list[tuple[int, list[str]]],
    table: Path,
    line: int,
    notes: list[str],
    label: tuple[str, ...],
    near: NearImages,
) -> dict[str, int]:
    """Return the columns for the group, the split and the time that are there.

    Args:
        header: The headings.
        rows: The line and the fields of each row.
        table: The table, for messages.
        line: The line of the header, for messages.
        notes: A list that a note on a column found by its fields is added to.
        label: The headings of columns of labels, which may name splits by chance.
        near: The images. A patient whose images have no other name is the name of the image.

    Raises:
        DataError: If two columns have a heading for the same.
    """
    found = columns(header, _OPTIONAL, (), table, line)
    if "group" in found and not any(plain(cell) in IMAGE for cell in header):
        groups = [fields[found["group"]] for _, fields in rows]
        if near.fraction(groups) >= 0.5:
            del found["group"]
    if "split" not in found:
        telling = [
            index
            for index in range(len(header))
            if len(rows) > 1 and all(split_of(fields[index]) for _, fields in rows)
        ]
        if len(telling) == 1 and plain(header[telling[0]]) not in label:
            found["split"] = telling[0]
            notes.append(
                f"the column {header[telling[0]].strip()!r} of {table.name} is read as the split, "
                "since all its fields name splits"
            )
    return found


def is_row_number(heading: str) -> bool:
    """Return whether a heading is the one that spreadsheets and pandas give to row numbers."""
    return not heading.strip() or plain(heading).startswith("unnamed:")
