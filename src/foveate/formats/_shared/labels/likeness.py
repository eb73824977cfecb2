"""Tell label images from photographs by their pixels: they have few values in even regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from foveate.errors import BadImage
from foveate.formats._shared.labels.images import LabelImage, read_label_image
from foveate.formats._shared.labels.stats import ValueCounts, stats_of

_FEW = 4  # a photograph has more values, however dark
_SOME, _PIXELS_EACH, _EVEN = 32, 8, 0.6
_SOLID, _TOP, _TOP_SHARE = 0.3, 8, 0.95  # of the pixels in even regions, most have few values
_SECOND = 0.002  # a second value fills some of them: not only a black background does
_NUMBERS_EVEN, _CONNECTED = 0.7, 0.9
_TESTED_NUMBERS = 50
_SAME_BORDERS = 0.95
_MAX_TESTED = 4096  # values of an image that may number objects


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much files look like label images.

    Attributes:
        share: The share of files that do; None if no file tells.
        values: The mean number of values in a file.
    """

    share: float | None
    values: float

    @property
    def likely(self) -> bool:
        """Whether most of the files look like label images."""
        return self.share is not None and self.share > 0.5


def label_likeness(files: Sequence[Path]) -> Likeness:
    """Look whether a few files of one kind are label images."""
    votes, numbers = [], []
    for file in files:
        try:
            image = read_label_image(file)
        except BadImage as error:
            votes += [] if "damaged" in error.message else [False]
            continue
        if image.alpha is not None and np.all(image.values == image.values.flat[0]):
            image = image.in_band("alpha")
        counts = stats_of(image).counts
        numbers.append(len(counts.values))
        if len(counts.values) > 1:  # an even image tells nothing
            votes.append(_looks_like_labels(image, counts))
    share = sum(votes) / len(votes) if votes else None
    return Likeness(share, float(np.mean(numbers)) if numbers else 0.0)


def same_sizes(pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Return whether the files of at least half of the pairs have the same size."""
    same = [_size(one) == _size(other) for one, other in pairs]
    return 2 * sum(same) >= len(same)


def same_regions(pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Return whether the files of each pair have the same regions, in whatever values."""
    return bool(pairs) and all(_have_same_regions(one, other) for one, other in pairs)


def in_colour(file: Path) -> bool:
    """Return whether a file is a readable image in colour."""
    try:
        return read_label_image(file).in_colour
    except BadImage:
        return False


def _have_same_regions(one: Path, other: Path) -> bool:
    try:
        images = read_label_image(one).values, read_label_image(other).values
    except BadImage:
        return False
    if images[0].shape != images[1].shape:
        return False
    borders = [
        np.concatenate([(v[1:] != v[:-1]).ravel(), (v[:, 1:] != v[:, :-1]).ravel()]) for v in images
    ]
    either = int((borders[0] | borders[1]).sum())
    return int((borders[0] & borders[1]).sum()) >= _SAME_BORDERS * either


def _size(file: Path) -> tuple[int, ...] | None:
    try:
        return read_label_image(file).values.shape
    except BadImage:
        return None


def _looks_like_labels(image: LabelImage, counts: ValueCounts) -> bool:
    values, pixels = image.values, counts.pixels
    if len(counts.values) <= _FEW:
        return pixels >= _PIXELS_EACH * len(counts.values)
    solid = np.sort(counts.solid)
    total = int(solid.sum())
    if (
        total >= _SOLID * pixels
        and solid[-_TOP:].sum() >= _TOP_SHARE * total
        and solid[-2] >= _SECOND * total
    ):
        return True
    across = values[:, 1:] == values[:, :-1]
    even = float(across.mean()) if across.size else 0.0
    if len(counts.values) <= _SOME:
        return even >= _EVEN
    return even >= _NUMBERS_EVEN and not image.in_colour and _numbers_objects(image, counts.values)


def _numbers_objects(image: LabelImage, values: NDArray[np.int32]) -> bool:
    """Return whether most values fill one connected region each."""
    if image.lossy or len(values) > _MAX_TESTED:
        return False
    chosen = values[values > 0]
    chosen = chosen[:: max(1, len(chosen) // _TESTED_NUMBERS)]
    single = [ndimage.label(image.values == value, np.ones((3, 3)))[1] == 1 for value in chosen]
    return bool(sum(single) >= _CONNECTED * len(single))
