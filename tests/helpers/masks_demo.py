"""The images of `boxes_demo` with masks in place of boxes, for the tests of whole runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from foveate import formats
from foveate.annotations import IGNORE, Boxes, Instances, Polygon
from foveate.data.dataset import ArraySource, Dataset, Sample
from helpers import boxes_demo

CLASSES = ("ground", "square", "bar")
VALUES = (3, 90, 200)
"""Of the classes in label images: a palette with holes."""
COLOURS = ((10, 20, 30), (230, 40, 40), (30, 60, 230))
VOID = 255

Shapes = Sequence[tuple[int, int]]
"""(height, width) of the images, which take turns."""
SQUARE: Shapes = ((48, 48),)
Change = Callable[[int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""(row, image, classes) -> what is written of them; of None nothing."""


def made(count: int, seed: int = 0, shapes: Shapes = boxes_demo.SHAPES) -> list:
    """(image, boxes) of `count` images."""
    rng = np.random.default_rng(seed)
    return [boxes_demo.make_image(rng, shapes[row % len(shapes)], row) for row in range(count)]


def classes_of(boxes: Boxes) -> np.ndarray:
    """(H, W) classes: 0 where nothing is; a corner that nobody labelled."""
    values = np.zeros(boxes.size, np.int32)
    for (left, top, right, bottom), k in zip(boxes.corners.astype(int), boxes.classes, strict=True):
        values[top:bottom, left:right] = 1 + k
    values[-3:, -3:] = IGNORE
    return values


def write_pairs(
    path: Path,
    count: int,
    *,
    shapes: Shapes = boxes_demo.SHAPES,
    splits: Sequence[str] = (),
    change: Change = lambda _, *both: both,
    grey16: bool = False,
) -> Path:
    """images/, masks/ and classes.csv. parts: of each image, where the folders say so; grey16: 16
    bits a pixel."""
    path.mkdir()
    table = [
        "value,name,r,g,b",
        *(
            f"{v},{n},{r},{g},{b}"
            for v, n, (r, g, b) in zip(VALUES, CLASSES, COLOURS, strict=False)
        ),
    ]
    (path / "classes.csv").write_text("\n".join([*table, f"{VOID},ignore,,,"]) + "\n")
    look_up = np.array([*VALUES, VOID], np.uint8)  # IGNORE is -1, the last
    for row, (pixels, boxes) in enumerate(made(count, shapes=shapes)):
        pixels, classes = change(row, pixels, classes_of(boxes))
        folder = path / splits[row] if splits else path
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if grey16:
            pixels = pixels[..., 0].astype(np.uint16) * 257
        Image.fromarray(pixels).save(folder / "images" / f"{row:03}.png")
        if classes is not None:
            values = (
                look_up[classes] if classes.dtype == np.int32 else classes
            )  # others are written as they are
            Image.fromarray(values).save(folder / "masks" / f"{row:03}.png")
    return path


def instances(count: int, shapes: Shapes = boxes_demo.SHAPES) -> Dataset[Instances]:
    """Outlines of two classes. In every second image a small triangle, of the bars' class, overlaps
    the first object."""
    samples = []
    for row, (pixels, boxes) in enumerate(made(count, shapes=shapes)):
        outlines = [
            np.array([(a, b), (c, b), (c, d), (a, d)], float) for a, b, c, d in boxes.corners
        ]
        classes = boxes.classes.tolist()
        if row % 2 and len(boxes):
            left, top = boxes.corners[0, :2]
            outlines.append(
                np.array([(left + 2, top + 2), (left + 7, top + 2), (left + 2, top + 9)])
            )
            classes.append(1)
        shapes = [Polygon((outline,)) for outline in outlines]
        bounds = np.array([shape.bounds() for shape in shapes]).reshape(-1, 4)
        target = Instances(Boxes(bounds, np.array(classes, int), size=boxes.size), shapes)
        samples.append(Sample(f"{row:03}.png", ArraySource(pixels[None], 0), target))
    return Dataset("things", "instance", CLASSES[1:], samples)


def write_coco(path: Path, count: int, *, shapes: Shapes = boxes_demo.SHAPES) -> Path:
    formats.find_writer("coco").write(instances(count, shapes), path)
    return path


def write_cells(
    path: Path,
    count: int,
    *,
    shapes: Shapes = boxes_demo.SHAPES,
    change: Callable[[int, list[np.ndarray]], list[np.ndarray]] = lambda _, masks: masks,
) -> Path:
    """A folder an image, a mask an object. change: (row, masks of an image's objects) -> what is
    written of them."""
    path.mkdir()
    for row, (pixels, boxes) in enumerate(made(count, shapes=shapes)):
        folder = path / f"{row:03}"
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "images" / f"{row:03}.png")
        masks = [np.zeros(boxes.size, bool) for _ in boxes.corners]
        for mask, (left, top, right, bottom) in zip(masks, boxes.corners.astype(int), strict=True):
            mask[top:bottom, left:right] = True
        for number, mask in enumerate(change(row, masks), 1):
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{number}.png")
    return path
