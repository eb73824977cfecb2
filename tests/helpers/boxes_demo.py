"""A small set of images with a red square and a blue bar each, for the tests of whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foveate import formats
from foveate.annotations import Boxes
from foveate.data.dataset import ArraySource, Dataset, Sample

THINGS = ((14, 14, (230, 40, 40)), (20, 8, (30, 60, 230)))
SHAPES = ((48, 48), (45, 60), (64, 40))


def make_image(
    rng: np.random.Generator, shape: tuple[int, int], row: int
) -> tuple[np.ndarray, Boxes]:
    """Every fifth image is without a square, every fifth without a bar."""
    pixels = rng.integers(90, 130, (*shape, 3), dtype=np.uint8)
    corners, classes = [], []
    for k, (high, wide, colour) in enumerate(THINGS):
        if row % 5 == 3 + k:
            continue
        half = shape[1] // 2
        left, top = (
            half * (k ^ row % 2) + int(rng.integers(half - wide + 1)),
            int(rng.integers(shape[0] - high + 1)),
        )
        pixels[top : top + high, left : left + wide] = colour
        corners.append((left, top, left + wide, top + high))
        classes.append(k)
    return pixels, Boxes(np.array(corners, float), np.array(classes, int), size=shape)


def dataset(count: int, seed: int = 0) -> Dataset[Boxes]:
    rng = np.random.default_rng(seed)
    made = [make_image(rng, SHAPES[row % 3], row) for row in range(count)]
    samples = [
        Sample(f"{row:03}.png", ArraySource(pixels[None], 0), target)
        for row, (pixels, target) in enumerate(made)
    ]
    return Dataset("things", "detection", ("square", "bar"), samples)


def write(path: Path, count: int, seed: int = 0, format: str = "coco") -> Path:
    formats.find_writer(format).write(dataset(count, seed), path)
    return path
