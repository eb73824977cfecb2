"""Pictures whose pixels are answers. They are read as they are stored, neither scaled nor laid over white."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.images import loaded, upright
from foveate.errors import BadImage


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The pixels of a label picture as its file has them.

    values: (H, W) int32; of a picture in colour 65536 R + 256 G + B
    in_colour: whether they are colours
    palette: (M, 3) uint8 where the values are indices of a palette, else None
    """

    values: NDArray[np.int32]
    in_colour: bool = False
    palette: NDArray[np.uint8] | None = None


def stored(path: Path) -> Stored:
    """The pixels of a label picture: grey of 8 or 16 bits, the indices of a palette, or RGB; upright.

    Black and white of one bit are 0 and 255, as in the same picture at 8 bits. Transparency is not looked at.
    Raises BadImage, with the file and the reason, for whatever is no such picture.
    """
    return loaded(path, _stored)


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """The pixels of a label picture, each as its file has it; see `annotations.Pixels`."""

    path: Path

    def read(self) -> NDArray[np.int32]:
        return stored(self.path).values


def distinct(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """The values that occur, each once, in order."""
    flat = values.ravel()
    # Of each run one is enough, and label pictures are made of runs: less to sort.
    return np.unique(flat[np.append(flat[1:] != flat[:-1], True)]) if flat.size else flat


def colour_code(red: int, green: int, blue: int) -> int:
    """A colour as one number, see `Stored`."""
    return red << 16 | green << 8 | blue


def rgb(code: int) -> tuple[int, int, int]:
    """The inverse of `colour_code`."""
    return code >> 16, code >> 8 & 255, code & 255


def _stored(image: PIL.Image.Image) -> Stored:
    mode = image.mode
    if mode in ("RGB", "RGBA"):
        bands = np.asarray(image).astype(np.int32)
        codes = bands[..., 0] << 16 | bands[..., 1] << 8 | bands[..., 2]
        return Stored(upright(codes, image), in_colour=True)
    if mode not in ("1", "L", "LA", "P", "PA") and not mode.startswith("I"):
        raise BadImage(
            f"a label picture in grey, with a palette or in RGB is expected, got one in {mode}"
        )
    one_band = (
        image.convert("L")
        if mode == "1"
        else image.getchannel(0)
        if mode in ("LA", "PA")
        else image
    )
    values = np.asarray(one_band)
    if (
        values.dtype.itemsize > 2
        and values.size
        and not (values.min() >= 0 and values.max() <= 65535)
    ):
        raise BadImage(f"values from 0 to 65535 are expected, got {values.min()} to {values.max()}")
    palette = (
        np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode in ("P", "PA") else None
    )
    return Stored(upright(values.astype(np.int32), image), palette=palette)
