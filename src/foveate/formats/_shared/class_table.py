"""What the pixels of label pictures stand for: classes.csv beside the data, or class_dict.csv as CamVid has it.

Columns: value,name or name,r,g,b or all of them. A row named `ignore` tells the value of pixels that nobody
labelled. Values count where a picture is grey or has a palette, colours where it is in RGB; without a column of
values, colours count everywhere. The order of the rows is that of the classes.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE
from foveate.data.dataset import Dataset
from foveate.errors import BadImage, DataError
from foveate.formats._shared.csv_table import cells, columns, rows_of
from foveate.formats._shared.label_images import Stored, colour_code, stored
from foveate.formats._shared.layout import is_utf8

FILES = ("classes.csv", "class_dict.csv")
IGNORED = "ignore"

_RGB = ("red", "green", "blue")
_WORDS = {
    "value": ("value", "index", "id"),
    "name": ("name", "class", "label"),
    "red": ("red", "r"),
    "green": ("green", "g"),
    "blue": ("blue", "b"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Which class each stored value stands for.

    values: (M,) int32 in order; classes: (M,) int32, IGNORE among them; unknown: what any other value becomes
    """

    values: NDArray[np.int32]
    classes: NDArray[np.int32]
    unknown: int

    @classmethod
    def of(cls, known: Mapping[int, int], unknown: int) -> Codes:
        """known: value -> class"""
        values = sorted(known)
        return cls(
            np.array(values, np.int32),
            np.array([known[value] for value in values], np.int32),
            unknown,
        )

    def classes_of(self, pixels: NDArray[np.int32]) -> NDArray[np.int32]:
        """(H, W) int32 of values -> of classes. There is a value at least."""
        if (
            pixels.size and pixels.max() < 65536
        ):  # then a table of all is by far faster than a search for each
            low = self.values < 65536
            every = np.full(65536, self.unknown, np.int32)
            every[self.values[low]] = self.classes[low]
            return every[pixels]
        place = np.searchsorted(self.values, pixels).clip(max=len(self.values) - 1)
        return np.where(self.values[place] == pixels, self.classes[place], np.int32(self.unknown))


@dataclass(frozen=True, slots=True, eq=False)
class ClassTable:
    """The classes of a set of label pictures.

    names: of the K classes; colours: of each, if they are told
    by_value: for pictures in grey or with a palette; by_colour: for those in RGB. One of them is there.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] | None
    by_value: Codes | None
    by_colour: Codes | None

    def classes_of(self, image: Stored) -> NDArray[np.int32]:
        """(H, W) int32 from 0 to K-1 or IGNORE, and K where a value is not in the table. Raises BadImage."""
        if not image.in_colour and self.by_value is not None:
            return self.by_value.classes_of(image.values)
        if self.by_colour is None:
            raise BadImage(
                "grey or a palette is expected in a label picture, as the classes have no colours of their own",
                remedy="Add the columns r,g,b to classes.csv.",
            )
        return self.by_colour.classes_of(_colours(image))


@dataclass(frozen=True, slots=True)
class ClassPixels:
    """The classes of a label picture's pixels; see `annotations.Pixels`."""

    path: Path
    table: ClassTable

    def read(self) -> NDArray[np.int32]:
        image = stored(self.path)
        try:
            return self.table.classes_of(image)
        except BadImage as error:
            raise BadImage(error.message, where=self.path, remedy=error.remedy) from None


def read_table(folder: Path) -> ClassTable | None:
    """The class table in a folder, or None if there is none. Raises DataError, with the line, for what is wrong."""
    files = [folder / name for name in FILES if (folder / name).is_file()]
    if not files:
        return None
    if len(files) > 1:
        raise DataError(f"one class table is expected, found {' and '.join(FILES)}", where=folder)
    table = files[0]
    lines = rows_of(table)
    _, header = next(lines)
    has_colours = any(column in columns(header, _WORDS, ("name",), table) for column in _RGB)
    places = columns(header, _WORDS, ("name", *(_RGB if has_colours else ("value",))), table)
    names: dict[str, int] = {}
    colours: list[tuple[int, int, int]] = []
    by_value: dict[int, int] = {}
    by_colour: dict[int, int] = {}
    distinct_colours = True
    for line, fields in lines:
        row = cells(fields, header, places, table, line)
        index = _index(row["name"], names, table, line)
        if "value" in row:
            value = _number(row["value"], 65535, "value", table, line)
            if value in by_value:
                raise DataError(
                    f"a value is expected once, got {value} again", where=table, line=line
                )
            by_value[value] = index
        # Nobody needs to say the colour of what has no class.
        if has_colours and (index != IGNORE or any(row[column].strip() for column in _RGB)):
            red, green, blue = (_number(row[column], 255, column, table, line) for column in _RGB)
            if colour_code(red, green, blue) in by_colour and "value" not in row:
                raise DataError(
                    f"a colour is expected once, got {red},{green},{blue} again",
                    where=table,
                    line=line,
                )
            distinct_colours &= colour_code(red, green, blue) not in by_colour
            by_colour[colour_code(red, green, blue)] = index
            colours += [(red, green, blue)] if index != IGNORE else []
    if not names:
        raise DataError("a class a line is expected, found none", where=table)
    return ClassTable(
        tuple(names),
        tuple(colours) if has_colours else None,
        Codes.of(by_value, len(names)) if by_value else None,
        Codes.of(by_colour, len(names)) if by_colour and distinct_colours else None,
    )


def write_table(dataset: Dataset[Any], ignored: int, folder: Path) -> None:
    """Leaves classes.csv: each class with its index as value. ignored: the value of pixels without a class."""
    with (folder / FILES[0]).open("w", encoding="utf-8", newline="") as file:
        # All quoted, so that spaces at either end of a name stay.
        table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerow(["value", "name", *(["r", "g", "b"] if dataset.colours else [])])
        for index, name in enumerate(dataset.classes):
            table.writerow([index, name, *(dataset.colours[index] if dataset.colours else [])])
        table.writerow([ignored, IGNORED, *([""] * 3 if dataset.colours else [])])


def unnameable(classes: tuple[str, ...]) -> list[str]:
    """What keeps class names from being rows of the table."""
    times = Counter(classes)
    bad = [
        name
        for name in times
        if not name.strip()
        or "\0" in name
        or not is_utf8(name)
        or _is_ignored(name)
        or times[name] > 1
    ]
    return [f"the class name {name!r}" for name in bad]


def _index(name: str, names: dict[str, int], table: Path, line: int) -> int:
    """The class of a row, which is added to `names`."""
    if not name.strip():
        raise DataError("the name of a class is expected, got nothing", where=table, line=line)
    if _is_ignored(name):
        return IGNORE
    if name in names:
        raise DataError(f"a class is expected once, got {name!r} again", where=table, line=line)
    return names.setdefault(name, len(names))


def _is_ignored(name: str) -> bool:
    return name.strip().casefold() == IGNORED


def _number(text: str, most: int, column: str, table: Path, line: int) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
        raise DataError(
            f"a whole number from 0 to {most} is expected as the {column}, got {text[:50]!r}",
            where=table,
            line=line,
        )
    return int(text)


def _colours(image: Stored) -> NDArray[np.int32]:
    """(H, W) int32: the pixels as colours, and a number above them all where a value has none."""
    if image.in_colour:
        return image.values
    shades = np.arange(256, dtype=np.int32)
    bands = np.stack([shades] * 3, 1) if image.palette is None else image.palette.astype(np.int32)
    codes = np.full(65536, 1 << 24, np.int32)
    codes[: len(bands)] = bands[:, 0] << 16 | bands[:, 1] << 8 | bands[:, 2]
    return codes[image.values]
