"""Baselines of promptable segmentation: the simplest masks that clicks could give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data.dataset import Image
from foveate.data.subset import ImageArray
from foveate.metrics.interactive import InteractiveResult, click_rounds, evaluated_rows, iou
from foveate.ops.clicks import Click, next_click

ClickSegmenter = Callable[[Image, Sequence[Click]], NDArray[np.bool_]]
"""From an image and clicks to an (H, W) mask."""

TOLERANCES = (4, 8, 16, 24, 32, 48, 64, 96)
"""Candidates for the tolerance of flood fill: the largest difference from the clicked colour."""
MAX_IMAGES = 100
"""Training images that the tolerance is chosen on."""


def fit_baselines(
    images: ImageArray, targets: Sequence[Instances], seed: int
) -> dict[str, ClickSegmenter]:
    """Fit each baseline on the objects of the train split.

    Args:
        images: (N, S, S, C) uint8.
        targets: Their instances.
        seed: For the choice of images.

    Returns:
        A segmenter by the name of each baseline.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    cases = []
    for row in order[:MAX_IMAGES]:
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
            scores.append(iou(flood_fill(image, [click], tolerance)[None], mask[None])[0])
        return float(np.mean(scores)) if scores else 0.0

    tolerance = max(TOLERANCES, key=mean_iou)
    return {
        "flood fill": lambda image, clicks: flood_fill(image, clicks, tolerance),
        "disk of the median size": lambda image, clicks: disk(image.shape, clicks, radius),
    }


def predict_clicks(segment: ClickSegmenter, image: Image, target: Instances) -> InteractiveResult:
    """Segment each object of the target from simulated clicks."""
    rows = evaluated_rows(target)
    masks = target[rows].masks((image.shape[0], image.shape[1]))

    def predict(clicks: Sequence[Sequence[Click]], state: None) -> tuple[NDArray[np.bool_], None]:
        return np.stack([segment(image, one) for one in clicks]), state

    return InteractiveResult(rows, tuple(click_rounds(masks, predict)))


def flood_fill(image: Image, clicks: Sequence[Click], tolerance: float) -> NDArray[np.bool_]:
    """The region of similar colour around each click inside, without those of clicks outside.

    A later click takes precedence.

    Args:
        image: (H, W, C) uint8.
        clicks: x, y, and whether the click is inside.
        tolerance: Largest difference from the clicked colour, in any channel.

    Returns:
        (H, W) bool.
    """
    from scipy.ndimage import label

    mask = np.zeros(image.shape[:2], bool)
    for x, y, inside in clicks:
        row, column = min(int(y), image.shape[0] - 1), min(int(x), image.shape[1] - 1)
        similar = np.abs(image.astype(np.int16) - image[row, column]).max(2) <= tolerance
        regions: Any = label(similar)[0]
        mask[regions == regions[row, column]] = inside
    return mask


def disk(shape: tuple[int, ...], clicks: Sequence[Click], radius: float) -> NDArray[np.bool_]:
    """(H, W) bool: a disk around each click inside, without those of later clicks outside."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    mask = np.zeros(shape[:2], bool)
    for x, y, inside in clicks:
        mask[(rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2] = inside
    return mask
