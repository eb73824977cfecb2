"""Label pictures looked through: which classes are in each, and which there are if no table tells."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from foveate.annotations import IGNORE
from foveate.errors import BadImage, DataError
from foveate.formats._shared.class_table import ClassPixels, ClassTable, Codes
from foveate.formats._shared.label_images import Stored, distinct, rgb, stored

T = TypeVar("T")
R = TypeVar("R")
Colour = tuple[int, int, int]

_MOST_VALUES, _MOST_COLOURS = 256, 64  # that are taken for classes without being told
_VOID = 255  # Pascal VOC's value of pixels that nobody labelled


@dataclass(frozen=True, slots=True)
class Looked:
    """What label pictures hold.

    table: the classes; present: for each picture the classes that occur, or why it cannot be read
    notes: what had to be decided
    """

    table: ClassTable
    present: list[tuple[int, ...] | BadImage]
    notes: tuple[str, ...]


def look_through(labels: Sequence[Path], table: ClassTable | None, where: Path) -> Looked:
    """Every label picture is decoded once, one at a time in each thread, and none is kept.

    Without a table the values that occur become classes, named by the value ("7") or the colour ("#ff0000").
    Raises DataError where they can't: too many, or palettes that contradict each other.
    """
    notes: list[str] = []
    if lossy := [path for path in labels if path.suffix.lower() in (".jpg", ".jpeg")]:
        notes.append(
            f"{len(lossy):,} label pictures are JPEG (such as {lossy[0].name}), which changes values at edges; PNG does not"
        )
    if table is None:
        seen = each(_values_in, labels)
        table, told = _table_of(dict(zip(labels, seen, strict=True)), where)
        notes += told
        found = [
            one if isinstance(one, BadImage) else table.classes_of(one).tolist() for one in seen
        ]
    else:
        found = each(partial(_classes_in, table), labels)
        table = table if table.colours else _coloured(table, _first_palette(labels))
    count = len(table.names)
    if outside := [
        path
        for path, one in zip(labels, found, strict=True)
        if isinstance(one, list) and count in one
    ]:
        notes.append(
            f"{len(outside):,} label pictures hold values that the class table does not name (such as {outside[0].name})"
        )
    present = [
        one if isinstance(one, BadImage) else tuple(sorted({k for k in one if 0 <= k < count}))
        for one in found
    ]
    return Looked(table, present, tuple(notes))


def each(look: Callable[[T], R], paths: Iterable[T]) -> list[R]:
    """The results in order. Threads, since Pillow decodes without the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(look, paths))


def _values_in(path: Path) -> Stored | BadImage:
    """What a label picture holds, its values once each; of a photo's millions only the first."""
    try:
        image = stored(path)
    except BadImage as error:
        return error
    return replace(image, values=distinct(image.values)[: _MOST_VALUES + 1])


def _classes_in(table: ClassTable, path: Path) -> list[int] | BadImage:
    try:
        return distinct(ClassPixels(path, table).read()).tolist()
    except BadImage as error:
        return error


def _table_of(seen: Mapping[Path, Stored | BadImage], where: Path) -> tuple[ClassTable, list[str]]:
    """The values that occur as classes, in order, and what is to be said of that."""
    good = {path: one for path, one in seen.items() if isinstance(one, Stored)}
    if not good:
        reason = "".join(f"; {error}" for error in list(seen.values())[:1])
        raise DataError(
            f"label pictures are expected, found none that can be read{reason}", where=where
        )
    in_colour = [path for path, one in good.items() if one.in_colour]
    if 0 < len(in_colour) < len(good):
        other = next(path for path in good if path not in in_colour)
        raise DataError(
            f"label pictures of one kind are expected, this is in colour, {other.name} is not",
            where=in_colour[0],
            remedy="Write a classes.csv with value,name,r,g,b, or export all alike.",
        )
    values = _all_values(good, _MOST_COLOURS if in_colour else _MOST_VALUES)
    if in_colour:
        names = tuple(f"#{value:06x}" for value in values)
        codes = Codes.of({value: index for index, value in enumerate(values)}, len(values))
        note = f"no classes.csv: the {len(values)} colours that occur became classes; name them with name,r,g,b"
        return ClassTable(names, tuple(rgb(value) for value in values), None, codes), [note]
    palette = _common_palette(good)
    notes = []
    ignored = _is_void(
        values, any(one.palette is not None and _VOID in one.values for one in good.values())
    )
    if ignored:
        values.remove(_VOID)
        notes.append(
            f"the value {_VOID} was taken for pixels that nobody labelled, as Pascal VOC has it; "
            "a classes.csv with value,name can say otherwise"
        )
    notes.append(
        f"no classes.csv: the {len(values)} values that occur became classes; name them with value,name"
    )
    known = {value: index for index, value in enumerate(values)} | (
        {_VOID: IGNORE} if ignored else {}
    )
    table = ClassTable(tuple(map(str, values)), None, Codes.of(known, len(values)), None)
    return _coloured(table, palette), notes


def _all_values(good: Mapping[Path, Stored], most: int) -> list[int]:
    values: set[int] = set()
    for path, one in good.items():
        values.update(one.values.tolist())
        if len(values) > most:
            raise DataError(
                f"at most {most} {'colours' if one.in_colour else 'values'} are expected in all label pictures together, "
                f"with this one there are {len(values):,} or more",
                where=path,
                remedy="Is it a photo, or was it saved as JPEG? Export it without loss, or name the values that count "
                "in a classes.csv (value,name or name,r,g,b).",
            )
    return sorted(values)


def _is_void(values: Sequence[int], in_palette: bool) -> bool:
    """Whether 255 stands for pixels that nobody labelled. A mask of 0 and 255 is no such case, nor a ramp of greys."""
    if _VOID not in values:
        return False
    below = [value for value in values if value < _VOID]
    return len(below) >= 2 if in_palette else len(below) >= 3 and {0, 1} <= set(below)


def _common_palette(good: Mapping[Path, Stored]) -> dict[int, Colour]:
    """The colour of each value that occurs, where palettes give one. Raises DataError if two palettes disagree."""
    common: dict[int, tuple[Colour, Path]] = {}
    for path, one in good.items():
        if one.palette is None:
            continue
        for value in one.values.tolist():
            if value >= len(one.palette):
                continue
            colour = _colour(one, value)
            first, where = common.setdefault(value, (colour, path))
            if first != colour:
                raise DataError(
                    f"one palette is expected, but the value {value} is #{bytes(colour).hex()} here and "
                    f"#{bytes(first).hex()} in {where.name}",
                    where=path,
                    remedy="Write a classes.csv: with value,name if the values count, with name,r,g,b if the colours do.",
                )
    return {value: colour for value, (colour, _) in common.items()}


def _first_palette(labels: Sequence[Path]) -> dict[int, Colour]:
    for path in labels:
        one = _values_in(path)
        if isinstance(one, Stored):
            return (
                {}
                if one.palette is None
                else {value: _colour(one, value) for value in range(len(one.palette))}
            )
    return {}


def _colour(image: Stored, value: int) -> Colour:
    assert image.palette is not None
    red, green, blue = image.palette[value].tolist()
    return red, green, blue


def _coloured(table: ClassTable, palette: Mapping[int, Colour]) -> ClassTable:
    """The table with the palette's colours, if every class has one there."""
    if table.by_value is None:
        return table
    values = dict(zip(table.by_value.classes.tolist(), table.by_value.values.tolist(), strict=True))
    if any(values[index] not in palette for index in range(len(table.names))):
        return table
    return replace(
        table, colours=tuple(palette[values[index]] for index in range(len(table.names)))
    )
