"""Selected rows of a large image array, read on access: no split is ever copied as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache.pixels import CachedPixels
from foveate.data.dataset import Image, Images
from foveate.ops.tiles import Tile


class Subset(Sequence[Image]):
    """The images of one split; only the indexed ones are read into memory.

    Args:
        pixels: (N, S, S, C) uint8, usually in a file.
        rows: (M,) int64, the selected images.
        sizes: (M, 2) int64, height and width that each letterboxed image fills. With sizes, a
            single image is returned without its padding.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8] | CachedPixels,
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

    def part(self, rows: range) -> Self:
        """Some of the images; nothing is read."""
        some = copy(self)
        some.rows = self.rows[rows.start : rows.stop]
        some.sizes = None if self.sizes is None else self.sizes[rows.start : rows.stop]
        return some

    @overload  # type: ignore[override]
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: NDArray[np.int64]) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> Images: ...
    def __getitem__(self, index: int | slice | NDArray[np.int64]) -> Images:
        """Read one image (a view of an array in memory) or several (a copy).

        With letterboxed images, an int gives an image without padding, a slice a list of such
        images, and an array of indices the padded ones as one array.
        """
        if self.sizes is None or isinstance(index, np.ndarray):
            return self.pixels[self.rows[index]]
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        height, width = self.sizes[index]
        return self.window(index, 0, height, 0, width)

    def window(self, index: int, top: int, bottom: int, left: int, right: int) -> Image:
        """Read a part of an image, (bottom - top, right - left, C), no more than necessary."""
        row = self.rows[index]
        if isinstance(self.pixels, CachedPixels):
            return self.pixels.window(row, top, bottom, left, right)
        return self.pixels[row, top:bottom, left:right]


class ImageOnDisk:
    """An image of a Subset, of which only the windows are read that it is indexed by.

    Args:
        images: The images.
        index: Which of them.
    """

    def __init__(self, images: Subset, index: int):
        self.images, self.index = images, index

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        sizes, (_, *shape) = self.images.sizes, self.images.shape
        return tuple(shape) if sizes is None else (*sizes[self.index].tolist(), shape[-1])

    def __getitem__(self, window: tuple[slice, slice]) -> Image:
        (top, bottom, _), (left, right, _) = (
            part.indices(side) for part, side in zip(window, self.shape, strict=False)
        )
        return self.images.window(self.index, top, bottom, left, right)


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

    def part(self, rows: range) -> Self:
        """Some of the tiles; nothing is read."""
        some = super().part(rows)
        some.corners = self.corners[rows.start : rows.stop]
        return some

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.ndarray):
            return np.stack([self.window(row, 0, self.side, 0, self.side) for row in index])
        return super().__getitem__(index)

    def window(self, index: int, top: int, bottom: int, left: int, right: int) -> Image:
        """Read a part of a tile; see `Subset.window`."""
        x, y = self.corners[index]
        return super().window(index, y + top, y + bottom, x + left, x + right)


ImageArray = NDArray[np.uint8] | Subset
"""(N, S, S, C) uint8: in memory, or read from a file row by row."""


def part(images: Any, rows: range) -> Any:
    """Some of the images, or of another sequence, read when they are indexed."""
    return images.part(rows) if isinstance(images, Subset) else images[rows.start : rows.stop]
