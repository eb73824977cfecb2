"""Shared by tests of warped images: colours and numbers that both encode source positions."""

from __future__ import annotations

import numpy as np
import torch

from foveate.data.augment.masks import MaskAugment
from foveate.data.rng import SampleRNG, sample_keys

SIDE = 48
SHAPES = [(48, 48), (48, 31), (20, 48), (48, 1), (1, 48), (33, 17)]
COUNT = len(SHAPES)


class Told:
    """Chosen random numbers: zoom, rotation, mirror, quarter, down, across."""

    def __init__(self, count, **given):
        drawn = {
            "zoom": 0.5,
            "rotation": 0.5,
            "mirror": 0.9,
            "quarter": 0.0,
            "down": 0.5,
            "across": 0.5,
        } | given
        self.values = np.tile(np.array(list(drawn.values()), np.float32), (count, 1))

    def uniform(self, count):
        assert count == 6
        return self.values


def policy(crop=SIDE, **given):
    """A policy whose targets are the numbers themselves."""
    return MaskAugment(to_label_map=lambda target: target, paste=laid, crop=crop, **given)


def laid(pieces, side):
    numbers = np.empty((side, side), pieces[0].numbers.dtype)
    for piece in pieces:
        height, width = piece.numbers.shape
        numbers[piece.top : piece.top + height, piece.left : piece.left + width] = piece.numbers
    return numbers


def placed(shapes=SHAPES, side=SIDE, padding=255):
    """Images whose colours are 4 * row, 4 * column and 0 (not padding); and each pixel's number."""
    images = torch.full((len(shapes), side, side, 3), padding, dtype=torch.uint8)
    targets = []
    for image, (height, width) in zip(images, shapes, strict=True):
        image[:height, :width, 0] = 4 * torch.arange(height)[:, None]
        image[:height, :width, 1] = 4 * torch.arange(width)
        image[:height, :width, 2] = 0
        targets.append(np.arange(height * width, dtype=np.int32).reshape(height, width))
    return images, targets


def ids(count):
    return sample_keys([f"{row}" for row in range(count)])


def make_rng(count=COUNT, seed=0, epoch=0):
    return SampleRNG(ids(count), seed, epoch)


def where(numbers, width):
    """(h, w, 2) source row and column that each pixel's number encodes."""
    return np.stack(np.divmod(numbers, width), -1)
