"""Handwritten digits in colour on textured backgrounds: one in each image, anywhere in it.

scikit-learn's scans are coloured, stained, resized, rotated and moved. Pixels at one place mean
nothing here, so the nearest neighbour of an image is of another class more often than not, while a
small convolutional network learns the digits in seconds. A scan occurs in one split only. Each
image is a function of its id.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample, SplitName
from foveate.data.rng import SampleRNG, sample_keys
from foveate.datasets.builtin import scenes

NAME = "colour-digits"
SUMMARY = "4,000 digits in colour on textured backgrounds, 32x32, 10 classes; built in"

SIDE = 32
SPLITS: dict[SplitName, int] = {"train": 2400, "valid": 600, "test": 1000}
"""Images in each split."""
_SIZES = (18.0, 30.0)  # smallest and largest side of a digit before rotation, in pixels
_MAX_ROTATION = np.pi / 9  # either way
_CONTRAST = 90.0  # between ink and ground, at least, in the channel where they differ most
_MARGIN = 0.7  # share of a digit's box that holds ink: that much stays inside the image


def read() -> Dataset[Label]:
    """Build 4,000 samples with splits, each image with one digit."""
    ids = [(f"{split}/{i:04d}", split) for split, count in SPLITS.items() for i in range(count)]
    drawn = [draw([id for id, own in ids if own == split]) for split in SPLITS]
    rows = np.concatenate([images for images, _ in drawn])
    digits = np.concatenate([labels for _, labels in drawn])
    samples = [
        Sample(id, ArraySource(rows, row), Label(int(digits[row])), None, split)
        for row, (id, split) in enumerate(ids)
    ]
    classes = tuple("0123456789")
    return Dataset(NAME, "classification", classes, samples, origin=NAME, hflip_safe=False)


def draw(ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw the images of some ids of one split.

    Args:
        ids: N ids, e.g. "train/0001".

    Returns:
        Images (N, S, S, 3) uint8; the digits in them, (N,).
    """
    rng = SampleRNG(sample_keys([f"{NAME}/{id}" for id in ids]), 0)
    by_digit = scenes.scans()[ids[0].split("/")[0]]
    scans = np.array([scan for one in by_digit for scan in one])
    labels = np.repeat(np.arange(10), [len(one) for one in by_digit])
    which = (rng.uniform(1)[:, 0] * len(scans)).astype(np.int64)
    ink = np.clip((_placed(scans[which], rng) - 0.25) / 0.3, 0, 1)[..., None]

    first, second = np.moveaxis(40 + 175 * rng.uniform(6).reshape(-1, 2, 3), 1, 0)
    ground = (
        first[:, None, None]
        + 0.5 * _texture(rng, (3, 9))[..., None] * (second - first)[:, None, None]
    )
    colours = np.array(list(scenes.COLOURS.values()), np.float64)
    distance = np.abs(colours - ground.mean((1, 2))[:, None]).max(2)
    chance = np.where(distance > _CONTRAST, 1 + rng.uniform(len(colours)), distance / 255)
    surface = colours[chance.argmax(1)][:, None, None] + 70 * (
        _texture(rng, (4, 11))[..., None] - 0.5
    )
    images = ground + ink * (surface - ground)
    images += 20 * (rng.uniform(SIDE * SIDE).reshape(-1, SIDE, SIDE, 1) - 0.5)
    return np.rint(np.clip(images, 0, 255)).astype(np.uint8), labels[which]


def _placed(scans: NDArray[np.float64], rng: SampleRNG) -> NDArray[np.float64]:
    """Resize, rotate and move scans (N, 8, 8) into images (N, S, S), bilinearly."""
    size, turn, down, right = rng.uniform(4).T[:, :, None, None]
    side = _SIZES[0] * (_SIZES[1] / _SIZES[0]) ** size
    room = np.maximum(0, (SIDE - _MARGIN * side) / 2)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    y, x = y - room * (2 * down - 1), x - room * (2 * right - 1)
    angle = _MAX_ROTATION * (2 * turn - 1)
    cells = scans.shape[1]
    rows = (np.cos(angle) * y - np.sin(angle) * x) / side * cells + cells / 2 - 0.5
    columns = (np.sin(angle) * y + np.cos(angle) * x) / side * cells + cells / 2 - 0.5
    padded = np.pad(scans, ((0, 0), (1, 1), (1, 1)))
    rows, columns = (np.clip(one + 1, 0, cells + 0.999) for one in (rows, columns))
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    below, beside = rows - top, columns - left
    image = np.arange(len(scans))[:, None, None]
    upper, lower = (
        (1 - beside) * padded[image, row, left] + beside * padded[image, row, left + 1]
        for row in (top, top + 1)
    )
    placed: NDArray[np.float64] = (1 - below) * upper + below * lower
    return placed


def _texture(rng: SampleRNG, cells: Sequence[int]) -> NDArray[np.float64]:
    """Value noise of several finenesses, (N, S, S) from 0 to 1."""
    noise = []
    for count in cells:
        values = rng.uniform(count * count).reshape(-1, count, count)
        places = np.linspace(0, count - 1, SIDE)
        weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(count)))
        noise.append(weights @ values @ weights.T)
    mixed: NDArray[np.float64] = np.mean(noise, 0)
    return mixed
