"""Boxes and masks drawn into pictures, in colours that tell classes apart."""

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


SQUARED = 400
"""Pixels a side of each of four pictures in one, at most."""


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
    enlarged by a whole number where the picture is small.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    plain = legible(rgb(image))
    times = plain.shape[0] // image.shape[0]
    canvas = Pillow.fromarray(np.ascontiguousarray(plain))
    draw = ImageDraw.Draw(canvas)
    width = max(2, round(max(canvas.size) / 300))
    font = ImageFont.load_default(max(11, round(max(canvas.size) / 45)))
    named = len(corners) <= MOST_NAMES
    for box, ink, caption in zip(
        (corners * times).round().tolist(), colours, captions, strict=True
    ):
        left, top, right, bottom = (int(at) for at in box)
        right, bottom = max(left, right - 1), max(top, bottom - 1)
        if ink == TRUE:
            draw.rectangle(
                (left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=width + 2
            )
        draw.rectangle((left, top, right, bottom), outline=ink, width=width)
        if caption and named:
            _name(draw, font, caption, ink, (left, top), canvas.size)
    return np.asarray(canvas)


def _name(
    draw: Any, font: Any, caption: str, ink: Colour, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """The caption in a filled strip above the box, or in it where there is no room."""
    left, top = corner
    _, _, width, height = (round(at) for at in draw.textbbox((0, 0), caption, font=font))
    at = max(0, min(left, size[0] - width - 4)), top - height - 3 if top >= height + 3 else top
    draw.rectangle((*at, at[0] + width + 4, at[1] + height + 3), fill=ink)
    light = 0.299 * ink[0] + 0.587 * ink[1] + 0.114 * ink[2] < 150
    draw.text((at[0] + 2, at[1]), caption, fill=(255, 255, 255) if light else (0, 0, 0), font=font)


OPACITY = 0.55
"""Of a class's colour over the picture."""


def rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C) uint8 -> (H, W, 3): grey as grey, of more bands the first three."""
    return np.repeat(image[..., :1], 3, 2) if image.shape[2] < 3 else image[..., :3]


def captioned(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A copy with a strip under it that has the text in it, (H + 14, W, 3)."""
    from PIL import Image, ImageDraw

    colours = rgb(image)
    height, width = colours.shape[:2]
    canvas = Image.new("RGB", (width, height + 14), "white")
    canvas.paste(Image.fromarray(np.ascontiguousarray(colours)), (0, 0))
    ImageDraw.Draw(canvas).text((2, height + 1), text, fill="black")
    return np.asarray(canvas)


def legible(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarged by a whole number where it is small; a copy."""
    times = max(1, LEGIBLE // max(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1)


def painted(
    image: NDArray[np.uint8], ink: NDArray[np.uint8], where: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """(H, W, C) -> (H, W, 3): ink, (H, W, 3), over the picture's grey where it is to be, and the picture as it is elsewhere."""
    plain = rgb(image)
    grey = plain.mean(2, keepdims=True)
    mixed = (1 - OPACITY) * grey + OPACITY * ink
    return np.where(where[..., None], mixed.round().astype(np.uint8), plain)


def classes(
    image: NDArray[np.uint8], values: NDArray[np.integer], colours: Sequence[Colour]
) -> NDArray[np.uint8]:
    """(H, W, C) and (H, W) classes, -1 where there is none -> (H', W', 3), each class in its colour, enlarged where small.
    A letterbox is shown without its padding: what lies at its top left, as large as its classes.
    """
    image = image[: values.shape[0], : values.shape[1]]
    ink = np.array(colours, np.uint8)[np.maximum(values, 0)]
    return legible(painted(image, ink, values >= 0))


def instances(
    image: NDArray[np.uint8],
    ids: NDArray[np.integer],
    kinds: NDArray[np.int64],
    *,
    ink: Colour | None = None,
) -> NDArray[np.uint8]:
    """(H, W, C) and (H, W) numbers of things from 1 on -> (H', W', 3), each tinted and edged in the colour of its kind, (N,), or
    edged alone, in one ink; enlarged where small.
    """
    image = image[: ids.shape[0], : ids.shape[1]]  # without the padding of a letterbox
    plain = legible(rgb(image))
    times = plain.shape[0] // image.shape[0]
    ids = ids.repeat(times, 0).repeat(times, 1)
    colours = np.array([(0, 0, 0), *(colour(int(k)) for k in kinds)], np.uint8)[ids]
    padded = np.pad(ids, 1, mode="edge")
    around = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    edges = (ids > 0) & np.any([other != ids for other in around], 0)
    tinted = plain if ink else painted(plain, colours, ids > 0)
    return np.where(edges[..., None], np.array(ink, np.uint8) if ink else colours, tinted)


def legend(names: Sequence[str], colours: Sequence[Colour], width: int) -> NDArray[np.uint8]:
    """(H, width, 3) on white: a swatch of each colour with its name."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    size = max(11, width // 45)
    font = ImageFont.load_default(size)
    places, across, down = [], 4, 4
    for name in names:
        wide = round(font.getlength(name)) + 2 * size
        if across > 4 and across + wide > width:
            across, down = 4, down + round(1.5 * size)
        places.append((across, down))
        across += wide + size
    canvas = Pillow.new("RGB", (width, down + round(1.5 * size)), "white")
    draw = ImageDraw.Draw(canvas)
    for name, ink, (left, top) in zip(names, colours, places, strict=False):
        draw.rectangle((left, top, left + size, top + size), fill=tuple(ink), outline=(90, 90, 90))
        draw.text((left + round(1.4 * size), top - 1), name, fill=(40, 40, 40), font=font)
    return np.asarray(canvas)


def squared(views: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Four pictures of one size, at most SQUARED pixels a side each, as one: two above, two below."""
    step = -(-max(views[0].shape[:2]) // SQUARED)
    frame = [
        np.pad(view[::step, ::step], ((0, 4), (0, 4), (0, 0)), constant_values=255)
        for view in views
    ]
    return np.concatenate([np.concatenate(frame[:2], 1), np.concatenate(frame[2:], 1)])
