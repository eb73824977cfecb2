"""Map the values of label images to classes, and write the table that names them: classes.csv.

The table is read by `class_table_file`.
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

from foveate.data.dataset import Dataset
from foveate.errors import BadImage
from foveate.formats._shared.labels.images import Band, LabelImage, read_label_image
from foveate.formats._shared.labels.snap import distances
from foveate.formats._shared.layout import is_utf8

FILE = "classes.csv"
IGNORED = "ignore"

_LOOKUP = 65536
_CHUNK = 65536


@dataclass(frozen=True, slots=True, eq=False)
class ValueMap:
    """A map from stored pixel values to classes.

    Attributes:
        values: (M,) int32, ascending.
        classes: (M,) int32, the class of each value, or IGNORE.
        unknown: The class of all other values.
        nearest: Whether all other values take the class of the nearest value instead.
        in_colour: Whether the values are colours, for which nearest is meant in RGB.
    """

    values: NDArray[np.int32]
    classes: NDArray[np.int32]
    unknown: int
    nearest: bool = False
    in_colour: bool = False

    @classmethod
    def from_mapping(
        cls,
        known: Mapping[int, int],
        unknown: int,
        *,
        nearest: bool = False,
        in_colour: bool = False,
    ) -> ValueMap:
        """Build the map.

        Args:
            known: The class of each value.
            unknown: The class of all other values.
            nearest: Whether these take the class of the nearest value instead.
            in_colour: Whether the values are colours.
        """
        values = sorted(known)
        classes = [known[value] for value in values]
        return cls(
            np.array(values, np.int32), np.array(classes, np.int32), unknown, nearest, in_colour
        )

    def to_classes(self, pixels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Map pixel values to classes; the map must not be empty.

        Args:
            pixels: (H, W) int32 of values.

        Returns:
            (H, W) int32 of classes.
        """
        # Up to 16 bits a look-up table is far faster than a search for each pixel.
        if pixels.size and pixels.max() < _LOOKUP:
            lookup = self._of_values(np.arange(pixels.max() + 1, dtype=np.int32))
            return lookup[pixels]
        return self._of_values(pixels)

    def _of_values(self, pixels: NDArray[np.int32]) -> NDArray[np.int32]:
        index = np.searchsorted(self.values, pixels).clip(max=len(self.values) - 1)
        known = self.values[index] == pixels
        classes = np.where(known, self.classes[index], np.int32(self.unknown))
        if self.nearest and not known.all():
            classes[~known] = self._nearest(pixels[~known])
        return classes

    def _nearest(self, pixels: NDArray[np.int32]) -> NDArray[np.int32]:
        values, inverse = np.unique(pixels, return_inverse=True)
        classes = np.empty(len(values), np.int32)
        for start in range(0, len(values), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            apart = distances(values[chunk], self.values, in_colour=self.in_colour)
            classes[chunk] = self.classes[apart.argmin(1)]
        result: NDArray[np.int32] = classes[inverse]
        return result


@dataclass(frozen=True, slots=True, eq=False)
class ClassTable:
    """The classes of a set of label images.

    At least one of the two maps is there.

    Attributes:
        names: The K class names.
        colours: The (R, G, B) of each class, or None.
        by_value: The map for images in grey or with a palette, or None.
        by_colour: The map for images in RGB, or None.
        band: The band that holds the labels, if it is not the colour or the grey value.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] | None
    by_value: ValueMap | None
    by_colour: ValueMap | None
    band: Band | None = None

    def to_classes(self, image: LabelImage) -> NDArray[np.int32]:
        """Map the pixels of a label image to classes.

        Returns:
            (H, W) int32: 0 to K-1 or IGNORE, and K where a value is not in the table.

        Raises:
            BadImage: If the image is in RGB and the table has no colours.
        """
        image = image.in_band(self.band)
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


def write_class_table(dataset: Dataset[Any], ignored: int, folder: Path) -> None:
    """Write classes.csv: each class with its index as value.

    Args:
        dataset: The dataset with the classes.
        ignored: The value of pixels without a class.
        folder: Where to write it.
    """
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
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
        or is_ignored(name)
        or counts[name] > 1
    ]
    return [f"the class name {name!r}" for name in bad]


def is_ignored(name: str) -> bool:
    """Return whether a row of the table with this name gives the value of unlabelled pixels."""
    return name.strip().casefold() == IGNORED


def _colours(image: LabelImage) -> NDArray[np.int32]:
    """Return (H, W) int32: the pixels as colour codes, 1 << 24 where a value has no colour."""
    if image.in_colour:
        return image.values
    shades = np.arange(256, dtype=np.int32)
    bands = np.stack([shades] * 3, 1) if image.palette is None else image.palette.astype(np.int32)
    codes = np.full(257, 1 << 24, np.int32)  # the last for all values beyond
    codes[: len(bands)] = bands[:, 0] << 16 | bands[:, 1] << 8 | bands[:, 2]
    result: NDArray[np.int32] = codes[image.values.clip(max=256)]
    return result
