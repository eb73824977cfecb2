"""Boxes drawn into pictures, in colours that tell classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (230, 75, 53), (0, 135, 230), (0, 160, 110), (245, 170, 0), (150, 80, 200), (230, 90, 170), (110, 110, 30),
    (0, 170, 190), (140, 70, 30), (90, 90, 220),
)  # fmt: skip
"""Told apart on light and dark pictures; classes beyond them begin again."""
TRUE: Colour = (255, 255, 255)
"""Of a true box beside found ones, on a dark edge."""
LEGIBLE = 320
"""Pixels of the longer side up to which pictures are enlarged, so that boxes and names can be read."""

MOST_NAMES = 200
"""Boxes in a picture beyond which captions would hide what they name."""


def colour(index: int) -> Colour:
    """Of a class."""
    return COLOURS[index % len(COLOURS)]


def boxes(
    image: NDArray[np.uint8],
    corners: NDArray[np.float64],
    colours: Sequence[Colour],
    captions: Sequence[str],
) -> NDArray[np.uint8]:
    """(H, W, C) uint8 and (N, 4) corners in its pixels -> (H', W', 3), a copy with the boxes and their captions in it,
    enlarged by a whole number where the picture is small."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    rgb = np.repeat(image[..., :1], 3, 2) if image.shape[2] < 3 else image[..., :3]
    times = max(1, LEGIBLE // max(image.shape[:2]))
    canvas = Pillow.fromarray(np.ascontiguousarray(rgb.repeat(times, 0).repeat(times, 1)))
    draw = ImageDraw.Draw(canvas)
    width = max(2, round(max(canvas.size) / 300))
    font = ImageFont.load_default(max(11, round(max(canvas.size) / 45)))
    named = len(corners) <= MOST_NAMES
    for box, ink, caption in zip((corners * times).round().tolist(), colours, captions, strict=True):
        left, top, right, bottom = (int(at) for at in box)
        right, bottom = max(left, right - 1), max(top, bottom - 1)
        if ink == TRUE:
            draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=width + 2)
        draw.rectangle((left, top, right, bottom), outline=ink, width=width)
        if caption and named:
            _name(draw, font, caption, ink, (left, top), canvas.size)
    return np.asarray(canvas)


def _name(draw: Any, font: Any, caption: str, ink: Colour, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """The caption in a filled strip above the box, or in it where there is no room."""
    left, top = corner
    _, _, width, height = (round(at) for at in draw.textbbox((0, 0), caption, font=font))
    at = max(0, min(left, size[0] - width - 4)), top - height - 3 if top >= height + 3 else top
    draw.rectangle((*at, at[0] + width + 4, at[1] + height + 3), fill=ink)
    light = 0.299 * ink[0] + 0.587 * ink[1] + 0.114 * ink[2] < 150
    draw.text((at[0] + 2, at[1]), caption, fill=(255, 255, 255) if light else (0, 0, 0), font=font)
