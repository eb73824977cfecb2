"""Find the columns of a table of boxes: the image, the class, and what else is read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import printable
from foveate.formats._shared.tables.box_columns import BoxColumns
from foveate.formats._shared.tables.csv_table import plain
from foveate.formats._shared.tables.image_column import IMAGE, NearImages, image_column
from foveate.formats._shared.tables.row_fields import is_row_number, optional_columns

ONE_CLASS = "object"
"""The class of all boxes of a table without a column of classes."""

_LABEL = (
    *("class", "label", "classname", "labelname", "category", "categoryname", "name", "classid"),
    *("labelid", "categoryid", "target", "species", "type", "object", "objectclass", "tag"),
)
_SCORE = ("score", "confidence", "conf", "probability")
_CROWD = ("iscrowd", "crowd", "isgroupof")
_DIFFICULT = ("difficult", "isdifficult")


@dataclass(slots=True)
class BoxTable:
    """A table and its columns.

    Attributes:
        path: The table.
        header: The headings.
        boxes: The columns of the boxes.
        image: The column of the image.
        label: The column of the class, None if there is none.
        optional: The columns for the group, the split and the time.
        flags: The columns of crowds, difficult boxes and scores: by heading.
        ids: The images by their paths as written and their splits.
        notes: What was decided.
    """

    path: Path
    header: list[str]
    boxes: BoxColumns
    image: int = 0
    label: int | None = None
    optional: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    ids: dict[tuple[str, SplitName | None], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_columns(
    table: BoxTable, rows: list[tuple[int, list[str]]], near: NearImages, line: int
) -> None:
    """Find the columns other than those of the boxes.

    Args:
        table: The table, whose columns are filled in.
        rows: The line and the fields of each row.
        near: The images.
        line: The line of the header, for messages.

    Raises:
        DataError: If it is unclear what a column holds.
    """
    header, known = table.header, set(table.boxes.all)
    table.optional = optional_columns(header, rows, table.path, line, table.notes, _LABEL, near)
    known.update(table.optional.values())
    for key, words in (("crowd", _CROWD), ("difficult", _DIFFICULT), ("score", _SCORE)):
        for index, cell in enumerate(header):
            if plain(cell) in words and key not in table.flags:
                table.flags[key] = index
    known.update(table.flags.values())
    labels = [
        index for index, cell in enumerate(header) if plain(cell) in _LABEL and index not in known
    ]
    if any(plain(header[index]) not in IMAGE for index in labels):
        known.update(index for index in labels if plain(header[index]) not in IMAGE)
    fields = [row for _, row in rows]
    table.image, notes = image_column(
        header, fields, near, where=table.path, line=line, others=frozenset(known)
    )
    table.notes += notes
    known.add(table.image)
    _find_label(table, [index for index in labels if index != table.image], fields, line)
    known.update(() if table.label is None else (table.label,))
    unread = [
        index for index, cell in enumerate(header) if index not in known and not is_row_number(cell)
    ]
    if table.label is None:
        _refuse_unnamed_class(table, unread, fields, line)
        table.notes.append(
            f"{table.path.name} has no column for the class: all boxes are of one class, "
            f"{ONE_CLASS!r}"
        )
    if unread:
        names = ", ".join(header[index].strip() for index in unread)
        table.notes.append(f"columns of {table.path.name}, not read: {printable(names)}")


def _find_label(table: BoxTable, labels: list[int], rows: list[list[str]], line: int) -> None:
    """Find the column of the class; of several that say the same, the one with words."""
    if len(labels) > 1:
        pairs = {tuple(fields[index].strip() for index in labels) for fields in rows}
        if any(len({pair[k] for pair in pairs}) < len(pairs) for k in range(len(labels))):
            raise DataError(
                "one column is expected for the class, "
                f"found {', '.join(table.header[index] for index in labels)}",
                where=table.path,
                line=line,
                remedy="Name the one that is meant 'class', and give the other ones other names.",
            )
        worded = [k for k in labels if any(any(map(str.isalpha, row[k])) for row in rows)]
        labels = (worded or labels)[:1]
        listed = table.header[labels[0]].strip()
        table.notes.append(f"several columns name the same classes; {listed!r} is read")
    table.label = labels[0] if labels else None


def _refuse_unnamed_class(
    table: BoxTable, unread: list[int], rows: list[list[str]], line: int
) -> None:
    """Ask if a column that is not read may be the class: words that differ within an image."""
    for index in unread:
        values = {fields[index].strip() for fields in rows}
        if len(values) > max(2, len(rows) // 2) or not any(
            any(map(str.isalpha, value)) for value in values
        ):
            continue
        by_image: dict[str, set[str]] = defaultdict(set)
        for fields in rows:
            by_image[fields[table.image]].add(fields[index].strip())
        if len(by_image) == len(rows) > 1 or any(len(one) > 1 for one in by_image.values()):
            raise DataError(
                "a column for the class is expected, the header has "
                f"{', '.join(table.header)[:300]}",
                where=table.path,
                line=line,
                remedy=f"If {table.header[index].strip()!r} is the class, name it 'class'; if not, "
                "remove that column to read all boxes as one class.",
            )
