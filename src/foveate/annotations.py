"""The answers that a vision problem can have. Truth and prediction are the same type; truth has no scores.

All places are in pixels of the original picture: x to the right, y down, counted between pixels, so that the whole picture
is the box (0, 0, width, height). What a person drew is held as it was drawn, even where it is wrong (a box outside
the picture): the audit finds that, and says it. Only what has no meaning at all is refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FoveateError
from foveate.ops import polygons, rle

IGNORE = -1
"""The class of pixels that nobody labelled: they are neither learnt nor scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """What is in a picture: one class out of K.

    index: the class, from 0 to K-1
    scores: (K,) float64 probabilities that sum to 1, or None for a truth
    """

    index: int
    scores: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.index < 0:
            raise FoveateError(f"a class index is expected to be 0 or more, got {self.index}")
        if self.scores is None:
            return
        if self.scores.ndim != 1 or self.index >= len(self.scores):
            raise FoveateError(
                f"scores of shape (K,) with K > {self.index} are expected, got {self.scores.shape}"
            )
        if not (np.isfinite(self.scores).all() and abs(float(self.scores.sum()) - 1) < 1e-3):
            raise FoveateError("scores are expected to be finite and to sum to 1")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Label):
            return NotImplemented
        if (self.scores is None) != (other.scores is None):
            return False
        return self.index == other.index and (
            self.scores is None or np.array_equal(self.scores, other.scores)
        )  # type: ignore[arg-type]

    def present(self) -> tuple[int, ...]:
        """The classes in this answer, each once, in order."""
        return (self.index,)


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Where things are: N boxes.

    corners: (N, 4) float64: left, top, right, bottom
    classes: (N,) int64, each from 0 to K-1
    scores: (N,) float64 from 0 to 1, or None for a truth
    crowd: (N,) bool: a region of many things at once, neither demanded nor punished (COCO's iscrowd)
    difficult: (N,) bool: not demanded either (Pascal VOC)
    size: height and width of the picture they were drawn on, or None where the data does not say
    """

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    crowd: NDArray[np.bool_] = None  # type: ignore[assignment]
    difficult: NDArray[np.bool_] = None  # type: ignore[assignment]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        corners = np.asarray(self.corners, np.float64).reshape(-1, 4)
        count = len(corners)
        columns = {
            "corners": corners,
            "classes": np.asarray(self.classes, np.int64),
            "crowd": np.zeros(count, bool) if self.crowd is None else np.asarray(self.crowd, bool),
            "difficult": np.zeros(count, bool)
            if self.difficult is None
            else np.asarray(self.difficult, bool),
        }
        if self.scores is not None:
            columns["scores"] = np.asarray(self.scores, np.float64)
        for name, column in columns.items():
            if len(column) != count or column.ndim != (2 if name == "corners" else 1):
                raise FoveateError(
                    f"{name} of {count} boxes are expected, got the shape {column.shape}"
                )
            if not np.isfinite(column).all():
                raise FoveateError(f"{name} of boxes are expected to be finite numbers")
            object.__setattr__(self, name, column)
        if count and self.classes.min() < 0:
            raise FoveateError(
                f"class indices are expected to be 0 or more, got {self.classes.min()}"
            )

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Boxes:
        """Some of the boxes."""
        scores = None if self.scores is None else self.scores[rows]
        return Boxes(
            self.corners[rows],
            self.classes[rows],
            scores,
            self.crowd[rows],
            self.difficult[rows],
            self.size,
        )

    @classmethod
    def joined(cls, parts: Sequence[Boxes], size: tuple[int, int] | None) -> Boxes:
        """The boxes of some truths as those of one picture."""
        names = ("corners", "classes", "crowd", "difficult")
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
            size=size,
        )

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """(N,) bool: what is neither demanded nor punished."""
        return self.crowd | self.difficult

    def present(self) -> tuple[int, ...]:
        """The classes in this answer, each once, in order."""
        return tuple(np.unique(self.classes).tolist())


class Shape(Protocol):
    """The pixels of one thing."""

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool for a picture of this height and width. Raises FoveateError if the shape is of another size."""
        ...

    def places(self, size: tuple[int, int]) -> NDArray[np.int64]:
        """(M,) row * W + column of its pixels, in any order: what `mask` tells, in little memory for a small thing."""
        ...

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom; all zero where there is no pixel."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """One or more outlines of one thing, each (M, 2) float64 with M of 3 or more: x and y of its corners."""

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

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        return polygons.fill(self.outlines, size)

    def places(self, size: tuple[int, int]) -> NDArray[np.int64]:
        return np.flatnonzero(self.mask(size))

    def bounds(self) -> tuple[float, float, float, float]:
        return polygons.bounds(self.outlines)


@dataclass(frozen=True, slots=True, eq=False)
class RunLengths:
    """A mask as COCO's run lengths: see `ops.rle`. counts: (R,) int64 that fill `size`, (height, width)."""

    counts: NDArray[np.int64]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "counts", rle.checked(self.counts, self.size))
        except ValueError as error:
            raise FoveateError(str(error)) from None

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        _same_size(self.size, size)
        return rle.decode(self.counts, self.size)

    def places(self, size: tuple[int, int]) -> NDArray[np.int64]:
        _same_size(self.size, size)
        return rle.places(self.counts, self.size)

    def bounds(self) -> tuple[float, float, float, float]:
        return rle.bounds(self.counts, self.size)


class Pixels(Protocol):
    """Where the pixels of a mask come from. Reading is lazy, so that a set larger than memory can be held."""

    def read(self) -> NDArray[np.int32]:
        """(H, W) int32. Raises BadImage if that cannot be done."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayPixels:
    """Pixels that lie in memory."""

    values: NDArray[np.int32]

    def read(self) -> NDArray[np.int32]:
        return self.values


@dataclass(frozen=True, slots=True, eq=False)
class MaskFileShape:
    """A mask of its own for one thing: every pixel that is not 0 belongs to it. path: its file, where it has one."""

    pixels: Pixels
    path: Path | None = None

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        mask = self.pixels.read() != 0
        _same_size(mask.shape, size, self.path)
        return mask

    def places(self, size: tuple[int, int]) -> NDArray[np.int64]:
        return np.flatnonzero(self.mask(size))

    def bounds(self) -> tuple[float, float, float, float]:
        return mask_bounds(self.pixels.read() != 0)


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """Which pixels each thing has: N boxes, and a shape for each (or None where only its box was drawn)."""

    boxes: Boxes
    shapes: tuple[Shape | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", tuple(self.shapes))
        if len(self.shapes) != len(self.boxes):
            raise FoveateError(
                f"{len(self.boxes)} shapes are expected, one a box, got {len(self.shapes)}"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Instances:
        """Some of the things."""
        chosen = np.arange(len(self))[rows]
        return Instances(self.boxes[rows], tuple(self.shapes[row] for row in chosen))

    def present(self) -> tuple[int, ...]:
        """The classes in this answer, each once, in order."""
        return self.boxes.present()

    def masks(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(N, H, W) bool for a picture of this height and width. A thing without a shape fills its box."""
        masks = np.zeros((len(self), *size), bool)
        for mask, shape, (rows, columns) in zip(
            masks, self.shapes, self._filled(size), strict=True
        ):
            if shape is not None:
                mask[:] = shape.mask(size)
            else:
                mask[rows, columns] = True
        return masks

    def places(self, size: tuple[int, int]) -> list[NDArray[np.int64]]:
        """The same as row * W + column of each thing's pixels, in any order: see `Shape.places`."""
        return [
            (np.arange(size[0])[rows, None] * size[1] + np.arange(size[1])[columns]).ravel()
            if shape is None
            else shape.places(size)
            for shape, (rows, columns) in zip(self.shapes, self._filled(size), strict=True)
        ]

    def _filled(self, size: tuple[int, int]) -> list[tuple[slice, slice]]:
        """Rows and columns of each box."""
        whole = np.clip(np.rint(self.boxes.corners), 0, [size[1], size[0]] * 2).astype(int).tolist()
        return [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in whole]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Which class each pixel has: (H, W) int32 from 0 to K-1, or IGNORE.

    pixels: where they come from; path: the file, where there is one
    classes: the classes that occur, where the reader has seen them already
    """

    pixels: Pixels
    path: Path | None = None
    classes: tuple[int, ...] | None = None

    @classmethod
    def of(cls, values: NDArray[np.integer]) -> Mask:
        """A mask in memory."""
        if values.ndim != 2:
            raise FoveateError(f"a mask of shape (H, W) is expected, got {values.shape}")
        return cls(ArrayPixels(values.astype(np.int32)))

    def present(self) -> tuple[int, ...]:
        """The classes in this answer, each once, in order."""
        if self.classes is not None:
            return self.classes
        return tuple(value for value in np.unique(self.pixels.read()).tolist() if value >= 0)


@dataclass(frozen=True, slots=True)
class Captions:
    """What a picture shows, in words: one wording or several."""

    texts: tuple[str, ...]

    def present(self) -> tuple[int, ...]:
        """Words belong to no class."""
        return ()


def boxes_of(target: Any) -> Boxes:
    """The boxes of a truth of "detection" or "instance"."""
    return target.boxes if isinstance(target, Instances) else target


Annotation = Label | Boxes | Instances | Mask | Captions

KINDS: dict[str, type] = {
    "classification": Label,
    "detection": Boxes,
    "instance": Instances,
    "semantic": Mask,
    "promptable": Instances,
    "text_to_image": Captions,
}
"""What the truth of each task is."""


def mask_bounds(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """The smallest box around the pixels of an (H, W) mask; all zero where there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _same_size(own: Sequence[int], asked: tuple[int, int], where: Path | None = None) -> None:
    if tuple(own) != tuple(asked):
        raise FoveateError(
            f"a mask of {asked[1]} x {asked[0]} pixels is expected, as its picture has, got {own[1]} x {own[0]}",
            where=where,
        )
