"""Ways to damage an image, a box or a polygon, for the benchmark of the audit."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from foveate.annotations import Instances, Polygon
from foveate.data.dataset import ArraySource, Sample

# --- images


def jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50)
    return np.array(Image.open(file))


def half(image: np.ndarray) -> np.ndarray:
    return np.array(
        Image.fromarray(image).resize(
            (image.shape[1] // 2, image.shape[0] // 2), Image.Resampling.BICUBIC
        )
    )


def crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crop 5% of each side, at least a pixel, at a random place."""
    cut = [max(1, round(0.05 * side)) for side in image.shape[:2]]
    top, left = (int(rng.integers(0, c + 1)) for c in cut)
    return image[top : top + image.shape[0] - cut[0], left : left + image.shape[1] - cut[1]]


def brighter(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 1.2, 0, 255).astype(np.uint8)


def with_image(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sample[Any]], Sample[Any]]:
    return lambda sample: replace(
        sample, source=ArraySource(np.ascontiguousarray(change(sample.source.read()))[None], 0)
    )


# --- boxes and polygons


Move = Callable[[np.ndarray, tuple[int, int]], None]


def with_box(change: Move) -> Callable[[Sample[Any]], Sample[Any] | None]:
    """Change one box of the sample."""

    def damage(sample: Sample[Any]) -> Sample[Any] | None:
        target = sample.target.boxes if isinstance(sample.target, Instances) else sample.target
        if not len(target):
            return None
        corners = target.corners.copy()
        change(corners[0], target.size)
        boxes = replace(target, corners=corners)
        return replace(
            sample,
            target=Instances(boxes, sample.target.shapes)
            if isinstance(sample.target, Instances)
            else boxes,
        )

    return damage


def swap(box: np.ndarray, _: tuple[int, int]) -> None:
    box[:] = box[[2, 3, 0, 1]]


def flatten(box: np.ndarray, _: tuple[int, int]) -> None:
    box[2] = box[0]


def outside(box: np.ndarray, size: tuple[int, int]) -> None:
    box[[0, 2]] += size[1]


def cross_border(box: np.ndarray, size: tuple[int, int]) -> None:
    box[2] = size[1] + 20


def shrink(box: np.ndarray, _: tuple[int, int]) -> None:
    box[2:] = box[:2] + 1


def duplicate_box(sample: Sample[Any]) -> Sample[Any] | None:
    target = sample.target
    return replace(sample, target=target[np.r_[np.arange(len(target)), 0]]) if len(target) else None


def self_crossing(sample: Sample[Any]) -> Sample[Any] | None:
    """Swap two vertices of a polygon that lie far apart."""
    shapes = list(sample.target.shapes)
    for row, shape in enumerate(shapes):
        if isinstance(shape, Polygon) and len(shape.outlines[0]) >= 12:
            outline = shape.outlines[0].copy()
            a, b = 1, len(outline) // 2
            outline[[a, b]] = outline[[b, a]]
            shapes[row] = Polygon((outline, *shape.outlines[1:]))
            return replace(sample, target=Instances(sample.target.boxes, tuple(shapes)))
    return None
