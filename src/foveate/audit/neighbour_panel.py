"""The panel of images beside those that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.deep_panels import ReadThumbnail
from foveate.audit.duplicates.signatures import WHOLE, spectra
from foveate.audit.feature_space import FeatureSpace
from foveate.data.dataset import Dataset, Image
from foveate.data.resizing import fit_within
from foveate.report import drawing
from foveate.report.panels import Gallery, GalleryItem

MAX_NEIGHBOURS = 3
"""Nearest images beside an image."""
MAX_QUERIES = 12
"""Images whose neighbours are shown."""
_WAVES = 8  # frequencies a side of a thumbnail that are compared
_TILE = 160  # pixels of an image and of its neighbours
_GAP = 6  # pixels between them


def neighbour_panel(
    dataset: Dataset[Any],
    present: Sequence[tuple[int, ...]],
    image_stats: NDArray[Any],
    space: FeatureSpace | None,
    read: ReadThumbnail,
    rng: np.random.Generator,
) -> Gallery:
    """Some images, drawn at random, beside their nearest ones.

    Args:
        dataset: More than MAX_NEIGHBOURS images.
        present: The classes of each.
        image_stats: (N,) of IMAGE_STATS, whose thumbnails are compared without a feature space.
        space: Where the images lie in feature space, in a deep audit.
        read: Reads an image.
        rng: Draws the images.
    """
    thumbs = image_stats["thumb"]
    points = spectra(thumbs, [WHOLE], _WAVES)[:, 0] if space is None else space.points
    items = []
    for row in rng.permutation(len(dataset))[:MAX_QUERIES].tolist():
        distances = np.square(points - points[row]).sum(1)
        distances[row] = np.inf
        near = np.argsort(distances, kind="stable")[:MAX_NEIGHBOURS].tolist()
        images = [read(one) for one in (row, *near)]
        if any(image is None for image in images):
            continue
        caption = _caption(dataset.classes, [present[one] for one in (row, *near)])
        ids = " · ".join(dataset[one].id for one in (row, *near))
        items.append(GalleryItem(_row([one for one in images if one is not None]), caption, ids))
    return Gallery(
        "Near neighbours", _text(space is not None, bool(dataset.classes)), items, large=True
    )


def _caption(names: Sequence[str], classes: Sequence[tuple[int, ...]]) -> str:
    """The classes of an image and of its neighbours; "" without any."""
    if not any(classes):
        return ""
    first, *others = [", ".join(names[k] for k in one) or "no class" for one in classes]
    several = any(len(one) > 1 for one in classes)
    return f"{first}, beside {('; ' if several else ', ').join(others)}"


def _text(deep: bool, classes: bool) -> str:
    how = (
        "whose features of a pretrained net are most similar"
        if deep
        else "that are most similar as small grey thumbnails, by light and dark alone (--deep "
        "compares what they show)"
    )
    other = (
        " Another class among them can mean a wrong label, or classes that look alike."
        if classes
        else ""
    )
    return (
        f"Left: an image drawn at random. Right of it: the {MAX_NEIGHBOURS} images {how}.{other} "
        "Nearly the same image everywhere means that the data shows little variety."
    )


def _row(images: Sequence[Image]) -> Image:
    """Images side by side in white squares."""
    canvas = np.full((_TILE, len(images) * (_TILE + _GAP) - _GAP, 3), 255, np.uint8)
    for place, image in enumerate(images):
        small = drawing.to_rgb(fit_within(image, _TILE, image.shape[2]))
        top, left = (_TILE - small.shape[0]) // 2, (_TILE - small.shape[1]) // 2
        left += place * (_TILE + _GAP)
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas
