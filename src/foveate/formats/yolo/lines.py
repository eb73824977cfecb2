"""Read one YOLO text file: one object per line, with its class number and normalised coordinates.

Boxes are `class cx cy w h` (centre, width and height), polygons `class x1 y1 x2 y2 x3 y3 ...`, all
as fractions of the image's width and height. Keypoints follow a box: `class cx cy w h x1 y1 v1 ...`
or `class cx cy w h x1 y1 ...`; `reading` tells them from polygons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.layout import MAX_COORDINATE, unusable_reason
from foveate.regular_file import open_regular
from foveate.wording import count_noun

_MAX_BYTES = 50_000_000
_MAX_SNIFFED_BYTES = 4096
BOX = 4
"""The number of coordinates of a box; a polygon has six or more."""


@dataclass(frozen=True, slots=True)
class YoloLabels:
    """The content of one file.

    Attributes:
        classes: The class number of each object.
        coordinates: The numbers after the class of each object.
        lines: The number of its line, counted from 1.
    """

    classes: list[int] = field(default_factory=list)
    coordinates: list[list[float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def parse(path: Path, count: int, numbers: int | None = None) -> YoloLabels:
    """Read a text file.

    Args:
        path: The file.
        count: The number of classes.
        numbers: How many numbers a box with its keypoints has, where a description tells it.

    Raises:
        DataError: If a line is neither a box nor a polygon, if a class has no name, or if
            coordinates are pixels; the error names the line.
    """
    labels = YoloLabels()
    for number, line in enumerate(read_text(path, _MAX_BYTES).split("\n"), 1):
        if not (fields := line.split()):
            continue
        index, coordinates = _parse_line(fields, path, number, numbers)
        if not 0 <= index < count:
            raise DataError(
                f"a class number from 0 to {count - 1} is expected, got {index}",
                where=path,
                line=number,
                remedy="List all classes in data.yaml, in the order of their numbers from 0.",
            )
        labels.classes.append(index)
        labels.coordinates.append(coordinates)
        labels.lines.append(number)
    if in_pixels(labels.coordinates):
        first = next(
            line
            for line, coordinates in zip(labels.lines, labels.coordinates, strict=True)
            if max(coordinates) > 1
        )
        raise DataError(
            "coordinates from 0 to 1, as fractions of the image's width and height, are expected; "
            "most here are above 1, so these are pixels",
            where=path,
            line=first,
            remedy="Divide each x by the image's width and each y by its height.",
        )
    return labels


def in_pixels(coordinates: Sequence[Sequence[float]]) -> bool:
    """Return whether most numbers are above 1, so that they can hardly be fractions."""
    above = sum(value > 1 for numbers in coordinates for value in numbers)
    return 2 * above > sum(map(len, coordinates))


def looks_like_lines(path: Path) -> bool:
    """Return whether a file begins with a line of numbers as in this format.

    Raises:
        OSError: If it cannot be opened.
    """
    if unusable_reason(path):
        return False
    with open_regular(path) as file:
        start = file.read(_MAX_SNIFFED_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    fields = start.split(b"\n")[0].split()
    if b"\n" not in start and len(fields) > 1 + BOX:
        fields.pop()  # may be cut off
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return False
    return len(numbers) >= 1 + BOX and numbers[0].is_integer()


def has_flags(numbers: Sequence[float]) -> bool:
    """Return whether a box is followed by x, y, v of each keypoint, v being 0, 1 or 2."""
    flags = numbers[BOX + 2 :: 3]
    return len(numbers) > BOX and (len(numbers) - BOX) % 3 == 0 and set(flags) <= {0, 1, 2}


def _parse_line(
    fields: list[str], path: Path, line: int, expected: int | None
) -> tuple[int, list[float]]:
    """Return the class number and the coordinates of one line."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = [float("nan")]
    # NaN is refused too; Python would accept 1_000.
    if not all(abs(value) <= MAX_COORDINATE for value in values) or any(
        "_" in field for field in fields
    ):
        shown = " ".join(fields)[:100]
        raise DataError(f"numbers are expected, got {shown!r}", where=path, line=line)
    index, *numbers = values
    if expected is not None and len(numbers) not in (BOX, expected):
        raise DataError(
            f"a class and {expected} numbers are expected, for a box and its keypoints as "
            f"kpt_shape in the description says, got {count_noun(len(numbers), 'number')}",
            where=path,
            line=line,
        )
    if expected is None and len(numbers) == 1 + BOX:
        raise DataError(
            "a class and the four numbers of a box are expected, got a sixth number, "
            "which looks like the confidence of a prediction, or like an angle",
            where=path,
            line=line,
            remedy="Give labels made by people, not predictions; write a rotated box as its four "
            "corners, `class x1 y1 x2 y2 x3 y3 x4 y4`.",
        )
    if expected is None and (
        len(numbers) < BOX or (len(numbers) % 2 == 1 and not has_flags(numbers))
    ):
        raise DataError(
            "`class cx cy w h` or `class x1 y1 x2 y2 x3 y3 ...` is expected, "
            f"got {count_noun(len(values), 'number')}",
            where=path,
            line=line,
        )
    if not index.is_integer():
        raise DataError(
            f"a class number is expected to be a whole number, got {fields[0][:100]}",
            where=path,
            line=line,
        )
    return int(index), numbers
