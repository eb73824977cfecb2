"""Tell label images that number objects (1, 2, ..., N in each) from those that hold classes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from foveate.errors import BadImage
from foveate.formats._shared.labels.images import is_grey, read_label_image
from foveate.formats._shared.labels.stats import ValueCounts, value_counts
from foveate.wording import count_noun

_SAMPLED = 50  # label images that are looked at
_TESTED_NUMBERS = 60  # in each of them
_CLASSES_AT_MOST = 2  # so few numbers are classes: 0 and 1, or 0, 1 and 2
_OBJECTS_FROM = 6  # with more than 5 numbers in an image, and all other signs, they are objects
_CONNECTED, _SCATTERED = 0.95, 0.7
_GAPLESS = 0.9
_MANY = 30  # numbers in an image, each of one connected region, are no classes, gaps or not
_MAX_CLASS_COLOURS = 64
_LEAST_AREA = 3  # pixels; objects have more
_WHITE = 255
_SMOOTHED = 4  # so many values without even regions, between black and white
_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Numbering:
    """What the pixels of label images may mean.

    Attributes:
        objects: Whether their numbers may be those of objects.
        classes: Whether they may be classes.
        evidence: What speaks for it, as a sentence without a full stop.
    """

    objects: bool
    classes: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The numbers in one label image, but for 0.

    Attributes:
        values: Which occur.
        connected: The share that fill one connected region each.
        area: The mean number of pixels of a value.
        in_colour: Whether the values are colours.
    """

    values: tuple[int, ...]
    connected: float
    area: float
    in_colour: bool = False


def numbering_of(files: Sequence[Path]) -> Numbering:
    """Look at up to 50 label images.

    Args:
        files: The label images.
    """
    rows = np.unique(np.linspace(0, max(0, len(files) - 1), _SAMPLED).astype(int)).tolist()
    return _numbering(tuple(_stamp(files[row]) for row in rows if files))


def _stamp(file: Path) -> tuple[Path, int, int]:
    """Return what tells a file from a later one of the same name."""
    try:
        status = file.stat()
    except OSError:
        return file, 0, 0
    return file, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)  # two formats ask, and then the one that reads
def _numbering(stamps: tuple[tuple[Path, int, int], ...]) -> Numbering:
    with ThreadPoolExecutor() as pool:
        looked_at = list(pool.map(_numbers, [file for file, _, _ in stamps]))
    if any(numbers is False for numbers in looked_at):
        return Numbering(False, True, "the label images are in colour or hold made-up values")
    images = [numbers for numbers in looked_at if isinstance(numbers, _Numbers) and numbers.values]
    if not images:
        return Numbering(False, True, "no label image has an object")
    return _by_numbers(images)


def _by_numbers(images: Sequence[_Numbers]) -> Numbering:
    """Tell objects from classes by how many numbers there are, and by their regions."""
    if any(image.in_colour for image in images):
        return _by_colours(images)
    highest = [max(image.values) for image in images]
    if max(highest) <= _CLASSES_AT_MOST or {v for i in images for v in i.values} == {_WHITE}:
        return Numbering(False, True, "there are only one or two values besides 0")
    if np.median([image.area for image in images]) < _LEAST_AREA:
        return Numbering(False, True, "most values have only a few pixels each")
    amounts = [len(image.values) for image in images]
    connected = float(np.average([image.connected for image in images], weights=amounts))
    gapless = float(np.mean([top == n for top, n in zip(highest, amounts, strict=True)]))
    share, looked_at = f"{connected:.0%}", count_noun(len(images), "label image")
    if connected < _SCATTERED:
        return Numbering(
            False,
            True,
            f"only {share} of the values in {looked_at} fill one connected region",
        )
    span = f"{min(amounts)} to {max(amounts)}" if len(set(amounts)) > 1 else f"{amounts[0]}"
    evidence = (
        f"in {looked_at} looked at there are {span} values besides 0, {share} of them fill one "
        f"connected region each, and {gapless:.0%} of the images count them from 1 without gaps"
    )
    differs, many = len(set(amounts)) > 1, max(amounts) >= _OBJECTS_FROM
    if connected >= _CONNECTED and (
        (gapless >= _GAPLESS and differs and many) or np.median(amounts) >= _MANY
    ):
        return Numbering(True, False, evidence)
    if gapless < _GAPLESS and not many:
        return Numbering(False, True, evidence)
    few = max(amounts) < _OBJECTS_FROM
    if few and (not differs or gapless < _GAPLESS):
        return Numbering(False, True, f"the same few values occur in all of {looked_at}")
    return Numbering(True, True, evidence)


def _by_colours(images: Sequence[_Numbers]) -> Numbering:
    """Tell a colour for each object of an image from a colour for each class of all images."""
    colours = {value for image in images for value in image.values}
    amounts = [len(image.values) for image in images]
    connected = float(np.average([image.connected for image in images], weights=amounts))
    evidence = (
        f"{count_noun(len(images), 'label image')} looked at have {len(colours):,} colours besides "
        f"black, at most {max(amounts):,} in one image, and {connected:.0%} of them fill one "
        "connected region each"
    )
    own = connected >= _CONNECTED and len(images) > 1
    if own and len(colours) > _MAX_CLASS_COLOURS and len(colours) >= 2 * max(amounts):
        return Numbering(True, False, evidence)
    return Numbering(False, True, evidence)


def _numbers(file: Path) -> _Numbers | bool | None:
    """Return the numbers in a label image; False if they are none, None if it is unreadable."""
    try:
        image = read_label_image(file)
    except BadImage:
        return None
    if image.lossy:
        return False
    values = image.values
    in_colour = image.in_colour and not is_grey(values)
    if in_colour and not (values == 0).any():
        return False  # objects have a black background
    if image.in_colour and not in_colour:
        values = values >> 16
    if not image.in_colour and _runs_over(value_counts(image)):
        return False
    found, index = np.unique(values, return_inverse=True)
    numbers = found[found > 0]
    if len(numbers) > 1 and numbers[-1] == _WHITE and numbers[-2] < _WHITE - 1:
        numbers = numbers[:-1]  # unlabelled pixels at the edges, as in Pascal VOC
    if not len(numbers):
        return _Numbers((), 1.0, 0.0)
    offset = 0 if found[0] == 0 else 1
    ids: NDArray[np.int32] = index.reshape(values.shape).astype(np.int32) + np.int32(offset)
    area = float(np.isin(values, numbers).sum()) / len(numbers)
    connected = _connected(ids, len(numbers))
    return _Numbers(tuple(numbers.tolist()), connected, area, in_colour)


def _runs_over(counts: ValueCounts) -> bool:
    """Return whether values run over into each other: smoothed edges of white, soft masks."""
    drawn = counts.values[counts.drawn].tolist()
    thin = counts.values[~counts.drawn].tolist()
    smoothed = drawn == [0, _WHITE] and len(thin) >= _SMOOTHED and max(thin) > _WHITE // 2
    return smoothed or (len(thin) >= _MANY and len(drawn) < len(thin))


def _connected(ids: NDArray[np.int32], count: int) -> float:
    """Return the share of the numbers 1 to `count` that fill one connected region each."""
    boxes = ndimage.find_objects(ids, count)
    rows = np.unique(np.linspace(0, count - 1, _TESTED_NUMBERS).astype(int)).tolist()
    single = [
        ndimage.label(ids[box] == row + 1, _NEIGHBOURS)[1] == 1
        for row in rows
        if (box := boxes[row]) is not None
    ]
    return float(sum(single) / len(single))
