"""Selected rows of a large image array, read on access: no split is ever copied as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image, Images
from foveate.ops.tiles import Tile


class Subset(Sequence[Image]):
    """The images of one split; only the indexed ones are read into memory.

    Args:
        pixels: (N, S, S, C) uint8, usually a memory-mapped file.
        rows: (M,) int64, the selected images.
        sizes: (M, 2) int64, height and width that each letterboxed image fills. With sizes, a
            single image is returned without its padding.
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
        """(M, S, S, C)."""
        return (len(self.rows), *self.pixels.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    @overload  # type: ignore[override]
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: NDArray[np.int64]) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> Images: ...
    def __getitem__(self, index: int | slice | NDArray[np.int64]) -> Images:
        """Read one image (a read-only view) or several (a copy).

        With letterboxed images, an int gives an image without padding, a slice a list of such
        images, and an array of indices the padded ones as one array.
        """
        if self.sizes is None or isinstance(index, np.ndarray):
            return self.pixels[self.rows[index]]
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        height, width = self.sizes[index]
        return self.pixels[self.rows[index], :height, :width]


class TiledSubset(Subset):
    """Square tiles of letterboxed images: (M, side, side, C) uint8.

    Args:
        images: The images that the tiles are cut from.
        tiles: M pairs of an index into `images` and the tile, which is smaller than the square
            where the image is smaller.
        side: Pixels a side of the squares.
    """

    def __init__(self, images: Subset, tiles: Sequence[tuple[int, Tile]], side: int):
        rows = images.rows[np.array([row for row, _ in tiles], np.int64)]
        self.side, self.corners = side, [(left, top) for _, (left, top, _, _) in tiles]
        sizes = np.array(
            [(bottom - top, right - left) for _, (left, top, right, bottom) in tiles], np.int64
        )
        super().__init__(images.pixels, rows, sizes.reshape(-1, 2))

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, side, side, C)."""
        return (len(self.rows), self.side, self.side, self.pixels.shape[3])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return super().__getitem__(index)
        if isinstance(index, np.ndarray):
            return np.stack([self._square(row) for row in index])
        assert self.sizes is not None
        height, width = self.sizes[index]
        return self._square(index)[:height, :width]

    def _square(self, index: int) -> Image:
        left, top = self.corners[index]
        return self.pixels[self.rows[index], top : top + self.side, left : left + self.side]


ImageArray = NDArray[np.uint8] | Subset
"""(N, S, S, C) uint8: in memory, or read from a file row by row."""
