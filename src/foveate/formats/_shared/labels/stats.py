"""Count the values of label images, and how many of their pixels lie within an even region.

Values that a lossy file, a resampling or anti-aliasing made up lie at edges. A pixel is called
solid if all its neighbours have its value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from foveate.formats._shared.labels.images import LabelImage

_FEW = 2  # an image with so few values needs no look at its edges
_KEPT = 1024  # values of an image that stay in memory
_TRANSPARENT = 128
LEAST_SOLID = 9
"""So many solid pixels a value has that somebody drew."""


@dataclass(frozen=True, slots=True, eq=False)
class ValueCounts:
    """The values of one or more label images.

    Attributes:
        values: (M,) int32, ascending.
        counts: (M,) int64, the pixels of each.
        solid: (M,) int64, those of them that are solid.
    """

    values: NDArray[np.int32]
    counts: NDArray[np.int64]
    solid: NDArray[np.int64]

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return int(self.counts.sum())

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """(M,) bool: which values fill an even region."""
        return self.solid >= LEAST_SOLID

    @classmethod
    def sum(cls, several: Iterable[ValueCounts]) -> ValueCounts:
        """Add the counts of several images up."""
        listed = list(several)
        if len(listed) == 1:
            return listed[0]
        if not listed:
            return cls(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
        values, index = np.unique(
            np.concatenate([one.values for one in listed]), return_inverse=True
        )
        counts, solid = (
            np.bincount(
                index, np.concatenate([getattr(one, name) for one in listed]), len(values)
            ).astype(np.int64)
            for name in ("counts", "solid")
        )
        return cls(values, counts, solid)


@dataclass(frozen=True, slots=True, eq=False)
class LabelStats:
    """What is to be known of a label image once its pixels are forgotten.

    Attributes:
        counts: Its values.
        in_colour: Whether the values are colours.
        lossy: Whether its compression changes values.
        palette: Its palette, or None.
        alpha: The values of its transparency, or None if it has none.
        split_colour: A colour that is transparent in places and opaque in others, or None.
        complete: Whether `counts` has all its values; the rarest of very many are left out once
            they are counted in.
        pixels: The number of its pixels.
    """

    counts: ValueCounts
    in_colour: bool
    lossy: bool
    palette: NDArray[np.uint8] | None
    alpha: ValueCounts | None
    split_colour: int | None
    complete: bool = True
    pixels: int = 0

    def in_band(self, band: str | None) -> LabelStats:
        """Return the statistics of one band, see `LabelImage.in_band`."""
        if band == "alpha" and self.alpha is not None:
            return replace(self, counts=self.alpha, in_colour=False, alpha=None)
        if band == "red" and self.in_colour:
            red = replace(self.counts, values=self.counts.values >> 16)
            return replace(self, counts=ValueCounts.sum([red, _EMPTY]), in_colour=False)
        return self

    def compact(self) -> LabelStats:
        """Return the statistics with as many values as can stay in memory for each image."""
        if len(self.counts.values) <= _KEPT:
            return self
        most = np.sort(np.argsort(-self.counts.counts, kind="stable")[:_KEPT])
        kept = ValueCounts(*(getattr(self.counts, name)[most] for name in ValueCounts.__slots__))
        return replace(self, counts=kept, complete=False)


_EMPTY = ValueCounts.sum([])


def stats_of(image: LabelImage) -> LabelStats:
    """Count the values of a label image."""
    alpha, split_colour = None, None
    if image.alpha is not None:
        alpha = value_counts(LabelImage(image.alpha.astype(np.int32)))
        if len(alpha.values) > 1:
            split_colour = _split_colour(image.values, image.alpha)
    return LabelStats(
        value_counts(image),
        image.in_colour,
        image.lossy,
        image.palette,
        alpha,
        split_colour,
        pixels=image.values.size,
    )


def value_counts(image: LabelImage) -> ValueCounts:
    """Count the values of a label image, and their solid pixels."""
    values = image.values
    if values.size and values.max() < 65536:
        every = np.bincount(values.ravel())
        found = np.flatnonzero(every)
        distinct, counts = found.astype(np.int32), every[found]
    else:
        distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW and not image.lossy:
        return ValueCounts(distinct, counts, counts)
    solid = np.zeros(len(distinct), np.int64)
    if min(values.shape) >= 3:
        inner = values[1:-1, 1:-1][_even(values)]
        index, number = np.unique(np.searchsorted(distinct, inner), return_counts=True)
        solid[index] = number
    return ValueCounts(distinct, counts, solid)


def _even(values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return (H - 2, W - 2) bool: whether each inner pixel has the value of its neighbours."""
    down = (values[:-2] == values[1:-1]) & (values[1:-1] == values[2:])
    across = (values[:, :-2] == values[:, 1:-1]) & (values[:, 1:-1] == values[:, 2:])
    columns: NDArray[np.bool_] = down[:, :-2] & down[:, 1:-1] & down[:, 2:]
    even: NDArray[np.bool_] = columns & across[1:-1]
    return even


def _split_colour(values: NDArray[np.int32], alpha: NDArray[np.uint8]) -> int | None:
    """Return a value that is both transparent and opaque in 1% of the pixels each, or None."""
    clear = alpha < _TRANSPARENT
    sides = [
        dict(zip(*np.unique(values[side], return_counts=True), strict=True))
        for side in (clear, ~clear)
    ]
    least = 0.01 * values.size
    both = [v for v, count in sides[0].items() if count >= least and sides[1].get(v, 0) >= least]
    return int(both[0]) if both else None
