"""Class tables of label images: classes.csv beside the data, or class_dict.csv as in CamVid.

The columns are value,name or name,r,g,b or all of them. A row named `ignore` gives the value of
unlabelled pixels. Values apply to images in grey or with a palette, colours to images in RGB.
Without a column of values, colours apply to all images. Classes are in the order of the rows.
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
from foveate.formats._shared.label_images import LabelImage, colour_code, read_label_image
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
class ValueMap:
    """A map from stored pixel values to classes.

    Attributes:
        values: (M,) int32, ascending.
        classes: (M,) int32, the class of each value, or IGNORE.
        unknown: The class of all other values.
    """

    values: NDArray[np.int32]
    classes: NDArray[np.int32]
    unknown: int

    @classmethod
    def from_mapping(cls, known: Mapping[int, int], unknown: int) -> ValueMap:
        """Build the map.

        Args:
            known: The class of each value.
            unknown: The class of all other values.
        """
        values = sorted(known)
        return cls(
            np.array(values, np.int32),
            np.array([known[value] for value in values], np.int32),
            unknown,
        )

    def to_classes(self, pixels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Map pixel values to classes; the map must not be empty.

        Args:
            pixels: (H, W) int32 of values.

        Returns:
            (H, W) int32 of classes.
        """
        # Up to 16 bits a look-up table is far faster than a search for each pixel.
        if pixels.size and pixels.max() < 65536:
            low = self.values < 65536
            lookup = np.full(65536, self.unknown, np.int32)
            lookup[self.values[low]] = self.classes[low]
            return lookup[pixels]
        index = np.searchsorted(self.values, pixels).clip(max=len(self.values) - 1)
        return np.where(self.values[index] == pixels, self.classes[index], np.int32(self.unknown))


@dataclass(frozen=True, slots=True, eq=False)
class ClassTable:
    """The classes of a set of label images.

    At least one of the two maps is there.

    Attributes:
        names: The K class names.
        colours: The (R, G, B) of each class, or None.
        by_value: The map for images in grey or with a palette, or None.
        by_colour: The map for images in RGB, or None.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] | None
    by_value: ValueMap | None
    by_colour: ValueMap | None

    def to_classes(self, image: LabelImage) -> NDArray[np.int32]:
        """Map the pixels of a label image to classes.

        Returns:
            (H, W) int32: 0 to K-1 or IGNORE, and K where a value is not in the table.

        Raises:
            BadImage: If the image is in RGB and the table has no colours.
        """
        if not image.in_colour and self.by_value is not None:
            return self.by_value.to_classes(image.values)
        if self.by_colour is None:
            raise BadImage(
                "a label image in grey or with a palette is expected, "
                "since the class table has no colours",
                remedy="Add the columns r,g,b to classes.csv.",
            )
        return self.by_colour.to_classes(_colours(image))


@dataclass(frozen=True, slots=True)
class ClassPixels:
    """The classes of a label image's pixels, read on demand (a `MaskSource`).

    Attributes:
        path: The label image.
        table: The class table.
    """

    path: Path
    table: ClassTable

    def read(self) -> NDArray[np.int32]:
        """Return the classes: (H, W) int32, see `ClassTable.to_classes`.

        Raises:
            BadImage: If the image cannot be read.
        """
        image = read_label_image(self.path)
        try:
            return self.table.to_classes(image)
        except BadImage as error:
            raise BadImage(error.message, where=self.path, remedy=error.remedy) from None


def read_class_table(folder: Path) -> ClassTable | None:
    """Read the class table of a folder.

    Returns:
        The table, or None if there is none.

    Raises:
        DataError: If there are two tables, or if a row cannot be understood; the error names the
            line.
    """
    files = [folder / name for name in FILES if (folder / name).is_file()]
    if not files:
        return None
    if len(files) > 1:
        raise DataError(f"one class table is expected, found {' and '.join(FILES)}", where=folder)
    table = files[0]
    lines = rows_of(table)
    _, header = next(lines)
    has_colours = any(column in columns(header, _WORDS, ("name",), table) for column in _RGB)
    indices = columns(header, _WORDS, ("name", *(_RGB if has_colours else ("value",))), table)
    names: dict[str, int] = {}
    colours: list[tuple[int, int, int]] = []
    by_value: dict[int, int] = {}
    by_colour: dict[int, int] = {}
    distinct_colours = True
    for line, fields in lines:
        row = cells(fields, header, indices, table, line)
        index = _index(row["name"], names, table, line)
        if "value" in row:
            value = _number(row["value"], 65535, "value", table, line)
            if value in by_value:
                raise DataError(
                    f"each value is expected once, got {value} again", where=table, line=line
                )
            by_value[value] = index
        # Unlabelled pixels need no colour.
        if has_colours and (index != IGNORE or any(row[column].strip() for column in _RGB)):
            red, green, blue = (_number(row[column], 255, column, table, line) for column in _RGB)
            if colour_code(red, green, blue) in by_colour and "value" not in row:
                raise DataError(
                    f"each colour is expected once, got {red},{green},{blue} again",
                    where=table,
                    line=line,
                )
            distinct_colours &= colour_code(red, green, blue) not in by_colour
            by_colour[colour_code(red, green, blue)] = index
            colours += [(red, green, blue)] if index != IGNORE else []
    if not names:
        raise DataError("one class per line is expected, found none", where=table)
    return ClassTable(
        tuple(names),
        tuple(colours) if has_colours else None,
        ValueMap.from_mapping(by_value, len(names)) if by_value else None,
        ValueMap.from_mapping(by_colour, len(names)) if by_colour and distinct_colours else None,
    )


def write_class_table(dataset: Dataset[Any], ignored: int, folder: Path) -> None:
    """Write classes.csv: each class with its index as value.

    Args:
        dataset: The dataset with the classes.
        ignored: The value of pixels without a class.
        folder: Where to write it.
    """
    with (folder / FILES[0]).open("w", encoding="utf-8", newline="") as file:
        # Quotes keep the spaces at either end of a name.
        table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerow(["value", "name", *(["r", "g", "b"] if dataset.colours else [])])
        for index, name in enumerate(dataset.classes):
            table.writerow([index, name, *(dataset.colours[index] if dataset.colours else [])])
        table.writerow([ignored, IGNORED, *([""] * 3 if dataset.colours else [])])


def unwritable_names(classes: tuple[str, ...]) -> list[str]:
    """List the class names that cannot be a row of the table."""
    counts = Counter(classes)
    bad = [
        name
        for name in counts
        if not name.strip()
        or "\0" in name
        or not is_utf8(name)
        or _is_ignored(name)
        or counts[name] > 1
    ]
    return [f"the class name {name!r}" for name in bad]


def _index(name: str, names: dict[str, int], table: Path, line: int) -> int:
    """Return the class of a row, which is added to `names`."""
    if not name.strip():
        raise DataError("the name of a class is expected, got nothing", where=table, line=line)
    if _is_ignored(name):
        return IGNORE
    if name in names:
        raise DataError(f"each class is expected once, got {name!r} again", where=table, line=line)
    return names.setdefault(name, len(names))


def _is_ignored(name: str) -> bool:
    return name.strip().casefold() == IGNORED


def _number(text: str, maximum: int, column: str, table: Path, line: int) -> int:
    """Parse a whole number from 0 to `maximum`."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= maximum):
        raise DataError(
            f"a whole number from 0 to {maximum} is expected as the {column}, got {text[:50]!r}",
            where=table,
            line=line,
        )
    return int(text)


def _colours(image: LabelImage) -> NDArray[np.int32]:
    """Return (H, W) int32: the pixels as colour codes, 1 << 24 where a value has no colour."""
    if image.in_colour:
        return image.values
    shades = np.arange(256, dtype=np.int32)
    bands = np.stack([shades] * 3, 1) if image.palette is None else image.palette.astype(np.int32)
    codes = np.full(65536, 1 << 24, np.int32)
    codes[: len(bands)] = bands[:, 0] << 16 | bands[:, 1] << 8 | bands[:, 2]
    return codes[image.values]
