"""A class for each pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Annotation, Change, Problem
from foveate.annotations.shapes import ArrayMask, MaskSource, Size, TurnedMask
from foveate.errors import FoveateError
from foveate.ops.masks import resize_nearest, smallest_dtype

IGNORE = -1
"""The class of unlabelled pixels: they are neither learnt nor scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask(Annotation):
    """The class of each pixel.

    Attributes:
        pixels: Where the (H, W) int32 classes are read from: 0 to K-1, or IGNORE.
        path: The file; None if there is none.
        classes: The classes that occur, if the reader has already seen them.
    """

    task: ClassVar[str] = "semantic"
    default_format: ClassVar[str | None] = "pairs"
    per_pixel: ClassVar[bool] = True

    pixels: MaskSource
    path: Path | None = None
    classes: tuple[int, ...] | None = None

    @classmethod
    def from_array(cls, values: NDArray[np.integer]) -> Mask:
        """(H, W) integers as a mask in memory, in as few bytes as hold them."""
        if values.ndim != 2:
            raise FoveateError(f"a mask of shape (H, W) is expected, got {values.shape}")
        return cls(ArrayMask(smallest_dtype(values)))  # type: ignore[arg-type]

    def present(self) -> tuple[int, ...]:
        """The classes that occur, each once, in ascending order."""
        if self.classes is not None:
            return self.classes
        return tuple(value for value in np.unique(self.pixels.read()).tolist() if value >= 0)

    def class_map(self) -> NDArray[np.integer]:
        """(H, W) the class of each pixel."""
        return self.pixels.read()

    @property
    def present_is_cheap(self) -> bool:
        """Whether the classes that occur are already known."""
        return self.classes is not None

    def resize(self, before: Size, after: Size) -> Mask:
        """Resize by nearest neighbour."""
        return Mask.from_array(resize_nearest(self.pixels.read(), after))

    def clip(self, size: Size, num_classes: int) -> Mask:
        """Stretch to the image's size; pixels of unknown classes become IGNORE."""
        values = self.pixels.read()
        if values.shape == size and values.max(initial=0) < num_classes:
            return self
        resized = resize_nearest(values, size)
        return Mask.from_array(np.where(resized < num_classes, resized, IGNORE))

    def fits(self, size: Size) -> bool:
        """Whether the mask has this (height, width); its file is read."""
        try:
            return self.pixels.read().shape == size
        except FoveateError:
            return False

    def turned(self, orientation: int, size: Size) -> Mask:
        """Turn the pixels."""
        return Mask(TurnedMask(self.pixels, orientation), None, self.classes)

    def problems(self, num_classes: int) -> Iterator[Problem]:
        """Unknown classes, if the reader has seen them; `image_problems` reads the pixels."""
        if self.classes is not None:
            yield from Annotation.problems(self, num_classes)

    def image_problems(self, size: Size, num_classes: int) -> Iterator[Problem]:
        """An unreadable file, another size, unknown classes, no label, or a single class."""
        try:
            values = self.pixels.read()
        except FoveateError as error:
            remedy = "Repair the file or remove it."
            yield Problem("error", "mask cannot be read", error.message, remedy)
            return
        if values.shape != size:
            height, width = values.shape
            reason = f"the mask has {width} x {height} px, the image {size[1]} x {size[0]}"
            remedy = "Make it again from this image."
            yield Problem("error", "mask of another size", reason, remedy)
        unknown = values >= num_classes
        if unknown.any():
            reason = f"{int(unknown.sum()):,} pixels have a value that is no class"
            remedy = "Add the value to classes.csv, or correct the mask."
            share = float(unknown.mean())
            yield Problem("error", "unknown class", reason, remedy, score=share)
        if not (values >= 0).any():
            remedy = "Label it or remove it."
            yield Problem("warning", "mask without a label", "no pixel is labelled", remedy)
        elif not np.any(values != values.flat[0]):
            reason = "all pixels are of one class"
            yield Problem("note", "mask of one class", reason, "Check that this is so.")

    def map_classes(self, change: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Mask:
        """With other class indices, mapped when the pixels are read; IGNORE stays."""
        classes = self.classes
        if classes is not None:
            classes = tuple(np.unique(change(np.array(classes, np.int64))).tolist())
        return Mask(_ChangedClasses(self.pixels, change), None, classes)

    def repair(self, size: Size, class_index: NDArray[np.int64]) -> tuple[Mask, list[Change]]:
        """Map the classes to their new indices; pixels of unknown classes become IGNORE."""
        count = len(class_index)
        unknown = int((self.pixels.read() >= count).sum())
        merged = count != class_index.max(initial=-1) + 1
        if not (unknown or merged):
            return self, []
        what = "pixels of an unknown class: not labelled"
        changes = [Change(what, f"{unknown:,} pixels", "ignored")] if unknown else []
        return Mask(_MappedClasses(self.pixels, class_index)), changes


@dataclass(frozen=True, slots=True)
class _ChangedClasses:
    """A mask with other class indices."""

    pixels: MaskSource
    change: Callable[[NDArray[np.int64]], NDArray[np.int64]]

    def read(self) -> NDArray[np.int32]:
        values = self.pixels.read().astype(np.int32)
        labelled = values >= 0
        values[labelled] = self.change(values[labelled].astype(np.int64))
        return values


@dataclass(frozen=True, slots=True)
class _MappedClasses:
    """A mask with other class indices, and IGNORE for classes that have none."""

    pixels: MaskSource
    index: NDArray[np.int64]

    def read(self) -> NDArray[np.int32]:
        values = self.pixels.read()
        known = (values >= 0) & (values < len(self.index))
        return np.where(known, self.index[np.where(known, values, 0)], IGNORE).astype(np.int32)
