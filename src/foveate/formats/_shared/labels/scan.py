"""Scan label images: the classes in each, and the classes of the dataset if no table gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foveate.errors import BadImage, DataError
from foveate.formats._shared.labels.class_table import ClassPixels, ClassTable
from foveate.formats._shared.labels.class_table_file import ClassNames
from foveate.formats._shared.labels.images import (
    Band,
    LabelImage,
    distinct_values,
    is_grey,
    read_label_image,
    rgb,
)
from foveate.formats._shared.labels.snap import RealValues, real_values
from foveate.formats._shared.labels.stats import LabelStats, ValueCounts, stats_of
from foveate.formats._shared.labels.value_table import (
    palette_of,
    snapped_table,
    table_of,
    with_palette,
)
from foveate.formats._shared.threads import map_threads
from foveate.wording import count_noun

_BATCH = 256  # images whose counts wait to be added up
_LISTED_VALUES = 6

Seen = dict[Path, LabelStats]
"""The statistics of the label images that could be read."""


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


def scan_labels(
    labels: Sequence[Path], table: ClassTable | None, names: ClassNames | None, where: Path
) -> LabelScan:
    """Decode each label image once and list the classes in it; no image stays in memory.

    Without a table the values that occur become classes, named by the value ("7") or the colour
    ("#ff0000"), or by the names where there is one for each value.

    Args:
        labels: The label images.
        table: The class table, or None.
        names: The names of the values in their order, or None; they count without a table.
        where: The dataset's folder, for messages.

    Raises:
        DataError: If the values cannot be classes: there are too many, palettes disagree, or a
            lossy compression mixed them up.
    """
    images, pooled = _count(labels)
    seen = {
        path: image
        for path, image in zip(labels, images, strict=True)
        if isinstance(image, LabelStats)
    }
    if not seen and table is None:
        reason = "".join(f"; {error}" for error in images[:1])
        raise DataError(
            f"label images are expected, found none that can be read{reason}", where=where
        )
    notes: list[str] = []
    band = _band(seen, table, notes)
    if band is not None:
        pooled = {False: ValueCounts.sum([stats.in_band(band).counts for stats in seen.values()])}
        seen = {path: stats.in_band(band) for path, stats in seen.items()}
        images = [
            image.in_band(band) if isinstance(image, LabelStats) else image for image in images
        ]
    snapped = _snapped(seen, pooled, table, where)
    if table is None:
        table = table_of(seen, snapped, names, notes)
    else:
        table = snapped_table(table, snapped)
        table = table if table.colours else with_palette(table, palette_of(seen))
    table = replace(table, band=band)
    notes += _snap_notes(seen, snapped)
    classes_in = [
        _classes_in(table, path, stats) for path, stats in zip(labels, images, strict=True)
    ]
    notes += _unknown_notes(labels, classes_in, len(table.names))
    present = [
        classes
        if isinstance(classes, BadImage)
        else tuple(sorted({k for k in classes if 0 <= k < len(table.names)}))
        for classes in classes_in
    ]
    return LabelScan(table, present, tuple(notes))


def _count(labels: Sequence[Path]) -> tuple[list[LabelStats | BadImage], dict[bool, ValueCounts]]:
    """Return the statistics of each label image, and the values of all: in colour, and others."""
    images: list[LabelStats | BadImage] = []
    pooled: dict[bool, ValueCounts] = {}
    for start in range(0, len(labels), _BATCH):
        batch = map_threads(_stats, labels[start : start + _BATCH])
        for in_colour in (False, True):
            counts = [
                stats.counts
                for stats in batch
                if isinstance(stats, LabelStats) and stats.in_colour == in_colour
            ]
            if counts:
                before = [pooled[in_colour]] if in_colour in pooled else []
                pooled[in_colour] = ValueCounts.sum([*before, *counts])
        images += [stats.compact() if isinstance(stats, LabelStats) else stats for stats in batch]
    return images, pooled


def _stats(path: Path) -> LabelStats | BadImage:
    try:
        return stats_of(read_label_image(path))
    except BadImage as error:
        return error


def _classes_in(
    table: ClassTable, path: Path, stats: LabelStats | BadImage
) -> list[int] | BadImage:
    """Return the classes in a label image; it is decoded again only if it has very many values."""
    if isinstance(stats, BadImage):
        return stats
    try:
        if stats.complete:
            classes = table.to_classes(
                LabelImage(stats.counts.values, stats.in_colour, stats.palette)
            )
        else:
            classes = ClassPixels(path, table).read()
    except BadImage as error:
        return BadImage(error.message, where=path, remedy=error.remedy)
    present: list[int] = distinct_values(classes).tolist()
    return present


def _unknown_notes(
    labels: Sequence[Path], classes_in: Sequence[list[int] | BadImage], unknown: int
) -> list[str]:
    """Note the label images with values that are not in the class table."""
    outside = [
        path
        for path, classes in zip(labels, classes_in, strict=True)
        if isinstance(classes, list) and unknown in classes
    ]
    if not outside:
        return []
    number = count_noun(len(outside), "label image")
    return [f"{number} with values that are not in the class table (such as {outside[0].name})"]


def _band(seen: Seen, table: ClassTable | None, notes: list[str]) -> Band | None:
    """Return the band that holds the labels, if it is not the colour or the grey value."""
    with_alpha = [stats for stats in seen.values() if stats.alpha is not None]
    if len(with_alpha) == len(seen) and _only_alpha_varies(with_alpha):
        notes.append(
            "the label images are of one colour each, and their shapes are in the transparency: "
            "the labels are read from there (0 is transparent)"
        )
        return "alpha"
    for path, stats in seen.items():
        if stats.split_colour is not None:
            colour = f"#{stats.split_colour:06x}" if stats.in_colour else str(stats.split_colour)
            raise DataError(
                f"{colour} is transparent in some places and opaque in others, so that it is "
                "unclear whether the colour or the transparency is the label",
                where=path,
                remedy="Save the label images without transparency.",
            )
    coloured = [stats for stats in seen.values() if stats.in_colour]
    if not coloured or (table is not None and table.by_value is None):
        return None
    if all(is_grey(stats.counts.values) for stats in coloured):
        return "red"
    if all(_is_red(stats) for stats in coloured) and (table is None or table.by_colour is None):
        notes.append("only the red band of the label images is used: its values are the labels")
        return "red"
    return None


def _only_alpha_varies(images: Sequence[LabelStats]) -> bool:
    if not all(len(stats.counts.values) == 1 for stats in images):
        return False
    shaped = [s for s in images if s.alpha is not None and len(s.alpha.values) > 1]
    return len({int(stats.counts.values[0]) for stats in shaped}) == 1


def _is_red(stats: LabelStats) -> bool:
    return not (stats.counts.values & 0xFFFF).any()


def _snapped(
    seen: Seen, pooled: dict[bool, ValueCounts], table: ClassTable | None, where: Path
) -> dict[bool, RealValues]:
    """Return the real values of images in colour and of others, where not all are real."""
    found: dict[bool, RealValues] = {}
    for in_colour, counts in pooled.items():
        lossy = [
            path for path, stats in seen.items() if stats.lossy and stats.in_colour == in_colour
        ]
        known: Sequence[int] = ()
        if table is not None:
            values = table.by_colour if in_colour else table.by_value
            if values is None:
                continue
            known = values.values.tolist()
        real = real_values(
            counts,
            known,
            in_colour=in_colour,
            lossy=bool(lossy),
            where=lossy[0] if lossy else where,
        )
        if real is not None:
            found[in_colour] = real
    return found


def _snap_notes(seen: Seen, snapped: dict[bool, RealValues]) -> list[str]:
    """Say which values are read as others."""
    notes = []
    for in_colour, real in snapped.items():
        chosen = [(path, s) for path, s in seen.items() if s.in_colour == in_colour]
        total = sum(stats.pixels for _, stats in chosen)
        shown = ", ".join(
            f"#{value:06x}" if in_colour else str(value) for value in real.values[:_LISTED_VALUES]
        ) + (", ..." if len(real.values) > _LISTED_VALUES else "")
        lossy = [path for path, stats in chosen if stats.lossy]
        cause = (
            f"{count_noun(len(lossy), 'label image')} with lossy compression (such as "
            f"{lossy[0].name})"
            if lossy
            else "resampled or smoothed label images"
        )
        if real.nearest:
            notes.append(
                f"{cause}: {real.moved:,} of {total:,} pixels have values between the real ones "
                f"and are read as the nearest of {shown}; export label images as PNG, without loss"
            )
        for colour, meant in real.shifted.items():
            red, green, blue = rgb(colour)
            notes.append(
                f"the colour {red},{green},{blue} is not in the class table, "
                f"and is read as {','.join(map(str, rgb(meant)))}, which does not occur itself"
            )
    return notes
