"""How image files with more than 8 bits a channel, or with several pages, are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from foveate.errors import BadImage, SettingError
from foveate.ops.orientation import turn_pixels

if TYPE_CHECKING:
    from foveate.settings import Settings

Pages = Literal["first", "max", "bands"]
"""What is made of the pages of a file: the first one, their maximum, or a band of each."""

# Pillow's limit, a quarter of a gibibyte at 24 bits; Pillow only warns of it.
MAX_PIXELS = 89_478_485
"""Pixels that an image may have, unless more are allowed: a small file can unpack to fill the
memory."""

POINTS_REMEDY = (
    "Say which values are black and white, for example 12 bits: --set black=0 --set white=4095 "
    "(a run keeps those that it was trained with)."
)
_FULL_16 = 65535
# A file of 16 bits that stays below may hold 14 bits or fewer: read as 16, it would be dark.
_AMBIGUOUS_16 = 16383


@dataclass(frozen=True, slots=True)
class ImageReading:
    """How files are read. The same for all images of a dataset, and kept by the run.

    Attributes:
        black: The value that becomes 0 in images with more than 8 bits a channel; None if no such
            image was measured, see `data.depth`.
        white: The value that becomes 255 in them. Values outside of black and white are clipped.
        pages: What is made of several pages; None: the first one, and the audit says so.
        max_pixels: Largest number of pixels that an image may have.

    Raises:
        SettingError: Black is not below white.
    """

    black: float | None = None
    white: float | None = None
    pages: Pages | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.black is not None and self.white is not None and not self.black < self.white:
            raise SettingError(
                f"a black below white is expected, got {self.black:g} and {self.white:g}",
                where="black and white",
            )

    @classmethod
    def of(cls, settings: Settings) -> ImageReading:
        """How the image files of a run with these settings are read."""
        return cls(settings.black, settings.white, settings.pages, settings.max_pixels)

    @property
    def points(self) -> tuple[float, float] | None:
        """Black and white; None unless both are known."""
        return None if self.black is None or self.white is None else (self.black, self.white)


DEFAULT_READING = ImageReading()
"""The reading of files about which nothing is known."""


@dataclass(frozen=True, slots=True, eq=False)
class DeepPixels:
    """The pixels of an image with more than 8 bits a channel, as stored, larger is brighter.

    Attributes:
        values: (H, W, C) of whole numbers or floats.
        declared: The black and the white that the file itself states, or None.
        binding: Whether these hold for a file alone: how many of its bits are used, or the window
            of a medical image. Otherwise they may be its own smallest and largest value.
        alpha: (H, W) uint8 opacity, or None.
        empty: (H, W, C) bool, where the file says that there is no value; these pixels are black,
            and do not count. None: nowhere.
    """

    values: NDArray[Any]
    declared: tuple[float, float] | None = None
    binding: bool = False
    alpha: NDArray[np.uint8] | None = None
    empty: NDArray[np.bool_] | None = None

    @property
    def known(self) -> NDArray[Any]:
        """The values that count: all, (H, W, C), or (M,) of them."""
        return self.values if self.empty is None else self.values[~self.empty]

    def turned(self, orientation: int) -> DeepPixels:
        """The same pixels, turned upright from an EXIF orientation."""
        values = turn_pixels(self.values, orientation)
        alpha = None if self.alpha is None else turn_pixels(self.alpha, orientation)
        empty = None if self.empty is None else turn_pixels(self.empty, orientation)
        return replace(self, values=values, alpha=alpha, empty=empty)

    def levels(self, points: tuple[float, float] | None) -> NDArray[np.uint8]:
        """Scale the values to 8 bits.

        Args:
            points: Black and white; None: those that the file states, or else those of its type,
                0 and 65535 for whole numbers, 0 and 1 for floats.

        Returns:
            (H, W, C) uint8; transparent pixels over white.

        Raises:
            BadImage: Some values are no numbers, or no points are given and these values do not
                tell what is black and what is white.
        """
        values = self.values
        if self.empty is not None:
            known = self.known
            values = np.where(self.empty, known.min() if known.size else 0, values)
        levels = to_levels(values, *(points or self._own_points()))
        if self.empty is not None:
            levels[self.empty] = 0
        if self.alpha is None:
            return levels
        opaque = self.alpha[..., None].astype(np.float32) / 255
        return np.rint(levels * opaque + 255 * (1 - opaque)).astype(np.uint8)

    def _own_points(self) -> tuple[float, float]:
        if self.binding and self.declared is not None:
            return self.declared
        white = 1 if self.values.dtype.kind == "f" else _FULL_16
        known = self.known
        if not known.size:
            return 0, white
        low, high = known.min(), known.max()
        if not (low >= 0 and high <= white):  # written so that NaN is refused too
            raise BadImage(
                f"grey values from 0 to {white} are expected, got {low:g} to {high:g} "
                "(--set black=NUMBER --set white=NUMBER allows others)",
                remedy=POINTS_REMEDY,
            )
        if white == _FULL_16 and 0 < high <= _AMBIGUOUS_16:
            raise BadImage(
                f"values up to {white:,} are expected of 16 bits, got at most {high:,}: the image "
                f"may hold {max(8, int(high).bit_length())} bits, or be dark "
                "(--set black=NUMBER --set white=NUMBER says which)",
                remedy=POINTS_REMEDY,
            )
        return 0, white


def where_empty(values: NDArray[Any], text: object) -> NDArray[np.bool_] | None:
    """Find the pixels without a value.

    Args:
        values: Of an image.
        text: The value that stands for none, as the tag GDAL_NODATA of a TIFF has it; or None.

    Returns:
        bool of the same shape; None if there are none.
    """
    try:
        value = float(str(text).strip(" \0"))
    except ValueError:
        return None
    # As the type of the pixels has it: -3.4028234663852886e+38 is written in fewer digits.
    if values.dtype.kind == "f":
        empty = np.isnan(values) if np.isnan(value) else values == values.dtype.type(value)
    else:
        empty = values == value
    return empty if empty.any() else None


def to_levels(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Scale values from black..white to 0..255; those outside are clipped.

    Args:
        values: Of any shape, whole numbers or floats.
        black: The value that becomes 0.
        white: The value that becomes 255, above `black`.

    Returns:
        uint8 of the same shape.

    Raises:
        BadImage: Some values are no numbers (NaN or infinite).
    """
    if values.dtype == np.uint16:
        looked_up: NDArray[np.uint8] = _table(float(black), float(white))[values]
        return looked_up
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise BadImage(
                f"numbers are expected, {count:,} of {values.size:,} values are none "
                "(NaN or infinite)",
                remedy="Give these pixels a value, for example that of black, and save again.",
            )
    else:
        values = values.astype(np.float64)
    return _scaled(values, black, white)


@lru_cache(maxsize=8)
def _table(black: float, white: float) -> NDArray[np.uint8]:
    """The level of each value of 16 bits: looking up is ten times as fast as computing."""
    return _scaled(np.arange(_FULL_16 + 1, dtype=np.float64), black, white)


def _scaled(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    with np.errstate(over="ignore"):  # infinity is clipped like other large values
        levels = (values - black) * (255 / (white - black))
    result: NDArray[np.uint8] = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    return result
