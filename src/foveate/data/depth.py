"""One black and one white point for all images of a dataset that have more than 8 bits a channel.

They are measured over all images at once. Stretching each image by its own range would make dark
and bright ones look alike; a fixed range of 16 bits would leave a 12-bit microscope a sixteenth of
the grey levels. A convention is preferred where it fits, so that the same scene recorded at 8, 12
and 16 bits gives the same pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache.decoding import MessageCallback, Survey
from foveate.data.dataset import Dataset, Sample, Source
from foveate.data.image_reading import DEFAULT_READING, DeepPixels, ImageReading, to_levels
from foveate.errors import BadImage, DataError
from foveate.wording import count_noun

A = TypeVar("A")
S = TypeVar("S", bound=Survey[Any])

MIN_LEVELS = 64
"""Grey levels, of 256, that 99.8% of the pixels should spread over."""

_TAIL = 0.1  # percent of the pixels on each side that may be outliers
_PROBES = 32  # images that suggest whether a dataset has more than 8 bits
_MAX_VALUES = 1 << 22  # of all images together, that are drawn to measure their distribution
_MIN_VALUES_EACH = 64
_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Points:
    """Black and white of a dataset.

    Attributes:
        black: The value that becomes 0.
        white: The value that becomes 255.
        reason: Why, in words.
        images: Number of images with more than 8 bits.
        others: Number of images of 8 bits among them.
    """

    black: float
    white: float
    reason: str
    images: int
    others: int

    def note(self) -> str:
        """The choice in a sentence."""
        kept = f"; {count_noun(self.others, 'image')} of 8 bits stay as they are"
        return (
            f"{count_noun(self.images, 'image')} with more than 8 bits a channel: "
            f"{self.black:,.6g} becomes black and {self.white:,.6g} white in all of them "
            f"({self.reason}); --set black=NUMBER --set white=NUMBER fixes other values"
            f"{kept if self.others else ''}"
        )


def with_reading(dataset: Dataset[A], reading: ImageReading) -> Dataset[A]:
    """Return the dataset with its image files read in this way."""
    if reading == DEFAULT_READING:
        return dataset
    samples = [
        replace(sample, source=_with_reading(sample.source, reading))
        if hasattr(sample.source, "reading")
        else sample
        for sample in dataset.samples
    ]
    return replace(dataset, samples=samples)


def reading_of(dataset: Dataset[Any]) -> ImageReading:
    """How the image files of a dataset are read."""
    readings = (getattr(sample.source, "reading", None) for sample in dataset.samples)
    return next((one for one in readings if one is not None), DEFAULT_READING)


def decode_measured(
    dataset: Dataset[Any],
    reading: ImageReading,
    decode: Callable[[Dataset[Any]], S],
    on_message: MessageCallback = lambda message: None,
) -> S:
    """Decode a dataset with a black and a white point that are measured if they are needed.

    Args:
        dataset: The images.
        reading: How their files are read. Black and white that are given stay.
        decode: Decodes a dataset.
        on_message: Called with a sentence before images are measured, which takes as long as
            decoding them.

    Returns:
        What `decode` returns. Its samples have the points, see `reading_of`; a note has the reason.

    Raises:
        DataError: No points serve all images, or `decode` raises it.
    """
    dataset = with_reading(dataset, reading)
    if reading.points is not None or not any(hasattr(one.source, "reading") for one in dataset):
        return decode(dataset)
    probes = dataset.samples[:: max(1, len(dataset) // _PROBES)]
    if not any(True for _ in _deep(one.source for one in probes)):
        decoded = decode(dataset)
        # No more is known before all images were decoded; most datasets have 8 bits.
        unread = {one.id for one in decoded.dataset.skipped}
        skipped = (one.source for one in dataset if one.id in unread)
        if not decoded.image_stats["deep"].any() and not any(True for _ in _deep(skipped)):
            return decoded
    on_message("images with more than 8 bits: measuring what is black and white in all of them")
    points = measure(dataset, reading)
    if points is None:
        return decode(dataset)
    measured = replace(reading, black=points.black, white=points.white)
    dataset = replace(dataset, notes=(*dataset.notes, points.note()))
    return decode(with_reading(dataset, measured))


def measure(dataset: Dataset[Any], reading: ImageReading = DEFAULT_READING) -> Points | None:
    """Measure black and white over all images with more than 8 bits a channel.

    Args:
        dataset: The images.
        reading: A black or a white that is given stays.

    Returns:
        None if there is no such image.

    Raises:
        DataError: Whole numbers and floats occur, or the given point leaves no range.
    """
    each = max(_MIN_VALUES_EACH, _MAX_VALUES // max(1, len(dataset)))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        sketches = list(pool.map(lambda sample: _sketch(sample, each), dataset.samples))
    found = [one for one in sketches if isinstance(one, _Sketch)]
    if not found:
        return None
    _check_one_type(dataset, found)
    pooled = _Pool(found)
    black, white, reason = _choose(pooled)
    if reading.black is not None or reading.white is not None:
        black = black if reading.black is None else reading.black
        white = white if reading.white is None else reading.white
        reason = "one of them is given, the other is measured"
        if not black < white:
            raise DataError(
                f"a black below white is expected, got black={black:g} and white={white:g} "
                "(one of them is given, the other is measured)",
                where=str(dataset.origin or dataset.name),
                remedy="Give both: --set black=NUMBER --set white=NUMBER.",
            )
    return Points(black, white, reason, len(found), sum(one is _EIGHT_BITS for one in sketches))


def levels_between(values: NDArray[Any], black: float, white: float) -> int:
    """Number of the 256 levels over which 99.8% of the values spread."""
    low, high = np.percentile(values, [_TAIL, 100 - _TAIL], method="nearest")
    ends = to_levels(np.array([low, high], np.float64), black, white)
    return int(ends[1]) - int(ends[0]) + 1


@dataclass(frozen=True, eq=False)
class _Sketch:
    """What one image adds: its range, the bits that are set in any value, and some values."""

    id: str
    low: float
    high: float
    bits: int | None  # None for fractions and negative numbers
    is_float: bool
    values: NDArray[np.float64]
    declared: tuple[float, float] | None


_EIGHT_BITS = object()
_UNREADABLE = object()


def _sketch(sample: Sample[Any], count: int) -> object:
    source: Any = sample.source
    if not hasattr(source, "deep_pixels"):
        return _EIGHT_BITS
    try:
        pixels: DeepPixels | None = source.deep_pixels()
    except BadImage:
        return _UNREADABLE  # it is listed as skipped when the dataset is decoded
    if pixels is None:
        return _EIGHT_BITS
    values = pixels.known.ravel()
    is_float = values.dtype.kind == "f"
    if is_float and not np.isfinite(values).all():
        return _UNREADABLE
    if not values.size:
        return _UNREADABLE
    low, high = float(values.min()), float(values.max())
    # An odd step meets all columns.
    drawn = values[:: values.size // count | 1].astype(np.float64)
    bits = _bits(values) if low >= 0 else None
    return _Sketch(sample.id, low, high, bits, is_float, drawn, pixels.declared)


def _bits(values: NDArray[Any]) -> int | None:
    if values.dtype.kind == "f":
        whole = values.astype(np.int64)
        if not (whole == values).all():
            return None
        values = whole
    return int(np.bitwise_or.reduce(values))


class _Pool:
    """All images together."""

    def __init__(self, sketches: Sequence[_Sketch]) -> None:
        self.low = min(one.low for one in sketches)
        self.high = max(one.high for one in sketches)
        self.values = np.concatenate([one.values for one in sketches])
        self.bits: int | None = 0
        for one in sketches:
            known = self.bits is not None and one.bits is not None
            self.bits = self.bits | one.bits if known else None  # type: ignore[operator]
        declared = {one.declared for one in sketches}
        self.declared = declared.pop() if len(declared) == 1 else None


def _choose(pool: _Pool) -> tuple[float, float, str]:
    """Black, white, and the reason: the first choice that leaves enough levels."""
    black, white = pool.low, pool.high
    conventions = list(_conventions(pool))
    for black, white, reason in conventions:
        if levels_between(pool.values, black, white) >= MIN_LEVELS:
            return black, white, reason
    if pool.low == pool.high:
        return conventions[0] if conventions else (pool.low, pool.low + 1, "all values are equal")
    few = "the smallest and the largest value of all images"
    if conventions:
        used = levels_between(pool.values, *conventions[-1][:2])
        few += f": from {black:,.6g} to {white:,.6g} they would use {used} of 256 levels"
    if levels_between(pool.values, pool.low, pool.high) >= MIN_LEVELS:
        return pool.low, pool.high, few
    low, high = np.percentile(pool.values, [_TAIL, 100 - _TAIL], method="nearest").tolist()
    if low == high:  # nearly all pixels are equal, e.g. a few bright points on black
        return pool.low, pool.high, few
    return low, high, "0.1% and 99.9% of all values: a few lie far outside, and are clipped"


def _conventions(pool: _Pool) -> Iterator[tuple[float, float, str]]:
    """The ranges that these values may be from, by convention."""
    if pool.declared is not None:
        yield *pool.declared, "as their files say"
    if pool.low < 0:
        return
    if pool.high <= 1:
        yield 0.0, 1.0, "all values are from 0 to 1"
        return
    if pool.bits is None:
        return
    shift = (pool.bits & -pool.bits).bit_length() - 1
    if shift in (2, 4, 6, 8) and pool.high <= 255 << shift:
        yield 0.0, float(255 << shift), f"they are values of 8 bits times {1 << shift}"
    for bits in _BITS:
        if pool.high < 1 << bits:
            yield 0.0, float((1 << bits) - 1), f"{bits} bits: the largest value is {pool.high:,.0f}"
            return


def _check_one_type(dataset: Dataset[Any], sketches: Sequence[_Sketch]) -> None:
    floats = [one for one in sketches if one.is_float]
    whole = [one for one in sketches if not one.is_float]
    if floats and whole:
        raise DataError(
            "images with one type of values are expected: one black and one white serve all of "
            f"them; {_have(len(whole))} whole numbers and {_have(len(floats))} floats",
            where=str(dataset.origin or dataset.name),
            details=[f"{one.id}: {one.low:g} to {one.high:g}" for one in (whole[0], floats[0])],
            remedy="Export all images in one way, or give the values that fit all of them: "
            "--set black=NUMBER --set white=NUMBER.",
        )


def _have(count: int) -> str:
    return f"{count_noun(count, 'image')} {'has' if count == 1 else 'have'}"


def _deep(sources: Iterable[Source]) -> Iterator[Source]:
    """Those of the sources with more than 8 bits."""
    for source in sources:
        try:
            if hasattr(source, "deep_pixels") and source.deep_pixels() is not None:
                yield source
        except BadImage:
            continue


def _with_reading(source: Any, reading: ImageReading) -> Source:
    changed: Source = replace(source, reading=reading)
    return changed
