"""The pixels of one object: as outlines, run lengths, or a number in a label map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Problem
from foveate.annotations.boxes import EDGE_TOLERANCE
from foveate.errors import FoveateError
from foveate.ops import polygons, rle
from foveate.ops.orientation import turn_pixels, turn_points

Size = tuple[int, int]
"""(height, width) in pixels."""
Bounds = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; all zero for a shape without a pixel."""


class MaskSource(Protocol):
    """Where the pixels of a mask come from. Reading is lazy: a dataset may exceed the memory."""

    def read(self) -> NDArray[np.int32]:
        """(H, W) int32. Raises BadImage if the pixels cannot be read."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayMask:
    """Pixels in memory.

    Attributes:
        values: (H, W) integers.
    """

    values: NDArray[np.int32]

    def read(self) -> NDArray[np.int32]:
        """The array itself."""
        return self.values


@dataclass(frozen=True, slots=True)
class TurnedMask:
    """The mask of an image as stored, turned upright like the image.

    Attributes:
        pixels: The mask as stored.
        orientation: EXIF orientation of the image.
    """

    pixels: MaskSource
    orientation: int

    def read(self) -> NDArray[np.int32]:
        """(H, W) int32, upright."""
        return turn_pixels(self.pixels.read(), self.orientation)


class Shape(ABC):
    """The pixels of one object.

    Attributes:
        outlines: The corners of its outlines, (M, 2) float64 x and y each; () for pixel masks.
        size: (height, width) of the mask; None for shapes that know no size before they are read.
    """

    __slots__ = ()

    outlines: tuple[NDArray[np.float64], ...]
    size: Size | None

    @abstractmethod
    def mask(self, size: Size) -> NDArray[np.bool_]:
        """(H, W) bool for an image of this size. Raises FoveateError for another size."""

    def native_mask(self) -> NDArray[np.bool_]:
        """(H, W) bool of a pixel mask at its own size."""
        assert self.size is not None, "outlines have no size"
        return self.mask(self.size)

    def pixel_indices(self, size: Size) -> NDArray[np.int64]:
        """(M,) row * W + column of its pixels, in any order: less memory than a mask."""
        return np.flatnonzero(self.mask(size))

    @abstractmethod
    def bounds(self) -> Bounds:
        """The bounding box."""

    def to_rle(self, size: Size) -> NDArray[np.int64]:
        """COCO run lengths, (R,) counts: see `ops.rle`. Raises FoveateError for another size."""
        return rle.from_indices(self.pixel_indices(size), size)

    def fits(self, size: Size) -> bool:
        """Whether the shape can belong to an image of (height, width); may read a file."""
        return self.native_mask().shape == size

    def turned(self, orientation: int, size: Size) -> Shape:
        """The shape once its image of (height, width) as stored is turned upright."""
        mask = turn_pixels(self.native_mask(), orientation)
        return RunLengths(rle.encode(mask), (mask.shape[0], mask.shape[1]))

    def problems(self, corners: NDArray[np.float64], size: Size) -> Iterator[Problem]:
        """Faults of the shape in an image of this height and width, with (4,) box corners."""
        yield from ()

    def clip(self, size: Size) -> tuple[Shape | None, bool]:
        """The shape within the image, None if no pixel is left, and whether it was changed."""
        return (None if self.bounds() == (0, 0, 0, 0) else self), False


@dataclass(frozen=True, slots=True, eq=False)
class Polygon(Shape):
    """One or more outlines of one object.

    Attributes:
        outlines: For each outline (M, 2) float64 with M of 3 or more: x and y of its corners.
    """

    size: ClassVar[None] = None  # type: ignore[misc]

    outlines: tuple[NDArray[np.float64], ...]

    def __post_init__(self) -> None:
        outlines = tuple(np.asarray(outline, np.float64) for outline in self.outlines)
        if not outlines or any(o.ndim != 2 or o.shape[1] != 2 or len(o) < 3 for o in outlines):
            raise FoveateError(
                "a polygon is expected to have three corners or more, each of x and y"
            )
        if not all(np.isfinite(outline).all() for outline in outlines):
            raise FoveateError("corners of a polygon are expected to be finite numbers")
        object.__setattr__(self, "outlines", outlines)

    def mask(self, size: Size) -> NDArray[np.bool_]:
        """(H, W) bool: the pixels whose centre lies inside."""
        return polygons.fill(self.outlines, size)

    def fits(self, size: Size) -> bool:
        """Whether no corner leaves the image."""
        left, top, right, bottom = self.bounds()
        return max(-left, -top, right - size[1], bottom - size[0]) <= EDGE_TOLERANCE

    def turned(self, orientation: int, size: Size) -> Polygon:
        """Turn the corners."""
        return Polygon(tuple(turn_points(one, orientation, size) for one in self.outlines))

    def bounds(self) -> Bounds:
        """The bounding box of the corners."""
        return polygons.bounds(self.outlines)

    def problems(self, corners: NDArray[np.float64], size: Size) -> Iterator[Problem]:
        """Crossing sides, no area, corners outside the image, a box that is not its bounds."""
        if any(polygons.is_self_intersecting(outline) for outline in self.outlines):
            reason = "its sides cross, so inside and outside swap"
            yield Problem("warning", "outline crosses itself", reason, "Draw it again.")
        elif sum(polygons.area(outline) for outline in self.outlines) < 1e-6:
            reason, remedy = "an outline with an area is expected", "Draw it again or remove it."
            yield Problem("error", "outline without area", reason, remedy)
        left, top, right, bottom = self.bounds()
        if not self.fits(size):
            reason = "it reaches beyond the image's edge"
            yield Problem("warning", "outline leaves its image", reason, "Clip it to the image.")
        tolerance = max(5.0, 0.1 * max(right - left, bottom - top))
        if np.abs(np.array(self.bounds()) - corners).max() > tolerance:
            reason = "its box does not fit its outline"
            yield Problem("warning", "box and outline differ", reason, "Trust the outline.")

    def clip(self, size: Size) -> tuple[Shape | None, bool]:
        """Clip the corners to the image if one is far outside; drop outlines without area."""
        clipped = tuple(np.clip(outline, 0, [size[1], size[0]]) for outline in self.outlines)
        moved = (
            max(np.abs(a - b).max() for a, b in zip(clipped, self.outlines, strict=True))
            > EDGE_TOLERANCE
        )
        left = tuple(o for o in (clipped if moved else self.outlines) if polygons.area(o) > 0)
        if not left:
            return None, False
        return (Polygon(left), True) if moved else (self, False)


@dataclass(frozen=True, slots=True, eq=False)
class RunLengths(Shape):
    """A mask as COCO's run lengths: see `ops.rle`.

    Attributes:
        counts: (R,) int64 lengths of runs that fill the image.
        size: (height, width) of the mask.
    """

    outlines: ClassVar[tuple[NDArray[np.float64], ...]] = ()  # type: ignore[misc]

    counts: NDArray[np.int64]
    size: Size

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "counts", rle.validated(self.counts, self.size))
        except ValueError as error:
            raise FoveateError(str(error)) from None

    def mask(self, size: Size) -> NDArray[np.bool_]:
        """(H, W) bool."""
        _check_size(self.size, size)
        return rle.decode(self.counts, self.size)

    def pixel_indices(self, size: Size) -> NDArray[np.int64]:
        """(M,) row * W + column of its pixels."""
        _check_size(self.size, size)
        return rle.to_indices(self.counts, self.size)

    def bounds(self) -> Bounds:
        """The bounding box."""
        return rle.bounds(self.counts, self.size)

    def to_rle(self, size: Size) -> NDArray[np.int64]:
        """The counts."""
        return self.counts

    def problems(self, corners: NDArray[np.float64], size: Size) -> Iterator[Problem]:
        """Another size than the image's, or no pixel."""
        if self.size != size:
            yield _other_size(self.size, size)
        elif not rle.area(self.counts):
            yield _EMPTY


@dataclass(frozen=True, slots=True, eq=False)
class LabelMapShape(Shape):
    """The pixels of one number in a label map, which numbers all objects of an image.

    Attributes:
        ids: (H, W) integers.
        number: The number of this object.
        box: The rows and columns of `ids` that hold all its pixels.
    """

    outlines: ClassVar[tuple[NDArray[np.float64], ...]] = ()  # type: ignore[misc]

    ids: NDArray[np.int32]
    number: int
    box: tuple[slice, slice]

    @property
    def size(self) -> Size:  # type: ignore[override]
        """(height, width) of the label map."""
        return self.ids.shape[0], self.ids.shape[1]

    def mask(self, size: Size) -> NDArray[np.bool_]:
        """(H, W) bool."""
        mask = np.zeros(size, bool)
        mask[self.box] = self.ids[self.box] == self.number
        return mask

    def pixel_indices(self, size: Size) -> NDArray[np.int64]:
        """(M,) row * W + column of its pixels."""
        rows, columns = self.box
        down, across = np.nonzero(self.ids[self.box] == self.number)
        indices: NDArray[np.int64] = (down + rows.start) * size[1] + across + columns.start
        return indices

    def bounds(self) -> Bounds:
        """The bounding box."""
        rows, columns = self.box
        return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)


_EMPTY = Problem(
    "error",
    "mask without a pixel",
    "a mask with a pixel is expected, this one is empty",
    "Remove it.",
)


def _other_size(got: Sequence[int], size: Size) -> Problem:
    reason = f"the mask has {got[1]} x {got[0]} px, the image {size[1]} x {size[0]}"
    return Problem("error", "mask of another size", reason, "Make it again from this image.")


def _check_size(got: Sequence[int], size: Size) -> None:
    if tuple(got) != tuple(size):
        raise FoveateError(
            f"a mask of {size[1]} x {size[0]} px is expected, as its image has, "
            f"got {got[1]} x {got[0]}"
        )
