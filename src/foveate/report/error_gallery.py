"""Close-ups of errors, and the images with the most of them: of boxes and of masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.metrics.box_errors import ERROR_TYPES, BoxError
from foveate.report.overlays import Layer
from foveate.report.panels import Gallery, GalleryItem
from foveate.wording import count_noun

ReadImage = Callable[[int], NDArray[np.uint8] | None]
Window = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of an image, in pixels."""

MAX_PER_ERROR_TYPE = 8
"""Close-ups of each type of error."""
MAX_WITH_CLASSES = 24
"""The same with one for each class, where classes are not among the first."""
MAX_WORST_IMAGES = 6
"""Whole images, those with the most errors."""
_MARGIN = 0.6
"""The margin around a box in a close-up, as a share of its longer side."""


@dataclass(frozen=True)
class ImageErrors:
    """The errors in one image.

    Attributes:
        row: The row of the image.
        id: Its id.
        boxes: Boxes of the confident predictions, with scores.
        targets: Boxes of the targets.
        errors: The errors among them.
        draw: From an error and a window to what is drawn over that part of the image.
    """

    row: int
    id: str
    boxes: Boxes
    targets: Boxes
    errors: Sequence[BoxError]
    draw: Callable[[BoxError, Window], Sequence[Layer]]

    def labels(self, error: BoxError) -> tuple[int, ...]:
        """The classes of an error: of its target and of its prediction."""
        rows = ((self.targets, error.target), (self.boxes, error.prediction))
        return tuple(int(one.classes[row]) for one, row in rows if row is not None)

    def counts(self) -> Counter[str]:
        """The number of errors of each type."""
        return Counter(error.kind for error in self.errors)


def count_errors(counts: Mapping[str, int]) -> str:
    """Errors by their type in words: "3 missed, 1 of the wrong class, 2 duplicates"."""
    return ", ".join(_count(kind, count) for kind, count in counts.items())


def _count(kind: str, count: int) -> str:
    match kind:
        case "wrong class":
            return f"{count:,} of the wrong class"
        case "duplicate":
            return count_noun(count, "duplicate")
        case "background":
            return f"{count:,} on the background"
    return f"{count:,} {kind}"


def close_ups(
    images: Sequence[ImageErrors],
    read_image: ReadImage,
    classes: Sequence[str],
    text: str,
    of_class: int | None = None,
) -> Gallery:
    """Close-ups of each type of error, the most confident predictions and largest misses first.

    Args:
        images: The errors of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        classes: The class names.
        text: What the outlines are.
        of_class: The class of the target or the prediction; None for any.
    """
    found = [
        (one, error)
        for one in images
        for error in one.errors
        if of_class is None or of_class in one.labels(error)
    ]
    items = []
    for kind in ERROR_TYPES:
        of_kind = [pair for pair in found if pair[1].kind == kind]
        of_kind.sort(key=lambda pair: _sort_key(*pair))
        for one, error in _some_of_each_class(of_kind):
            if (image := read_image(one.row)) is not None:
                items.append(_close_up(image, one, error, classes))
    some = f" Of {len(found):,} errors, {len(items)} are shown." if len(items) < len(found) else ""
    return Gallery("Mistakes", f"{text}{some}", items, first=40)


def worst_images(
    images: Sequence[ImageErrors],
    read_image: ReadImage,
    classes: Sequence[str],
    text: str,
    draw: Callable[[ImageErrors, NDArray[np.uint8]], Sequence[Layer]],
) -> Gallery:
    """The images with the most errors.

    Args:
        images: The errors of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        classes: The class names.
        text: What the outlines are.
        draw: What is drawn over a whole image.
    """
    items = []
    for one in sorted(images, key=lambda one: -len(one.errors))[:MAX_WORST_IMAGES]:
        image = read_image(one.row)
        if image is None or not one.errors:
            continue
        counts = dict(one.counts().most_common())
        labels = sorted({k for error in one.errors for k in one.labels(error)})
        names = tuple(classes[k] for k in labels)
        caption, layers = count_errors(counts), draw(one, image)
        items.append(GalleryItem(image, caption, one.id, "bad", layers, tuple(counts), names))
    return Gallery("Images with the most errors", text, items, large=True)


def _some_of_each_class(
    pairs: Sequence[tuple[ImageErrors, BoxError]],
) -> list[tuple[ImageErrors, BoxError]]:
    """The first MAX_PER_ERROR_TYPE, and the first of each class that is not among them."""
    chosen, seen = list(pairs[:MAX_PER_ERROR_TYPE]), set[int]()
    for number, (one, error) in enumerate(pairs):
        labels = set(one.labels(error))
        is_new = number >= MAX_PER_ERROR_TYPE and not labels <= seen
        if is_new and len(chosen) < MAX_WITH_CLASSES:
            chosen.append((one, error))
        seen |= labels
    return chosen


def _sort_key(one: ImageErrors, error: BoxError) -> float:
    """Minus the area of a missed box; minus the score of a predicted one."""
    if error.prediction is None:
        corners = one.targets.corners[error.target]
        return -float((corners[2:] - corners[:2]).prod())
    assert one.boxes.scores is not None
    return -float(one.boxes.scores[error.prediction])


def _close_up(
    image: NDArray[np.uint8], one: ImageErrors, error: BoxError, classes: Sequence[str]
) -> GalleryItem:
    """One error and its surroundings."""
    rows = ((one.boxes, error.prediction), (one.targets, error.target))
    corners = np.array([boxes.corners[row] for boxes, row in rows if row is not None])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    margin = _MARGIN * max(*(high - low), 8)
    size = np.array(image.shape[1::-1])
    # A target box may lie beyond its image.
    left, top = (low - margin).clip(0, size - 1).astype(int).tolist()
    right, bottom = np.ceil(high + margin).clip([left + 1, top + 1], size).astype(int).tolist()
    labels = one.labels(error)
    caption = classes[labels[0]]
    if error.kind == "wrong class":
        caption += f", predicted as {classes[labels[1]]}"
    detail = f"{error.kind} · {one.id}"
    if error.prediction is not None:
        assert one.boxes.scores is not None
        detail = f"{error.kind} · confidence {one.boxes.scores[error.prediction]:.0%} · {one.id}"
    names = tuple(classes[k] for k in dict.fromkeys(labels))
    layers = one.draw(error, (left, top, right, bottom))
    crop = image[top:bottom, left:right]
    return GalleryItem(crop, caption, detail, "bad", layers, (error.kind,), names)
