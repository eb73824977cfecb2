"""Some rows of many pictures, taken when they are asked for, so that no part of a large set is ever copied as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image, Images
from foveate.ops.tiles import Tile


class Subset(Sequence[Image]):
    """The pictures of one part: (M, S, S, C) uint8, of which only what is indexed lies in memory.

    pixels: (N, S, S, C) uint8, mostly a file that is mapped; rows: (M,) which of them
    sizes: (M, 2) height and width of what letterboxed pictures fill: one picture alone is taken without its padding
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        sizes: NDArray[np.int64] | None = None,
    ):
        self.pixels, self.rows, self.sizes = pixels, rows, sizes

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.pixels.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    @overload  # type: ignore[override]
    def __getitem__(self, which: int) -> Image: ...
    @overload
    def __getitem__(self, which: NDArray[np.int64]) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, which: slice) -> Images: ...
    def __getitem__(self, which: int | slice | NDArray[np.int64]) -> Images:
        """One picture, not copied and not to be written to; or several, as an array of their own. Where pictures are
        letterboxed, a slice gives a list of them without padding, and an array of rows the padded ones.
        """
        if self.sizes is None or isinstance(which, np.ndarray):
            return self.pixels[self.rows[which]]
        if isinstance(which, slice):
            return [self[row] for row in range(*which.indices(len(self)))]
        height, width = self.sizes[which]
        return self.pixels[self.rows[which], :height, :width]


class TiledSubset(Subset):
    """Squares cut out of letterboxed pictures: (M, side, side, C) uint8.

    places: (M,) which of the pictures each is cut out of, and where, which is less than the square where the picture is smaller
    """

    def __init__(self, images: Subset, places: Sequence[tuple[int, Tile]], side: int):
        rows = images.rows[np.array([row for row, _ in places], np.int64)]
        self.side, self.corners = side, [(left, top) for _, (left, top, _, _) in places]
        sizes = np.array(
            [(bottom - top, right - left) for _, (left, top, right, bottom) in places], np.int64
        )
        super().__init__(images.pixels, rows, sizes.reshape(-1, 2))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), self.side, self.side, self.pixels.shape[3])

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return super().__getitem__(which)
        if isinstance(which, np.ndarray):
            return np.stack([self._square(row) for row in which])
        assert self.sizes is not None
        height, width = self.sizes[which]
        return self._square(which)[:height, :width]

    def _square(self, which: int) -> Image:
        left, top = self.corners[which]
        return self.pixels[self.rows[which], top : top + self.side, left : left + self.side]


Pixels = NDArray[np.uint8] | Subset
"""(N, S, S, C) uint8: in memory, or taken from a file row by row."""
