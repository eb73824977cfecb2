"""Find the columns of a table of labels: by their headings, else by what their fields hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import printable
from foveate.formats._shared.recognition.foreign import table_of_tool
from foveate.formats._shared.tables.box_columns import box_columns
from foveate.formats._shared.tables.csv_table import PATH, plain, rows_of, split_in_field
from foveate.formats._shared.tables.image_column import NearImages, image_column, is_header
from foveate.formats._shared.tables.row_fields import fitted, is_row_number, optional_columns
from foveate.formats._shared.tables.several_labels import several_labels
from foveate.formats.table.labels import NUMBER, is_flag

LABEL = (
    *("label", "class", "target", "category", "labels", "classname", "classlabel", "labelname"),
    *("categoryname", "classid", "labelid", "categoryid", "diagnosis", "species", "breed", "dx"),
    *("groundtruth", "gt", "tag", "tags", "y", "findinglabels"),
)
_TEXTS = frozenset({"text", "caption", "captions", "prompt", "description"})
_SPLIT_FLAGS: dict[str, SplitName] = {
    "isvalid": "valid",
    "isval": "valid",
    "isvalidation": "valid",
    "istest": "test",
    "istrain": "train",
    "istraining": "train",
    "istrainingimage": "train",
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

    @property
    def is_named(self) -> bool:
        """Whether the labels are found by their heading."""
        return len(self.labels) == 1 and plain(self.label_heading) in LABEL

    @property
    def is_other_heading(self) -> bool:
        """Whether the one column of labels has a heading, but not one that says so."""
        has_header = self.header[0] != _numbered(1)
        return has_header and len(self.labels) == 1 and not self.is_named

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

    def split_of_row(self, line: int, fields: list[str]) -> SplitName | None:
        """Return the split that a row tells, or None.

        Raises:
            DataError: If it tells no split that is known.
        """
        if "split" in self.optional:
            index = self.optional["split"]
            return split_in_field(fields[index], self.header[index], self.path, line)
        if not self.flags:
            return None
        splits = {split for index, split in self.flags.items() if is_flag(fields[index])}
        if len(splits) > 1:
            raise DataError("one split is expected, got several", where=self.path, line=line)
        if splits:
            return splits.pop()
        return "test" if "train" in self.flags.values() else "train"


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
    if error := table_of_tool(header, table):
        raise error
    near = NearImages(folder)
    rows = list(lines)
    if header and not is_header(header, near):
        rows = [(first, header), *rows]
        header = [_numbered(number) for number in range(1, len(header) + 1)]
        notes.append(f"{printable(table.name)} has no header: its first line is read as a row")
    rows = list(fitted(rows, header, table))
    return _with_columns(table, header, rows, near, notes, first)


def recognised(rows: list[list[str]], path: Path) -> LabelTable | None:
    """Return the columns that the first rows of a table tell, or None if it is none of labels.

    Args:
        rows: The header and the first rows.
        path: The table, or the folder that it was found in.
    """
    if len(rows) < 2 or box_columns(rows) is not None or table_of_tool(rows[0], path):
        return None
    near = NearImages(path if path.is_dir() else path.parent)
    header, start = rows[0], 1
    if not is_header(header, near):
        header, start = [_numbered(number) for number in range(1, len(header) + 1)], 0
    lines = [(0, fields) for fields in rows[start:] if len(fields) == len(header)]
    try:
        table = _with_columns(path, header, lines, near, [], 1)
    except DataError:
        return None
    images = [fields[table.image] for _, fields in lines]
    sure = plain(header[table.image]) in PATH or near.fraction(images) > 0
    return table if images and sure else None


def _with_columns(
    table: Path,
    header: list[str],
    rows: list[tuple[int, list[str]]],
    near: NearImages,
    notes: list[str],
    line: int,
) -> LabelTable:
    optional = optional_columns(header, rows, table, line, notes, LABEL, near)
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
        if index != image and index not in known and not is_row_number(cell)
    ]
    labels, label_notes = _label_columns(header, fields, others, table, line)
    unread = [header[index].strip() for index in others if index not in labels]
    if unread:
        label_notes.append(f"columns of {table.name}, not read: {printable(', '.join(unread))}")
    notes += [*image_notes, *label_notes]
    return LabelTable(table, header, rows, image, labels, optional, flags, notes)


def _numbered(number: int) -> str:
    """The heading of a column in a table without a header, counted from 1."""
    return f"column {number}"


def _split_flags(
    header: list[str], rows: list[tuple[int, list[str]]], notes: list[str]
) -> dict[int, SplitName]:
    """Return the columns such as is_valid, with the split that they tell."""
    flags: dict[int, SplitName] = {}
    for index, cell in enumerate(header):
        split = _SPLIT_FLAGS.get(plain(cell))
        if split and rows and all(is_flag(fields[index]) is not None for _, fields in rows):
            flags[index] = split
            rest = "; the other ones are read as test" if split == "train" else ""
            notes.append(f"the column {cell.strip()!r} tells which images are in {split}{rest}")
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
        repeats = len(set(fields)) < max(3, len(fields))
        if repeats or all(NUMBER.fullmatch(field.strip()) for field in fields):
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
