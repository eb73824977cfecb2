"""Candidates for crops and shifts: a window of one image that looks like a place in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.duplicates.alignment import CROPPED, SHIFTED, Moves
from foveate.audit.duplicates.chunks import in_chunks
from foveate.audit.duplicates.neighbours import Index
from foveate.audit.duplicates.signatures import WAVES, WHOLE, Intervals, spectra, transforms
from foveate.data.image_stats import THUMB_SIDE

_MANY = 20_000  # images among which each window finds enough neighbours if it finds one
_PER_IMAGE = 6  # candidates for each image
_REFINED = 1024  # windows that are refined at once
# By how much the interval of a window may be longer, and lie elsewhere.
_LENGTHS, _PLACES = (-0.033, 0.0, 0.033), (-0.05, -0.025, 0.0, 0.025, 0.05)


@dataclass(frozen=True)
class Search:
    """Where windows of images are searched.

    Attributes:
        change: What was done to the image, in words.
        intervals: Of which windows are made, one down and one across.
        target: The interval, down and across, of the place in other images.
        moves: What a pair is then aligned by.
    """

    change: str
    intervals: Intervals
    target: tuple[float, float]
    moves: Moves


CROPS = Search(
    "cropped",
    [WHOLE, (0.9, 0.0), (0.9, 0.1), (0.8, 0.0), (0.8, 0.1), (0.8, 0.2)],
    WHOLE,
    CROPPED,
)
"""A crop shows a window of its original. Crops between two windows are near enough to both."""
SHIFTS = Search("shifted", [(0.75, 0.0), (0.75, 0.125), (0.75, 0.25)], (0.75, 0.125), SHIFTED)
"""The centre of a shifted image shows a window of its original; its border may show anything."""


@dataclass(frozen=True)
class WindowPairs:
    """Pairs that may be copies, each once.

    Attributes:
        ones: (P,) rows whose window was searched.
        twos: (P,) rows in which it was found.
        cosines: (P,) of the frequencies.
        intervals: (2, P, 2) length and start of the window, down and across.
    """

    ones: NDArray[np.int64]
    twos: NDArray[np.int64]
    cosines: NDArray[np.float32]
    intervals: NDArray[np.float32]


def candidates(thumbs: NDArray[np.uint8], search: Search) -> WindowPairs:
    """Find the images that look most like windows of each image.

    Args:
        thumbs: (N, 32, 32) uint8.
        search: Which windows, and where.
    """
    places = spectra(thumbs, [search.target])[:, 0]
    index = Index(np.ascontiguousarray(places[:, 1:]))
    count = len(search.intervals)
    at_target = search.intervals.index(search.target) * (count + 1)
    windows = np.array([w for w in range(count**2) if w != at_target])
    size = max(1, index.chunk * 2 // len(windows))
    per_window = 1 if len(thumbs) > _MANY else 2
    found = [
        _found(
            spectra(thumbs[start : start + size], search.intervals)[:, windows],
            start,
            index,
            per_window,
        )
        for start in range(0, len(thumbs), size)
    ]
    ones, twos, which, cosines = (np.concatenate(column) for column in zip(*found, strict=True))
    # A pair may be found from either of its images.
    key = np.minimum(ones, twos) * len(thumbs) + np.maximum(ones, twos)
    order = np.lexsort((-cosines, key))
    best = order[np.diff(key[order], prepend=-1) > 0]
    return _refined(thumbs, ones[best], twos[best], windows[which[best]], places, search)


def _found(
    windows: NDArray[np.float32], first: int, index: Index, per_window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Row, row found, window and cosine of the best candidates of each image.

    Args:
        windows: (N, W, waves * waves) frequencies.
        first: The row of the first image.
        index: The places that are searched.
        per_window: Images that are found for each window.
    """
    images, count = windows.shape[:2]
    own = np.repeat(np.arange(first, first + images), count)
    queries = np.ascontiguousarray(windows[..., 1:]).reshape(len(own), -1)
    found, cosines = index.nearest(queries, own, per_window)
    rows, cosines = found.reshape(images, -1), cosines.reshape(images, -1)
    order = np.argsort(-cosines, axis=1)[:, : 4 * _PER_IMAGE]
    rows, cosines = np.take_along_axis(rows, order, 1), np.take_along_axis(cosines, order, 1)
    again = np.tril(rows[:, :, None] == rows[:, None, :], -1).any(2)
    kept = ~again & (cosines >= -1)
    kept &= np.cumsum(kept, 1) <= _PER_IMAGE
    image, column = np.nonzero(kept)
    return image + first, rows[kept], order[image, column] // per_window, cosines[kept]


def _refined(
    thumbs: NDArray[np.uint8],
    ones: NDArray[np.int64],
    twos: NDArray[np.int64],
    windows: NDArray[np.int64],
    places: NDArray[np.float32],
    search: Search,
) -> WindowPairs:
    """Fit each window: the best cosine around it, and where that is."""
    cosines = np.empty(len(ones), np.float32)
    intervals = np.empty((2, len(ones), 2), np.float32)
    for window in np.unique(windows):
        some = np.flatnonzero(windows == window)
        sides = [search.intervals[side] for side in divmod(int(window), len(search.intervals))]
        around = [_around(side) for side in sides]

        def fit(chunk: slice, some: Any = some, around: Any = around) -> None:
            part = some[chunk]
            images = thumbs[ones[part]].astype(np.float32)
            cosines[part], at = _fit(images, places[twos[part]], around)
            for axis in (0, 1):
                intervals[axis, part] = np.array(around[axis], np.float32)[at[axis]]

        in_chunks(fit, len(some), _REFINED)
    return WindowPairs(ones, twos, cosines, intervals)


def _fit(
    images: NDArray[np.float32], wanted: NDArray[np.float32], around: list[Intervals]
) -> tuple[NDArray[np.float32], list[NDArray[np.int64]]]:
    """Search the intervals down and across in turn.

    Args:
        images: (P, 32, 32).
        wanted: (P, waves * waves) frequencies to be matched.
        around: The intervals down, and across.

    Returns:
        (P,) cosines, and the numbers of the intervals down and across, (P,) each.
    """
    rows = [transforms(intervals) for intervals in around]
    at = [np.zeros(len(images), np.int64) for _ in around]
    wanted = wanted.reshape(-1, WAVES, WAVES)
    for axis in (0, 1, 0):
        fixed, free = rows[1 - axis][at[1 - axis]], rows[axis].reshape(-1, THUMB_SIDE)
        if axis == 0:
            values = (free @ (images @ fixed.swapaxes(1, 2))).reshape(
                -1, len(rows[0]), WAVES, WAVES
            )
        else:
            values = ((fixed @ images) @ free.T).reshape(-1, WAVES, len(rows[1]), WAVES)
            values = values.swapaxes(1, 2)
        product = np.einsum("piab,pab->pi", values, wanted)
        power = np.einsum("piab,piab->pi", values, values) - values[..., 0, 0] ** 2
        cosines = product / np.sqrt(np.maximum(power, 1e-6))
        at[axis] = cosines.argmax(1)
    return cosines.max(1), at


def _around(interval: tuple[float, float]) -> Intervals:
    """The interval itself, and those around it that lie on the line."""
    length, start = interval
    nearby = [
        (length + longer, start - longer / 2 + move) for longer in _LENGTHS for move in _PLACES
    ]
    within = [(long, at) for long, at in nearby if at > -1e-9 and long + at < 1 + 1e-9]
    return [interval, *(one for one in within if one != interval)]
