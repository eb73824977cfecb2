"""Find the columns of a table of labels: by their headings, else by what their fields hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.box_columns import box_columns
from foveate.formats._shared.csv_table import GROUP, PATH, SPLIT, TIME, plain, rows_of, split_in
from foveate.formats._shared.image_column import NearImages, image_column, is_header
from foveate.formats._shared.layout import printable, split_of
from foveate.formats.table.labels import is_flag, several_labels
from foveate.wording import count_noun

LABEL = (
    *("label", "class", "target", "category", "labels", "classname", "classlabel", "labelname"),
    *("categoryname", "classid", "labelid", "categoryid", "diagnosis", "species", "breed", "dx"),
    *("groundtruth", "gt", "tag", "tags", "y"),
)
_OPTIONAL = {"group": GROUP, "split": SPLIT, "time": TIME}
_TEXTS = frozenset({"text", "caption", "captions", "prompt", "description"})
_SPLIT_FLAGS: dict[str, SplitName] = {
    "isvalid": "valid",
    "isval": "valid",
    "isvalidation": "valid",
    "istest": "test",
}


@dataclass(frozen=True, slots=True)
class LabelTable:
    """A table of labels.

    Attributes:
        path: The table.
        header: The headings.
        rows: The line and the fields of each row, as many as there are headings.
        image: The index of the column that names the images.
        labels: That of the column of labels; the indices of a column for each class, if several.
        optional: The indices of the columns for the group, the split and the time.
        flags: The indices of columns that say whether an image is in a split, with that split.
        notes: What was decided.
    """

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]
    image: int
    labels: tuple[int, ...]
    optional: dict[str, int]
    flags: dict[int, SplitName]
    notes: list[str] = field(default_factory=list)

    @property
    def label_heading(self) -> str:
        """The heading of the first column of labels."""
        return self.header[self.labels[0]].strip()

    def label_fields(self) -> list[tuple[int, str]]:
        """Return the line and the label of each row.

        Raises:
            DataError: If there is a column for each class, and not one class in each row.
        """
        if len(self.labels) == 1:
            return [(line, fields[self.labels[0]]) for line, fields in self.rows]
        names = [self.header[index].strip() for index in self.labels]
        labels = []
        for line, fields in self.rows:
            flags = [is_flag(fields[index]) for index in self.labels]
            own = [name for name, flag in zip(names, flags, strict=True) if flag]
            if len(own) != 1:
                found = f"{', '.join(own[:5]) or 'none'} in the {len(names)} columns of 0 and 1"
                raise several_labels(found, self.path, line)
            labels.append((line, own[0]))
        return labels

    def split_in(self, line: int, fields: list[str]) -> SplitName | None:
        """Return the split that a row tells, or None.

        Raises:
            DataError: If it tells no split that is known.
        """
        if "split" in self.optional:
            index = self.optional["split"]
            return split_in(fields[index], self.header[index], self.path, line)
        if not self.flags:
            return None
        told = {split for index, split in self.flags.items() if is_flag(fields[index])}
        if len(told) > 1:
            raise DataError("one split is expected, got several", where=self.path, line=line)
        return told.pop() if told else "train"


def read_table(table: Path, folder: Path) -> LabelTable:
    """Read a table and find its columns.

    Args:
        table: The table.
        folder: The folder below which the images lie.

    Raises:
        DataError: If it is not a table, or if it is unclear what a column holds; the error names
            the line.
    """
    notes: list[str] = []
    lines = rows_of(table, notes)
    first, header = next(lines)
    near = NearImages(folder)
    rows = list(lines)
    if header and not is_header(header, near):
        rows = [(first, header), *rows]
        header = [f"column {number}" for number in range(1, len(header) + 1)]
        notes.append(f"{printable(table.name)} has no header: its first line is read as a row")
    rows = list(_fitted(rows, header, table))
    return _with_columns(table, header, rows, near, notes, first)


def is_label_table(rows: list[list[str]], path: Path) -> bool:
    """Return whether the first rows of a table tell where the images and the labels are.

    Args:
        rows: The header and the first rows.
        path: The table, or the folder that it was found in.
    """
    if len(rows) < 2 or box_columns(rows) is not None:
        return False
    near = NearImages(path if path.is_dir() else path.parent)
    header, start = rows[0], 1
    if not is_header(header, near):
        header, start = [f"column {number}" for number in range(1, len(header) + 1)], 0
    lines = [(0, fields) for fields in rows[start:] if len(fields) == len(header)]
    try:
        table = _with_columns(path, header, lines, near, [], 1)
    except DataError:
        return False
    images = [fields[table.image] for _, fields in lines]
    return bool(images) and (plain(header[table.image]) in PATH or near.fraction(images) > 0)


def _with_columns(
    table: Path,
    header: list[str],
    rows: list[tuple[int, list[str]]],
    near: NearImages,
    notes: list[str],
    line: int,
) -> LabelTable:
    optional = _optional(header, rows, table, line, notes)
    flags: dict[int, SplitName] = {}
    if "split" not in optional:
        flags = _split_flags(header, rows, notes)
    known = frozenset((*optional.values(), *flags))
    fields = [row for _, row in rows]
    worded = frozenset(i for i, cell in enumerate(header) if plain(cell) in LABEL)
    image, image_notes = image_column(
        header, fields, near, where=table, line=line, others=known | worded, once=True
    )
    others = [
        index
        for index, cell in enumerate(header)
        if index != image and index not in known and not _is_row_number(cell)
    ]
    labels, label_notes = _label_columns(header, fields, others, table, line)
    unread = [header[index].strip() for index in others if index not in labels]
    if unread:
        label_notes.append(f"columns of {table.name}, not read: {printable(', '.join(unread))}")
    notes += [*image_notes, *label_notes]
    return LabelTable(table, header, rows, image, labels, optional, flags, notes)


def _fitted(
    rows: list[tuple[int, list[str]]], header: list[str], table: Path
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows, without empty fields beyond the header; raise DataError for other lengths."""
    for line, fields in rows:
        while len(fields) > len(header) and not fields[-1].strip():
            fields.pop()
        if len(fields) != len(header):
            raise DataError(
                f"{count_noun(len(header), 'field')} as in the header are expected, "
                f"got {len(fields)}",
                where=table,
                line=line,
                remedy="Put quotation marks around a field that holds a comma.",
            )
        if any(cell.strip() for cell in fields):
            yield line, fields


def _optional(
    header: list[str],
    rows: list[tuple[int, list[str]]],
    table: Path,
    line: int,
    notes: list[str],
) -> dict[str, int]:
    """Return the columns for the group, the split and the time that are there."""
    found: dict[str, int] = {}
    for column, headings in _OPTIONAL.items():
        matches = [index for index, cell in enumerate(header) if plain(cell) in headings]
        if len(matches) > 1:
            raise DataError(
                f"one column is expected for the {column}, "
                f"found {', '.join(header[index] for index in matches)}",
                where=table,
                line=line,
                remedy="Rename the one that is not meant to be read.",
            )
        if matches:
            found[column] = matches[0]
    if "split" not in found:
        telling = [
            index
            for index in range(len(header))
            if len(rows) > 1 and all(split_of(fields[index]) for _, fields in rows)
        ]
        if len(telling) == 1 and plain(header[telling[0]]) not in LABEL:
            found["split"] = telling[0]
            notes.append(
                f"the column {header[telling[0]].strip()!r} of {table.name} is read as the split, "
                "since all its fields name splits"
            )
    return found


def _split_flags(
    header: list[str], rows: list[tuple[int, list[str]]], notes: list[str]
) -> dict[int, SplitName]:
    """Return the columns such as is_valid, with the split that they tell."""
    flags: dict[int, SplitName] = {}
    for index, cell in enumerate(header):
        split = _SPLIT_FLAGS.get(plain(cell))
        if split and rows and all(is_flag(fields[index]) is not None for _, fields in rows):
            flags[index] = split
            notes.append(f"the column {cell.strip()!r} tells which images are in {split}")
    return flags


def _label_columns(
    header: list[str], rows: list[list[str]], others: list[int], table: Path, line: int
) -> tuple[tuple[int, ...], list[str]]:
    """Return the column of labels, or those of the classes, and notes on how they were found."""
    named = [index for index in others if plain(header[index]) in LABEL]
    if len(named) == 1:
        return (named[0],), []
    if len(named) > 1:
        return _one_of(named, header, rows, table, line)
    columns = {index: [fields[index] for fields in rows] for index in others}
    flagged = [
        index
        for index, fields in columns.items()
        if fields and all(is_flag(field) is not None for field in fields)
    ]
    if len(flagged) > 1:
        classes = ", ".join(header[index].strip() for index in flagged[:5])
        more = ", ..." if len(flagged) > 5 else ""
        return tuple(flagged), [
            f"the columns {printable(classes)}{more} of 0 and 1 are read as one class each; every "
            "row has exactly one 1"
        ]
    if len(others) == 1 and plain(header[others[0]]) not in _TEXTS:
        fields = columns[others[0]]
        if not fields or len(set(fields)) < len(fields) or len(fields) < 3:
            return (others[0],), [
                f"the column {header[others[0]].strip()!r} of {table.name} is read as the label, "
                "since no other column is left"
            ]
    raise DataError(
        f"a column for the label is expected, the header has {', '.join(header)[:300]}",
        where=table,
        line=line,
        remedy="Name the column that holds the classes 'label' in the first line.",
    )


def _one_of(
    named: list[int], header: list[str], rows: list[list[str]], table: Path, line: int
) -> tuple[tuple[int, ...], list[str]]:
    """Return the one of several label columns to read, if they say the same in other words."""
    first = named[0]
    same = all(
        len({(fields[first], fields[other]) for fields in rows})
        == len({fields[first] for fields in rows})
        == len({fields[other] for fields in rows})
        for other in named[1:]
    )
    listed = ", ".join(header[index].strip() for index in named)
    if not same:
        raise DataError(
            f"one column is expected for the label, found {listed}",
            where=table,
            line=line,
            remedy="Name the one that is meant 'label', and give the other ones other names.",
        )
    lettered = [
        index for index in named if any(any(map(str.isalpha, fields[index])) for fields in rows)
    ]
    chosen = (lettered or named)[0]
    return (chosen,), [
        f"the columns {printable(listed)} of {table.name} name the same classes; "
        f"{header[chosen].strip()!r} is read"
    ]


def _is_row_number(heading: str) -> bool:
    """Return whether a heading is the one that spreadsheets and pandas give to row numbers."""
    return not heading.strip() or plain(heading).startswith("unnamed:")
