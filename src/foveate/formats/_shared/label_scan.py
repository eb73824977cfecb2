"""Scan label images: the classes in each, and the classes of the dataset if no table gives them."""

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
from foveate.formats._shared.class_table import ClassPixels, ClassTable, ValueMap
from foveate.formats._shared.label_images import LabelImage, distinct_values, read_label_image, rgb
from foveate.wording import count_noun

T = TypeVar("T")
R = TypeVar("R")
Colour = tuple[int, int, int]

_MAX_VALUES, _MAX_COLOURS = 256, 64  # without a class table, more cannot be classes
_VOID = 255  # marks unlabelled pixels in Pascal VOC


@dataclass(frozen=True, slots=True)
class LabelScan:
    """The result of scanning label images.

    Attributes:
        table: The classes.
        present: For each image the classes that occur in it, or the error if it cannot be read.
        notes: What the scan had to decide and the user should know.
    """

    table: ClassTable
    present: list[tuple[int, ...] | BadImage]
    notes: tuple[str, ...]


def scan_labels(labels: Sequence[Path], table: ClassTable | None, where: Path) -> LabelScan:
    """Decode each label image once and list the classes in it; no image stays in memory.

    Without a table the values that occur become classes, named by the value ("7") or the colour
    ("#ff0000").

    Args:
        labels: The label images.
        table: The class table, or None.
        where: The dataset's folder, for messages.

    Raises:
        DataError: If the values cannot be classes: there are too many, or palettes disagree.
    """
    notes: list[str] = []
    if lossy := [path for path in labels if path.suffix.lower() in (".jpg", ".jpeg")]:
        notes.append(
            f"{count_noun(len(lossy), 'JPEG label image')} (such as {lossy[0].name}): "
            "JPEG changes the values at edges, PNG does not"
        )
    if table is None:
        images = map_threads(_values_in, labels)
        table, decisions = _table_of(dict(zip(labels, images, strict=True)), where)
        notes += decisions
        classes_in = [
            image if isinstance(image, BadImage) else table.to_classes(image).tolist()
            for image in images
        ]
    else:
        classes_in = map_threads(partial(_classes_in, table), labels)
        table = table if table.colours else _coloured(table, _first_palette(labels))
    count = len(table.names)
    if outside := [
        path
        for path, classes in zip(labels, classes_in, strict=True)
        if isinstance(classes, list) and count in classes
    ]:
        notes.append(
            f"{count_noun(len(outside), 'label image')} with values that are not in the class "
            f"table (such as {outside[0].name})"
        )
    present = [
        classes
        if isinstance(classes, BadImage)
        else tuple(sorted({k for k in classes if 0 <= k < count}))
        for classes in classes_in
    ]
    return LabelScan(table, present, tuple(notes))


def map_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply a function in threads, in order; Pillow decodes without the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _values_in(path: Path) -> LabelImage | BadImage:
    """Read the distinct values of a label image; of a photo only the first of millions."""
    try:
        image = read_label_image(path)
    except BadImage as error:
        return error
    return replace(image, values=distinct_values(image.values)[: _MAX_VALUES + 1])


def _classes_in(table: ClassTable, path: Path) -> list[int] | BadImage:
    try:
        classes: list[int] = distinct_values(ClassPixels(path, table).read()).tolist()
    except BadImage as error:
        return error
    return classes


def _table_of(
    seen: Mapping[Path, LabelImage | BadImage], where: Path
) -> tuple[ClassTable, list[str]]:
    """Make the values that occur classes, and note what was decided."""
    good = {path: image for path, image in seen.items() if isinstance(image, LabelImage)}
    if not good:
        reason = "".join(f"; {error}" for error in list(seen.values())[:1])
        raise DataError(
            f"label images are expected, found none that can be read{reason}", where=where
        )
    in_colour = [path for path, image in good.items() if image.in_colour]
    if 0 < len(in_colour) < len(good):
        other = next(path for path in good if path not in in_colour)
        raise DataError(
            f"label images of one type are expected, this is in colour, {other.name} is not",
            where=in_colour[0],
            remedy="Write a classes.csv with value,name,r,g,b, or export all in the same way.",
        )
    values = _all_values(good, _MAX_COLOURS if in_colour else _MAX_VALUES)
    if in_colour:
        names = tuple(f"#{value:06x}" for value in values)
        codes = ValueMap.from_mapping(
            {value: index for index, value in enumerate(values)}, len(values)
        )
        note = (
            f"no classes.csv: {count_noun(len(values), 'colour')} became classes; "
            "name them with name,r,g,b"
        )
        return ClassTable(names, tuple(rgb(value) for value in values), None, codes), [note]
    palette = _common_palette(good)
    notes = []
    ignored = _is_void(
        values, any(image.palette is not None and _VOID in image.values for image in good.values())
    )
    if ignored:
        values.remove(_VOID)
        notes.append(
            f"the value {_VOID} is read as unlabelled pixels, as in Pascal VOC; "
            "a classes.csv with value,name can say otherwise"
        )
    notes.append(
        f"no classes.csv: {count_noun(len(values), 'value')} became classes; "
        "name them with value,name"
    )
    known = {value: index for index, value in enumerate(values)} | (
        {_VOID: IGNORE} if ignored else {}
    )
    table = ClassTable(
        tuple(map(str, values)), None, ValueMap.from_mapping(known, len(values)), None
    )
    return _coloured(table, palette), notes


def _all_values(good: Mapping[Path, LabelImage], maximum: int) -> list[int]:
    values: set[int] = set()
    for path, image in good.items():
        values.update(image.values.tolist())
        if len(values) > maximum:
            raise DataError(
                f"at most {maximum} {'colours' if image.in_colour else 'values'} are expected in "
                f"all label images together, with this one there are {len(values):,} or more",
                where=path,
                remedy="Is it a photo, or was it saved as JPEG? Export it without loss, or list "
                "the classes in a classes.csv (value,name or name,r,g,b).",
            )
    return sorted(values)


def _is_void(values: Sequence[int], in_palette: bool) -> bool:
    """Return whether 255 marks unlabelled pixels; not in black and white, nor in a grey ramp."""
    if _VOID not in values:
        return False
    below = [value for value in values if value < _VOID]
    return len(below) >= 2 if in_palette else len(below) >= 3 and {0, 1} <= set(below)


def _common_palette(good: Mapping[Path, LabelImage]) -> dict[int, Colour]:
    """Return the colour of each value that occurs, where palettes give one."""
    common: dict[int, tuple[Colour, Path]] = {}
    for path, image in good.items():
        if image.palette is None:
            continue
        for value in image.values.tolist():
            if value >= len(image.palette):
                continue
            colour = _colour(image, value)
            first, where = common.setdefault(value, (colour, path))
            if first != colour:
                raise DataError(
                    f"one palette is expected, but the value {value} is #{bytes(colour).hex()} "
                    f"here and #{bytes(first).hex()} in {where.name}",
                    where=path,
                    remedy="Write a classes.csv: with value,name to go by the values, "
                    "with name,r,g,b to go by the colours.",
                )
    return {value: colour for value, (colour, _) in common.items()}


def _first_palette(labels: Sequence[Path]) -> dict[int, Colour]:
    for path in labels:
        image = _values_in(path)
        if isinstance(image, LabelImage):
            return (
                {}
                if image.palette is None
                else {value: _colour(image, value) for value in range(len(image.palette))}
            )
    return {}


def _colour(image: LabelImage, value: int) -> Colour:
    assert image.palette is not None
    red, green, blue = image.palette[value].tolist()
    return red, green, blue


def _coloured(table: ClassTable, palette: Mapping[int, Colour]) -> ClassTable:
    """Return the table with the palette's colours, if every class has one there."""
    if table.by_value is None:
        return table
    values = dict(zip(table.by_value.classes.tolist(), table.by_value.values.tolist(), strict=True))
    if any(values[index] not in palette for index in range(len(table.names))):
        return table
    return replace(
        table, colours=tuple(palette[values[index]] for index in range(len(table.names)))
    )
