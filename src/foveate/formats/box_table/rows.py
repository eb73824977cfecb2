"""Read the rows of a table of boxes as they are written, before their numbers are understood."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.garbage import gc_paused
from foveate.formats._shared.layout import MAX_COORDINATE, printable
from foveate.formats._shared.tables.box_columns import FOUR_NUMBERS, box_columns
from foveate.formats._shared.tables.csv_table import START_ROWS, rows_of, split_in_field
from foveate.formats._shared.tables.image_column import NearImages
from foveate.formats._shared.tables.row_fields import fitted
from foveate.formats.box_table.columns import ONE_CLASS, BoxTable, find_columns

_NO_VALUE = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>"})
_WHOLE = re.compile(r"(\d+)\.0*")


@dataclass(slots=True)
class Row:
    """One row: a box, or an image without one.

    Attributes:
        table: The table.
        line: Its line.
        id: The image.
        label: The class as written.
        four: The four numbers, None for an image without a box.
        sides: Width and height of the image in pixels, None if the table does not say.
        crowd: Whether it is a group of objects.
        difficult: Whether it is marked as difficult.
    """

    table: BoxTable
    line: int
    id: str
    label: str
    four: tuple[float, float, float, float] | None
    sides: tuple[int, int] | None
    crowd: bool
    difficult: bool

    def error(self, message: str, remedy: str | None = None) -> DataError:
        """Return an error that names this row."""
        return DataError(message, where=self.table.path, line=self.line, remedy=remedy)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the rows of one image say about it.

    Attributes:
        group: The group, or None.
        split: The split, or None.
        time: When the image was taken, or None.
        place: The table and line of its first row.
        written: Its path as written.
    """

    group: str | None
    split: SplitName | None
    time: str | None
    place: tuple[Path, int]
    written: str


@gc_paused()
def read_rows(
    path: Path, split: SplitName | None, finder: ImageFinder, images: dict[str, ImageFacts]
) -> tuple[BoxTable, list[Row]]:
    """Read a table.

    Args:
        path: The table.
        split: The split whose images it lists, None if all.
        finder: It finds the images.
        images: What is known of each image so far; those of this table are added.

    Raises:
        DataError: If it is not a table, if it is unclear what a column holds, or if a field cannot
            be understood; the error names the line.
    """
    notes: list[str] = []
    lines = list(rows_of(path, notes))
    first, header = lines[0]
    boxes = box_columns([fields for _, fields in lines[:START_ROWS]])
    if boxes is None:
        found = ", ".join(header)[:300] or "nothing"
        raise DataError(
            f"columns for boxes are expected, the header has {found}",
            where=path,
            line=first,
            remedy="Name them xmin, ymin, xmax, ymax in the first line.",
        )
    if not boxes.has_header:
        header = ["path", "xmin", "ymin", "xmax", "ymax", "class"]
        notes.append(f"{printable(path.name)} has no header; it is read as {','.join(header)}")
    rows = list(fitted(lines[1:] if boxes.has_header else lines, header, path))
    table = BoxTable(path, header, boxes, notes=notes)
    find_columns(table, rows, NearImages(finder.root), first)
    return table, [_row(table, line, fields, split, finder, images) for line, fields in rows]


def _row(
    table: BoxTable,
    line: int,
    fields: list[str],
    split: SplitName | None,
    finder: ImageFinder,
    images: dict[str, ImageFacts],
) -> Row:
    written = fields[table.image]
    split = _split(table, line, fields, split)
    if (written, split) not in table.ids:
        table.ids[written, split] = finder.find(
            written, folder=table.path.parent, split=split, where=table.path, line=line
        )
    id = table.ids[written, split]
    _add_facts(table, line, fields, split, id, images)
    four = _four(table, line, fields)
    label = ONE_CLASS if table.label is None else read_class(fields[table.label])
    if four and label is None:
        raise DataError(
            f"a class is expected, got {fields[table.label or 0].strip() or 'nothing'!r}",
            where=table.path,
            line=line,
            remedy="Write it, or leave the numbers of the box empty, too.",
        )
    flags = {key: _flag(table, key, line, fields) for key in ("crowd", "difficult")}
    _refuse_scores(table, line, fields)
    sides = _sides(table, line, fields)
    return Row(table, line, id, label or "", four, sides, flags["crowd"], flags["difficult"])


def _split(
    table: BoxTable, line: int, fields: list[str], split: SplitName | None
) -> SplitName | None:
    """Return the split of a row: that of the table, or of a column."""
    if "split" not in table.optional:
        return split
    index = table.optional["split"]
    own = split_in_field(fields[index], table.header[index], table.path, line)
    if split and own and split != own:
        raise DataError(
            f"{split} is expected, as the name of the table says, got {own}",
            where=table.path,
            line=line,
        )
    return split or own


def _add_facts(
    table: BoxTable,
    line: int,
    fields: list[str],
    split: SplitName | None,
    id: str,
    images: dict[str, ImageFacts],
) -> None:
    group, time = (
        fields[table.optional[column]] if column in table.optional else ""
        for column in ("group", "time")
    )
    place, written = (table.path, line), fields[table.image]
    facts = ImageFacts(group or None, split, time or None, place, written)
    first = images.setdefault(id, facts)
    for name in ("group", "split", "time"):
        before, now = getattr(first, name), getattr(facts, name)
        if before != now:
            raise DataError(
                f"one {name} is expected for {id!r}, got {before!r} on line {first.place[1]} of "
                f"{first.place[0].name} and {now!r} here",
                where=table.path,
                line=line,
                remedy="Decide which is right and change the other row.",
            )


def _four(
    table: BoxTable, line: int, fields: list[str]
) -> tuple[float, float, float, float] | None:
    """Return the four numbers of a row, None if it has none, as for an image without a box."""
    texts = [fields[index].strip() for index in table.boxes.indices]
    if all(text.casefold() in _NO_VALUE or text == "[]" for text in texts):
        return None
    shown = ", ".join(texts)
    if len(texts) == 1:
        match = FOUR_NUMBERS.fullmatch(texts[0])
        texts = list(match.groups()) if match else []
    numbers = [_number(text) for text in texts]
    if len(numbers) != 4 or not all(abs(number) <= MAX_COORDINATE for number in numbers):
        raise DataError(
            f"four numbers are expected for the box, got {shown[:100]!r}",
            where=table.path,
            line=line,
            remedy="Leave all of them empty for an image without an object.",
        )
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _sides(table: BoxTable, line: int, fields: list[str]) -> tuple[int, int] | None:
    """Return width and height of the image, None where they are empty or 0."""
    if table.boxes.sides is None:
        return None
    texts = [fields[index].strip() for index in table.boxes.sides]
    if all(text.casefold() in _NO_VALUE for text in texts):
        return None
    numbers = [_number(text) for text in texts]
    if not all(0 <= number <= MAX_COORDINATE and number % 1 == 0 for number in numbers):
        raise DataError(
            f"whole numbers of pixels are expected as the image's size, got {', '.join(texts)!r}",
            where=table.path,
            line=line,
        )
    return (int(numbers[0]), int(numbers[1])) if all(numbers) else None


def _flag(table: BoxTable, key: str, line: int, fields: list[str]) -> bool:
    if key not in table.flags:
        return False
    text = fields[table.flags[key]].strip().casefold()
    if text in ("1", "1.0", "true"):
        return True
    if text in ("0", "0.0", "false", "-1", *_NO_VALUE):  # Open Images writes -1 for unknown
        return False
    heading = table.header[table.flags[key]].strip()
    raise DataError(
        f"0 or 1 is expected as {heading}, got {text[:100]!r}", where=table.path, line=line
    )


def _refuse_scores(table: BoxTable, line: int, fields: list[str]) -> None:
    """Refuse predictions. People's boxes have the confidence 1 in Open Images, if any."""
    if "score" not in table.flags:
        return
    text = fields[table.flags["score"]].strip()
    if text.casefold() not in _NO_VALUE and _number(text) != 1:
        heading = table.header[table.flags["score"]].strip()
        raise DataError(
            f"labels are expected, but a {heading} of {text[:100]!r} makes this a prediction",
            where=table.path,
            line=line,
            remedy="Give the table with the labels.",
        )


def read_class(text: str) -> str | None:
    """Return the class in a field, None if it has none; a whole number without its zeros."""
    if text.strip().casefold() in _NO_VALUE - {"none"} or "\0" in text:
        return None
    match = _WHOLE.fullmatch(text.strip())
    return match[1] if match else text


def _number(text: str) -> float:
    """Return a number, NaN if it is none; Python would accept 1_000 and infinity."""
    try:
        return float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan
