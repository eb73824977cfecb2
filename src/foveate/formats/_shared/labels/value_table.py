"""Make the values of label images classes, where no table does, and complete a table by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from foveate.annotations import IGNORE
from foveate.errors import DataError
from foveate.formats._shared.labels.class_table import ClassTable, ValueMap
from foveate.formats._shared.labels.class_table_file import ClassNames
from foveate.formats._shared.labels.images import colour_code, rgb
from foveate.formats._shared.labels.snap import RealValues
from foveate.formats._shared.labels.stats import LabelStats, ValueCounts
from foveate.wording import count_noun

Colour = tuple[int, int, int]

_MAX_VALUES, _MAX_COLOURS = 256, 64  # without a class table, more cannot be classes
_MAX_THIN = 30  # values without an even region
_VOID = 255  # marks unlabelled pixels in Pascal VOC
_BACKGROUND = "background"


def table_of(
    seen: Mapping[Path, LabelStats],
    snapped: Mapping[bool, RealValues],
    names: ClassNames | None,
    notes: list[str],
) -> ClassTable:
    """Make the values that occur classes.

    Args:
        seen: The label images, at least one.
        snapped: The real values of those in colour and of the others, where not all are real.
        names: Names for the values in ascending order, or None.
        notes: A list that the decisions are added to.

    Raises:
        DataError: If there are too many values, or if the images or their palettes disagree.
    """
    in_colour = [path for path, stats in seen.items() if stats.in_colour]
    if 0 < len(in_colour) < len(seen):
        other = next(path for path in seen if path not in in_colour)
        raise DataError(
            f"label images of one type are expected, this is in colour, {other.name} is not",
            where=in_colour[0],
            remedy="Write a classes.csv with value,name,r,g,b, or export all in the same way.",
        )
    real = snapped.get(bool(in_colour))
    if in_colour:
        values = list(real.values) if real else _all_values(seen, _MAX_COLOURS)
        return _colour_table(values, real is not None, names, notes)
    if (colours := _palette_colours(seen)) is not None:
        notes.append(
            "the palettes of the label images differ in order but have the same colours: "
            "the colours are the classes, not the numbers"
        )
        return _colour_table(sorted(colours), False, names, notes)
    values = list(real.values) if real else _all_values(seen, _MAX_VALUES)
    if real is None:
        _refuse_soft(seen)
    _refuse_two_ways(values, seen)
    palette = palette_of(seen, same=True)
    ignored = real is None and _is_void(
        values, any(s.palette is not None and _VOID in s.counts.values for s in seen.values())
    )
    if ignored:
        values.remove(_VOID)
        notes.append(
            f"the value {_VOID} is read as unlabelled pixels, as in Pascal VOC; "
            "a classes.csv with value,name can say otherwise"
        )
    named, known = _named(values, names, notes)
    known |= {_VOID: IGNORE} if ignored else {}
    mapping = ValueMap.from_mapping(known, len(named), nearest=real is not None)
    return with_palette(ClassTable(named, None, mapping, None), palette)


def _refuse_soft(seen: Mapping[Path, LabelStats]) -> None:
    """Raise DataError if most of many values fill no even region, as in soft masks."""
    pooled = ValueCounts.sum(stats.counts for stats in seen.values())
    thin = len(pooled.values) - int(pooled.drawn.sum())
    if thin > _MAX_THIN and 2 * thin > len(pooled.values):
        raise DataError(
            f"values of classes are expected, got {len(pooled.values):,} that run over into each "
            f"other ({thin:,} fill no even region), as in soft masks, probabilities and depths",
            where=next(iter(seen)),
            remedy="Write a mask with one value a class, such as 255 where the soft one is above "
            "127. If the values number very thin objects, give --format instance-labels; if they "
            "are classes, name them in a classes.csv with value,name.",
        )


def _refuse_two_ways(values: Sequence[int], seen: Mapping[Path, LabelStats]) -> None:
    """Raise DataError if the object is 1 in some label images and white in the other ones."""
    if values not in ([0, 1, 255], [0, 1, 65535], [0, 255, 65535]):
        return
    example: dict[int, Path] = {}
    for path, stats in seen.items():
        found = [value for value in stats.counts.values.tolist() if value]
        if len(found) > 1:
            return
        example |= dict.fromkeys(found, path)
    low, high = values[1:]
    raise DataError(
        f"one value for the object is expected, it is {low} in some label images, and {high} in "
        f"others (such as {example[high].name})",
        where=example[low],
        remedy="Write the same value in all of them; or, if these are two classes, name the values "
        "in a classes.csv with value,name.",
    )


def snapped_table(table: ClassTable, snapped: Mapping[bool, RealValues]) -> ClassTable:
    """Return a class table in which other values take the class of the nearest real one.

    A real value that is not in the table stays unknown, and so do those around it.
    """
    return replace(
        table,
        by_value=_snapped(table.by_value, snapped.get(False)),
        by_colour=_snapped(table.by_colour, snapped.get(True)),
    )


def palette_of(seen: Mapping[Path, LabelStats], *, same: bool = False) -> dict[int, Colour]:
    """Return the colour of each value, where palettes give one.

    Args:
        seen: The label images.
        same: Whether all palettes must agree on the values that occur, which then alone are
            returned; otherwise the first palette is.

    Raises:
        DataError: If they do not.
    """
    if not same:
        first = next((s.palette for s in seen.values()), None)
        return {} if first is None else {v: _colour(first[v]) for v in range(len(first))}
    common: dict[int, tuple[Colour, Path]] = {}
    for path, stats in seen.items():
        for value, colour in _used_colours(stats).items():
            earlier, where = common.setdefault(value, (colour, path))
            if earlier != colour:
                raise DataError(
                    f"one palette is expected, but the value {value} is #{bytes(colour).hex()} "
                    f"here and #{bytes(earlier).hex()} in {where.name}",
                    where=path,
                    remedy="Write a classes.csv: with value,name to go by the values, "
                    "with name,r,g,b to go by the colours.",
                )
    return {value: colour for value, (colour, _) in common.items()}


def with_palette(table: ClassTable, palette: Mapping[int, Colour]) -> ClassTable:
    """Return the table with the palette's colours, if every class has one there."""
    if table.by_value is None:
        return table
    values = dict(zip(table.by_value.classes.tolist(), table.by_value.values.tolist(), strict=True))
    if any(values.get(index) not in palette for index in range(len(table.names))):
        return table
    return replace(
        table, colours=tuple(palette[values[index]] for index in range(len(table.names)))
    )


def _snapped(values: ValueMap | None, real: RealValues | None) -> ValueMap | None:
    if values is None or real is None:
        return values
    known = dict(zip(values.values.tolist(), values.classes.tolist(), strict=True))
    known |= {value: values.unknown for value in real.values if value not in known}
    known |= {shifted: known[meant] for shifted, meant in real.shifted.items()}
    return ValueMap.from_mapping(
        known, values.unknown, nearest=real.nearest, in_colour=values.in_colour
    )


def _colour_table(
    values: Sequence[int], snapped: bool, names: ClassNames | None, notes: list[str]
) -> ClassTable:
    named = tuple(f"#{value:06x}" for value in values)
    unused = f" ({names.file.name} does not say which is which)" if names else ""
    notes.append(
        f"no classes.csv: {count_noun(len(values), 'colour')} became classes; "
        f"a table with the columns name,r,g,b names them{unused}"
    )
    known = {value: index for index, value in enumerate(values)}
    codes = ValueMap.from_mapping(known, len(values), nearest=snapped, in_colour=True)
    return ClassTable(named, tuple(rgb(value) for value in values), None, codes)


def _named(
    values: Sequence[int], names: ClassNames | None, notes: list[str]
) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return the class names, and the class of each value."""
    in_order = {value: index for index, value in enumerate(values)}
    unnamed = tuple(map(str, values))
    if names is None:
        notes.append(
            f"no classes.csv: {count_noun(len(values), 'value')} became classes; "
            "a table with the columns value,name names them"
        )
        return unnamed, in_order
    listed, file, most = names.names, names.file.name, len(names.names)
    lowest, highest = (values[0], values[-1]) if values else (0, 0)
    with_background = (_BACKGROUND, *listed)
    can_add = lowest == 0 and _BACKGROUND not in (name.casefold() for name in listed)
    if highest < most:
        notes.append(f"{file} names the values 0 to {most - 1} in its order")
        return listed, {value: value for value in range(most)}
    if highest == most and (can_add or lowest):
        notes.append(f"{file} names the values 1 to {most} in its order")
        if lowest:
            return listed, {value: value - 1 for value in range(1, most + 1)}
        return with_background, {value: value for value in range(most + 1)}
    if can_add and len(values) == most + 1:
        notes.append(f"{file} names the values other than 0, the background, in this order")
        return with_background, in_order
    if len(values) == most:
        notes.append(f"{file} names the values {', '.join(unnamed)} in this order")
        return listed, in_order
    notes.append(
        f"{count_noun(len(values), 'value')} became classes; {file} is not used, since it has "
        f"{count_noun(most, 'name')}"
    )
    return unnamed, in_order


def _all_values(seen: Mapping[Path, LabelStats], maximum: int) -> list[int]:
    values: set[int] = set()
    for path, stats in seen.items():
        values.update(stats.counts.values.tolist())
        if len(values) > maximum:
            raise DataError(
                f"at most {maximum} {'colours' if stats.in_colour else 'values'} are expected in "
                f"all label images together, with this one there are {len(values):,} or more",
                where=path,
                remedy="Is it a photo, or are the values numbers of objects? Then choose another "
                "--format. Otherwise list the classes in a classes.csv (value,name or "
                "name,r,g,b).",
            )
    return sorted(values)


def _is_void(values: Sequence[int], in_palette: bool) -> bool:
    """Return whether 255 marks unlabelled pixels; not in black and white, nor in a grey ramp."""
    if _VOID not in values:
        return False
    below = [value for value in values if value < _VOID]
    return len(below) >= 2 if in_palette else len(below) >= 3 and {0, 1} <= set(below)


def _palette_colours(seen: Mapping[Path, LabelStats]) -> set[int] | None:
    """Return the colours of palettes that number the same few colours in different orders."""
    if any(stats.palette is None for stats in seen.values()):
        return None
    used = [_used_colours(stats) for stats in seen.values()]
    colours = {colour_code(*colour) for one in used for colour in one.values()}
    numbers = {value for one in used for value in one}
    by_number: dict[int, Colour] = {}
    agree = all(
        by_number.setdefault(value, colour) == colour
        for one in used
        for value, colour in one.items()
    )
    return None if agree or len(colours) > len(numbers) else colours


def _used_colours(stats: LabelStats) -> dict[int, Colour]:
    """Return the palette's colour of each value that occurs."""
    if stats.palette is None:
        return {}
    return {
        value: _colour(stats.palette[value])
        for value in stats.counts.values.tolist()
        if value < len(stats.palette)
    }


def _colour(entry: Sequence[int]) -> Colour:
    red, green, blue = (int(band) for band in entry)
    return red, green, blue
