"""The values that Pillow holds of an image: 8 bits a channel, or more where the file has them."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.data.image_reading import DeepPixels, where_empty
from foveate.errors import BadImage

# Tags of TIFF.
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _SAMPLE_FORMAT = 258, 262, 277, 284, 339
NODATA = 42113
"""GDAL's tag of the value that stands for none."""
_LOWEST = (340, 280)  # SMinSampleValue, MinSampleValue
_HIGHEST = (341, 281)
_SIGNED, _UNSIGNED = 2, 1


def is_deep(pillow_image: PIL.Image.Image) -> bool:
    """Whether an image that is not decoded yet has more than 8 bits a channel."""
    return _is_deep_grey(pillow_image) or _is_deep_colour(pillow_image)


def deep_mode(pillow_image: PIL.Image.Image) -> str:
    """Pillow's mode of an image that is not decoded yet, with the 16 bits of colour that it drops.

    For example "I;16", "F", "RGB;16".
    """
    deep = _is_deep_colour(pillow_image)
    return f"{pillow_image.mode};16" if deep else pillow_image.mode


def deep_pixels(pillow_image: PIL.Image.Image, file: BinaryIO | None) -> DeepPixels | None:
    """Return the values of an image with more than 8 bits a channel, in the file's orientation.

    Args:
        pillow_image: The image, not decoded yet.
        file: The file that it was opened from, to read it a second time. Without it, colour has
            the 8 bits that Pillow keeps.

    Returns:
        None for an image of 8 bits.

    Raises:
        BadImage: Grey of 16 bits with transparency, of which Pillow drops a half.
    """
    if _is_deep_colour(pillow_image):
        if file is None:
            return None
        if pillow_image.mode == "LA":
            raise BadImage(
                "16 bits of grey without transparency are expected, this image has both",
                remedy="Save it without its alpha channel.",
            )
        return _deep_colour(pillow_image, file)
    if not _is_deep_grey(pillow_image):
        return None
    pillow_image.load()
    tags, values = _tags(pillow_image), _own_type(pillow_image)[..., None]
    declared, binding = _declared(pillow_image)
    empty = where_empty(values, tags.get(NODATA))
    # Pillow inverts such TIFFs at 8 bits, but not at more.
    if tags.get(_PHOTOMETRIC) == 0:
        values = inverted(values)
    return DeepPixels(values, declared, binding, empty=empty)


def inverted(values: NDArray[Any]) -> NDArray[Any]:
    """Turn values of which the largest is black into values of which the smallest is."""
    if values.dtype.kind == "f":
        return 1 - values
    # 65535 - v for unsigned and -1 - v for signed numbers.
    return ~values


def eight_bits(pillow_image: PIL.Image.Image) -> Image:
    """Convert a decoded image of 8 bits a channel to (H, W, 1 or 3) uint8."""
    if pillow_image.has_transparency_data:
        grey = pillow_image.mode in ("1", "L", "LA", "La")
        paper = PIL.Image.new("RGBA", pillow_image.size, "white")
        pillow_image = PIL.Image.alpha_composite(paper, pillow_image.convert("RGBA")).convert(
            "L" if grey else "RGB"
        )
    elif pillow_image.mode != "L" and pillow_image.mode != "RGB":
        pillow_image = pillow_image.convert("L" if pillow_image.mode == "1" else "RGB")
    image = np.array(pillow_image)
    return image[..., None] if image.ndim == 2 else image


def drops_bands(pillow_image: PIL.Image.Image) -> bool:
    """Whether a TIFF has bands that Pillow drops, or confuses as 16 bits in separate planes."""
    tags = _tags(pillow_image)
    samples = tags.get(_SAMPLES, 1)
    if samples > len(pillow_image.getbands()):  # e.g. near infrared beside RGB
        return True
    return bool(samples > 1 and tags.get(_PLANAR) == 2 and max(tags.get(_BITS, (8,))) > 8)


def _is_deep_grey(pillow_image: PIL.Image.Image) -> bool:
    return pillow_image.mode.startswith(("I", "F")) or _is_signed_byte(pillow_image)


def _is_signed_byte(pillow_image: PIL.Image.Image) -> bool:
    tags = _tags(pillow_image)
    return pillow_image.mode == "L" and tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED


def _is_deep_colour(pillow_image: PIL.Image.Image) -> bool:
    return _raw_mode(pillow_image).startswith(("RGB;16", "RGBA;16", "LA;16"))


def _raw_mode(pillow_image: PIL.Image.Image) -> str:
    """How the first tile is stored; empty for a decoded image."""
    for tile in getattr(pillow_image, "tile", ()):
        raw = tile.args[0] if isinstance(tile.args, tuple) else tile.args
        return raw if isinstance(raw, str) else ""
    return ""


def _deep_colour(pillow_image: PIL.Image.Image, file: BinaryIO) -> DeepPixels:
    """Pillow keeps the upper byte of each number: of the other byte order it is the lower one."""
    file.seek(0)
    with PIL.Image.open(file, formats=(pillow_image.format or "",)) as again:
        again.tile = [tile._replace(args=_other_byte(tile.args)) for tile in again.tile]
        lower = np.asarray(again)
    file.seek(0)
    with PIL.Image.open(file, formats=(pillow_image.format or "",)) as again:
        upper = np.asarray(again)
    values = upper[..., :3].astype(np.uint16) << 8 | lower[..., :3]
    alpha = upper[..., 3] if upper.shape[2] == 4 else None
    return DeepPixels(values, alpha=alpha)


def _other_byte(args: Any) -> Any:
    """The arguments of Pillow's decoder for the opposite byte order."""
    if isinstance(args, tuple):
        return (_other_byte(args[0]), *args[1:])
    if not args.endswith(("B", "L", "N")):
        return args
    big = args.endswith("B") or (args.endswith("N") and sys.byteorder == "big")
    return args[:-1] + ("L" if big else "B")


def _own_type(pillow_image: PIL.Image.Image) -> NDArray[Any]:
    """The (H, W) values in the machine's byte order; Pillow widens some types."""
    values = np.asarray(pillow_image)
    if pillow_image.mode == "L":
        return values.view(np.int8)
    if pillow_image.mode == "I":
        tags = _tags(pillow_image)
        if pillow_image.format != "TIFF":  # PNG, and PPM, which Pillow scales to 16 bits
            return values.astype(np.uint16) if _fits_16(values) else values
        if tags.get(_BITS) == (32,) and tags.get(_SAMPLE_FORMAT, (1,))[0] == _UNSIGNED:
            return values.view(np.uint32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _fits_16(values: NDArray[Any]) -> bool:
    return bool(values.size and values.min() >= 0 and values.max() <= 65535)


def _declared(pillow_image: PIL.Image.Image) -> tuple[tuple[float, float] | None, bool]:
    """The black and white of a TIFF's tags, and whether they hold for a file alone."""
    tags = _tags(pillow_image)
    bits = tags.get(_BITS, (0,))[0]
    if 8 < bits < 16:
        return (0, 2**bits - 1), True
    low = next((tags[tag] for tag in _LOWEST if tag in tags), 0)
    high = next((tags[tag] for tag in _HIGHEST if tag in tags), None)
    try:
        black, white = (float(_first(value)) for value in (low, high))
    except (TypeError, ValueError, LookupError, ArithmeticError):
        return None, False
    return ((black, white), False) if black < white else (None, False)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _tags(pillow_image: PIL.Image.Image) -> Any:
    return cast(Any, pillow_image).tag_v2 if pillow_image.format == "TIFF" else {}
