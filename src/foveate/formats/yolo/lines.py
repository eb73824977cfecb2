"""A text file of YOLO: one thing a line, its class as a number and its places as shares of the picture's sides.

Boxes are `class cx cy w h` (their middle, width and height), outlines `class x1 y1 x2 y2 x3 y3 ...`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.beside import LARGEST_NUMBER, read_text
from foveate.formats._shared.layout import unusable

_MOST_BYTES = 50_000_000
_LONGEST = 4096  # bytes that are looked at
BOX = 4
"""The numbers of a box; an outline has six or more."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file says: the class of each thing, and the numbers that give its place."""

    classes: list[int]
    places: list[list[float]]


def parse(path: Path, count: int) -> Lines:
    """The things in a file. count: how many classes there are.

    Raises DataError, with the line, for what is neither a box nor an outline, for a class that has no name, and for places
    that are pixels.
    """
    found = Lines([], [])
    numbers: list[int] = []
    for number, line in enumerate(read_text(path, _MOST_BYTES).split("\n"), 1):
        if not (fields := line.split()):
            continue
        index, place = _thing(fields, path, number)
        if not 0 <= index < count:
            raise DataError(
                f"a class from 0 to {count - 1} is expected, got {index}",
                where=path,
                line=number,
                remedy="Name all classes in data.yaml, in the order of their numbers, which begin at 0.",
            )
        found.classes.append(index)
        found.places.append(place)
        numbers.append(number)
    if in_pixels(found.places):
        first = next(
            line for line, place in zip(numbers, found.places, strict=True) if max(place) > 1
        )
        raise DataError(
            "places as shares of the picture's sides, from 0 to 1, are expected; most here are above 1, so these are pixels",
            where=path,
            line=first,
            remedy="Divide each x by the picture's width and each y by its height.",
        )
    return found


def in_pixels(places: Sequence[Sequence[float]]) -> bool:
    """Whether most numbers of a file are above 1, so that they can hardly be shares."""
    above = sum(value > 1 for place in places for value in place)
    return 2 * above > sum(map(len, places))


def looks_like_lines(path: Path) -> bool:
    """Whether a file begins with a line of numbers as they are expected here. Raises OSError."""
    if unusable(path):
        return False
    with path.open("rb") as file:
        start = file.read(_LONGEST).lstrip()
    fields = start.split(b"\n")[0].split()
    if b"\n" not in start and len(fields) > 1 + BOX:
        fields.pop()  # it may be cut
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return False
    return len(numbers) >= 1 + BOX and numbers[0].is_integer()


def _thing(fields: list[str], path: Path, line: int) -> tuple[int, list[float]]:
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = [float("nan")]
    # So written, NaN is refused too; Python would take 1_000 for a number.
    if not all(abs(value) <= LARGEST_NUMBER for value in values) or any(
        "_" in field for field in fields
    ):
        shown = " ".join(fields)[:100]
        raise DataError(f"numbers are expected, got {shown!r}", where=path, line=line)
    if len(values) == 2 + BOX:
        raise DataError(
            "a class and the four numbers of a box are expected, got a sixth, as predictions have it (a confidence)",
            where=path,
            line=line,
            remedy="Give the labels that people made; predictions are no truth.",
        )
    if len(values) < 1 + BOX or len(values) % 2 == 0:
        raise DataError(
            f"`class cx cy w h` or `class x1 y1 x2 y2 x3 y3 ...` is expected, got {len(values)} numbers",
            where=path,
            line=line,
        )
    if not values[0].is_integer():
        raise DataError(
            f"a class is expected to be a whole number, got {fields[0][:100]}",
            where=path,
            line=line,
        )
    return int(values[0]), values[1:]
