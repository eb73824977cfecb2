"""The simplest answers to a click. A net that does not beat them has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data.dataset import Image
from foveate.data.subset import Pixels
from foveate.metrics.interactive import InteractiveResult, chosen, overlaps, rounds
from foveate.ops.clicks import Click, next_click

Cut = Callable[[Image, Sequence[Click]], NDArray[np.bool_]]
"""Picture and clicks -> (H, W) mask."""

TOLERANCES = (4, 8, 16, 24, 32, 48, 64, 96)
"""Of a flood fill, that are tried on the train part: how far a pixel's colour may be from the one clicked."""
TRIED = 100
"""Train pictures by which a tolerance is chosen."""


def fit_baselines(images: Pixels, targets: Sequence[Instances], seed: int) -> dict[str, Cut]:
    """Each by its name, fitted on the things of the train part."""
    order = np.random.default_rng(seed).permutation(len(targets))
    cases = []
    for row in order[:TRIED]:
        target = targets[row]
        size = target.boxes.size or images.shape[1:3]
        masks = target[~target.boxes.ignored][:1].masks(size)
        if masks.any():
            cases.append((images[int(row)][: size[0], : size[1]], masks[0]))
    radius = float(np.sqrt(np.median([mask.sum() for _, mask in cases]) / np.pi)) if cases else 1.0

    def mean_iou(tolerance: float) -> float:
        scores = []
        for image, mask in cases:
            click = next_click(mask, np.zeros_like(mask))
            assert click is not None
            scores.append(overlaps(flood(image, [click], tolerance)[None], mask[None])[0])
        return float(np.mean(scores)) if scores else 0.0

    tolerance = max(TOLERANCES, key=mean_iou)
    return {
        "flood fill": lambda image, clicks: flood(image, clicks, tolerance),
        "a disk of the usual size": lambda image, clicks: disk(image.shape, clicks, radius),
    }


def pointed(cut: Cut, image: Image, target: Instances) -> InteractiveResult:
    """What is answered of each thing, by clicks alone."""
    rows = chosen(target)
    true = target[rows].masks((image.shape[0], image.shape[1]))
    return InteractiveResult(
        rows,
        tuple(
            rounds(true, lambda clicks, _: (np.stack([cut(image, own) for own in clicks]), None))
        ),
    )


def flood(image: Image, clicks: Sequence[Click], tolerance: float) -> NDArray[np.bool_]:
    """What is connected to a click inside by pixels of nearly its colour, without what is so to a click outside; the later click
    counts.
    """
    from scipy.ndimage import label

    found = np.zeros(image.shape[:2], bool)
    for x, y, inside in clicks:
        row, column = _pixel(image.shape, x, y)
        near = np.abs(image.astype(np.int16) - image[row, column]).max(2) <= tolerance
        regions: Any = label(near)[0]
        found[regions == regions[row, column]] = inside
    return found


def disk(shape: tuple[int, ...], clicks: Sequence[Click], radius: float) -> NDArray[np.bool_]:
    """What is as near to a click inside as most things are large, unless a later click outside is nearer than that."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    found = np.zeros(shape[:2], bool)
    for x, y, inside in clicks:
        found[(rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2] = inside
    return found


def _pixel(shape: tuple[int, ...], x: float, y: float) -> tuple[int, int]:
    return min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)
