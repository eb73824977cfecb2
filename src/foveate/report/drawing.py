"""Draw boxes, masks and captions into images, in colours that tell classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

CLASS_COLOURS: tuple[Colour, ...] = (
    (230, 75, 53), (0, 135, 230), (0, 160, 110), (245, 170, 0), (150, 80, 200), (230, 90, 170),
    (110, 110, 30), (0, 170, 190), (140, 70, 30), (90, 90, 220),
)  # fmt: skip
"""Distinct on light and dark images; further classes repeat them."""
TARGET_COLOUR: Colour = (255, 255, 255)
"""The colour of a target box beside predicted ones; it gets a dark edge."""
MIN_SIDE = 320
"""Smaller images are enlarged towards this many pixels, so that boxes and names are legible."""
MAX_CAPTIONED_BOXES = 200
"""With more boxes in an image, captions would hide the objects and are left out."""
MAX_GRID_CELL_SIDE = 400
"""Pixels of the longer side of each image in a grid."""
OPACITY = 0.3
"""The opacity of a class's colour over the image, which stays visible; edges say the class."""


def class_colour(index: int) -> Colour:
    """The colour of a class."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn an image of shape (H, W, C) into (H, W, 3).

    One or two channels give grey; of more than three, the first three are shown.
    """
    return np.repeat(image[..., :1], 3, 2) if image.shape[2] < 3 else image[..., :3]


def enlarge_small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy an image, repeating its pixels a whole number of times while it fits in MIN_SIDE."""
    factor = max(1, MIN_SIDE // max(image.shape[:2]))
    return image.repeat(factor, 0).repeat(factor, 1)


def add_caption(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Add a strip with text below an image of shape (H, W, C); the result is (H + 14, W, 3)."""
    from PIL import Image, ImageDraw

    colours = to_rgb(image)
    height, width = colours.shape[:2]
    canvas = Image.new("RGB", (width, height + 14), "white")
    canvas.paste(Image.fromarray(np.ascontiguousarray(colours)), (0, 0))
    ImageDraw.Draw(canvas).text((2, height + 1), text, fill="black")
    return np.asarray(canvas)


def tint(
    image: NDArray[np.uint8], colours: NDArray[np.uint8], where: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Blend colours with an image.

    Args:
        image: Shape (H, W, C), uint8.
        colours: The colour of each pixel, shape (H, W, 3), uint8.
        where: The pixels to tint, shape (H, W); the others stay as they are.

    Returns:
        The tinted image, shape (H, W, 3), uint8.
    """
    plain = to_rgb(image)
    mixed = (1 - OPACITY) * plain + OPACITY * colours
    return np.where(where[..., None], mixed.round().astype(np.uint8), plain)


def draw_boxes(
    image: NDArray[np.uint8],
    corners: NDArray[np.float64],
    colours: Sequence[Colour],
    captions: Sequence[str],
) -> NDArray[np.uint8]:
    """Draw boxes and their captions into a copy of an image, enlarged if it is small.

    Args:
        image: Shape (H, W, C), uint8.
        corners: Left, top, right and bottom of each box in pixels, shape (N, 4).
        colours: The colour of each box.
        captions: The caption of each box; an empty one is not drawn.

    Returns:
        An image of shape (H', W', 3), uint8.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    plain = enlarge_small(to_rgb(image))
    factor = plain.shape[0] // image.shape[0]
    canvas = Pillow.fromarray(np.ascontiguousarray(plain))
    draw = ImageDraw.Draw(canvas)
    width = max(2, round(max(canvas.size) / 300))
    font = ImageFont.load_default(max(11, round(max(canvas.size) / 45)))
    captioned = len(corners) <= MAX_CAPTIONED_BOXES
    scaled = (corners * factor).round().tolist()
    for box, colour, caption in zip(scaled, colours, captions, strict=True):
        left, top, right, bottom = (int(coordinate) for coordinate in box)
        right, bottom = max(left, right - 1), max(top, bottom - 1)
        if colour == TARGET_COLOUR:
            outside = (left - 1, top - 1, right + 1, bottom + 1)
            draw.rectangle(outside, outline=(0, 0, 0), width=width + 2)
        draw.rectangle((left, top, right, bottom), outline=colour, width=width)
        if caption and captioned:
            _draw_box_caption(draw, font, caption, colour, (left, top), canvas.size)
    return np.asarray(canvas)


def _draw_box_caption(
    draw: Any,
    font: Any,
    caption: str,
    colour: Colour,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Write a caption in a filled strip above a box, or inside it if there is no room above."""
    left, top = corner
    _, _, width, height = (round(side) for side in draw.textbbox((0, 0), caption, font=font))
    left = max(0, min(left, size[0] - width - 4))
    top = top - height - 3 if top >= height + 3 else top
    draw.rectangle((left, top, left + width + 4, top + height + 3), fill=colour)
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 150
    draw.text((left + 2, top), caption, fill=(255, 255, 255) if dark else (0, 0, 0), font=font)


def draw_class_map(
    image: NDArray[np.uint8], class_map: NDArray[np.integer], colours: Sequence[Colour]
) -> NDArray[np.uint8]:
    """Tint and outline each region in the colour of its class, and enlarge a small image.

    Args:
        image: Shape (H, W, C), uint8. A letterboxed image may be larger than the class map; its
            padding to the right and below is cut off.
        class_map: The class of each pixel, -1 for none, shape (H, W).
        colours: The colour of each class.

    Returns:
        An image of shape (H', W', 3), uint8.
    """
    image = image[: class_map.shape[0], : class_map.shape[1]]
    plain, class_map = _enlarge_both(image, class_map)
    pixel_colours = np.array(colours, np.uint8)[np.maximum(class_map, 0)]
    edges = (class_map >= 0) & edge_pixels(class_map)
    return np.where(edges[..., None], pixel_colours, tint(plain, pixel_colours, class_map >= 0))


def edge_pixels(label_map: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with another label above, below, left or right of them."""
    padded = np.pad(label_map, 1, mode="edge")
    neighbours = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    edges: NDArray[np.bool_] = np.any([other != label_map for other in neighbours], 0)
    return edges


def _enlarge_both(
    image: NDArray[np.uint8], label_map: NDArray[np.integer]
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """An image in RGB and its labels, enlarged alike if they are small."""
    plain = enlarge_small(to_rgb(image))
    factor = plain.shape[0] // image.shape[0]
    return plain, label_map.repeat(factor, 0).repeat(factor, 1)


def draw_instances(
    image: NDArray[np.uint8],
    label_map: NDArray[np.integer],
    colour_indices: NDArray[np.int64],
    *,
    edge_colour: Colour | None = None,
) -> NDArray[np.uint8]:
    """Tint and outline each instance, and enlarge a small image.

    Args:
        image: Shape (H, W, C), uint8. A letterboxed image may be larger than the label map; its
            padding to the right and below is cut off.
        label_map: The number of the instance at each pixel, from 1 on, 0 for none, shape (H, W).
        colour_indices: The index of each instance's colour, for example its class, shape (N,).
        edge_colour: Draw outlines alone, in this colour.

    Returns:
        An image of shape (H', W', 3), uint8.
    """
    image = image[: label_map.shape[0], : label_map.shape[1]]
    plain, label_map = _enlarge_both(image, label_map)
    palette = [(0, 0, 0), *(class_colour(int(index)) for index in colour_indices)]
    pixel_colours = np.array(palette, np.uint8)[label_map]
    edges = (label_map > 0) & edge_pixels(label_map)
    if edge_colour:
        return np.where(edges[..., None], np.array(edge_colour, np.uint8), plain)
    return np.where(edges[..., None], pixel_colours, tint(plain, pixel_colours, label_map > 0))


def draw_legend(names: Sequence[str], colours: Sequence[Colour], width: int) -> NDArray[np.uint8]:
    """Draw a swatch of each colour with its name on white; the result is (H, width, 3)."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    size = max(11, width // 30)  # legible in a page that shows the image at half its width
    font = ImageFont.load_default(size)
    positions, left, top = [], 4, 4
    for name in names:
        entry_width = round(font.getlength(name)) + 2 * size
        if left > 4 and left + entry_width > width:
            left, top = 4, top + round(1.5 * size)
        positions.append((left, top))
        left += entry_width + size
    canvas = Pillow.new("RGB", (width, top + round(1.5 * size)), "white")
    draw = ImageDraw.Draw(canvas)
    for name, colour, (left, top) in zip(names, colours, positions, strict=False):
        swatch = (left, top, left + size, top + size)
        draw.rectangle(swatch, fill=tuple(colour), outline=(90, 90, 90))
        draw.text((left + round(1.4 * size), top - 1), name, fill=(40, 40, 40), font=font)
    return np.asarray(canvas)


def grid_2x2(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join four images of one size, two above and two below, each reduced to MAX_GRID_CELL_SIDE."""
    step = -(-max(images[0].shape[:2]) // MAX_GRID_CELL_SIDE)
    framed = [
        np.pad(image[::step, ::step], ((0, 4), (0, 4), (0, 0)), constant_values=255)
        for image in images
    ]
    return np.concatenate([np.concatenate(framed[:2], 1), np.concatenate(framed[2:], 1)])
