"""Scenes of handwritten digits with exact boxes and masks.

scikit-learn's scans are coloured, shaded, textured, resized and rotated on textured backgrounds,
some partly behind others. No digit has one flat colour, so its pixels cannot be found by their
colour alone. A scan occurs in one split only, so a network has never seen the digits it is tested
on. Each scene is a function of its id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances, RunLengths
from foveate.data.dataset import ArraySource, Dataset, Image, Sample, SplitName
from foveate.data.rng import SampleRNG, sample_keys
from foveate.ops import rle
from foveate.ops.masks import mask_bounds

NAME = "scenes"
SUMMARY = "1,500 scenes of coloured digits, 128x128, with boxes and masks, 10 classes; built in"

SIDE = 128
SPLITS: dict[SplitName, int] = {"train": 1000, "valid": 200, "test": 300}
"""Scenes in each split; the scans are divided in the same proportion."""
MAX_DIGITS = 6
"""Largest number of digits in a scene; all numbers from 0 are equally frequent."""
COLOURS = {
    "red": (214, 48, 44), "orange": (240, 140, 30), "yellow": (238, 214, 60),
    "green": (52, 160, 72), "blue": (46, 92, 214), "purple": (136, 62, 180),
    "white": (240, 240, 240), "black": (18, 18, 18),
}  # fmt: skip
_SIZES = (22.0, 64.0)  # smallest and largest side of a digit before rotation, in pixels
_MAX_ROTATION = 25.0  # degrees, either way
_MAX_HIDDEN = 0.4  # largest fraction of a digit that later ones cover
_WAVES = 4.0  # radians of the light from the middle of a scene to its edge, and up to twice
_STAIN_CELLS = 24
_TRIES = 12  # positions to try for a digit; if none is free enough it is left out
_MIN_OPACITY = 0.5  # from which a pixel belongs to the digit


Region = tuple[slice, slice]
"""Rows and columns of a scene."""


@dataclass(frozen=True)
class SceneObject:
    """A digit in a scene.

    Attributes:
        digit: 0 to 9.
        colour: A key of COLOURS.
        mask: (S, S) bool, its visible pixels.
        area: Number of its pixels, visible or not.
    """

    digit: int
    colour: str
    mask: NDArray[np.bool_]
    area: int


def read() -> Dataset[Instances]:
    """Build 1,500 samples with splits, each digit with a box and a mask."""
    ids = [
        (f"{split}/{index:04d}", split) for split, count in SPLITS.items() for index in range(count)
    ]
    rows = np.empty((len(ids), SIDE, SIDE, 3), np.uint8)
    samples = []
    for index, (id, split) in enumerate(ids):
        rows[index], instances = draw(id)
        samples.append(Sample(id, ArraySource(rows, index), _target(instances), None, split))
    return Dataset(NAME, "instance", tuple("0123456789"), samples, origin=NAME, hflip_safe=False)


def draw(id: str) -> tuple[Image, list[SceneObject]]:
    """Draw the scene of an id, (S, S, 3) uint8; its digits come from back to front."""
    split = id.split("/")[0]
    draws = SampleRNG(sample_keys([f"scenes/{id}"]), 0)
    surfaces = SampleRNG(sample_keys([f"scenes/{id}/surfaces"]), 0)
    texture = _grain(surfaces)
    image, colours = _background(draws)
    split_scans = scans()[split]
    instances: list[SceneObject] = []
    for _ in range(int(draws.uniform(1)[0, 0] * (MAX_DIGITS + 1))):
        kind, which, tint = draws.uniform(3)[0]
        digit = int(kind * len(split_scans))
        candidates = split_scans[digit]
        scan = candidates[int(which * len(candidates))]
        colour = colours[int(tint * len(colours))]
        placed = _place(scan, colour, instances, draws)
        if placed is not None:
            ink, region = placed
            surface = _surface(COLOURS[colour], texture, region, surfaces)
            image[region] += ink[..., None] * (surface - image[region])
            mask = np.zeros((SIDE, SIDE), bool)
            mask[region] = ink > _MIN_OPACITY
            instances = [replace(instance, mask=instance.mask & ~mask) for instance in instances]
            instances.append(SceneObject(digit, colour, mask, int(mask.sum())))
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8), instances


@cache
def scans() -> dict[str, list[list[NDArray[np.float64]]]]:
    """Return the (8, 8) scans, from 0 to 1, of each split and digit."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # In random order: neighbours in the dataset are by one writer.
    order = np.argsort(
        SampleRNG(sample_keys([f"scan/{i}" for i in range(len(digits.target))]), 0).uniform(1)[
            :, 0
        ],
        kind="stable",
    )
    shares = np.cumsum([0, *SPLITS.values()]) / sum(SPLITS.values())
    scans_of: dict[str, list[list[NDArray[np.float64]]]] = {split: [] for split in SPLITS}
    for digit in range(10):
        rows = order[digits.target[order] == digit]
        cuts = np.rint(shares * len(rows)).astype(int)
        for split, start, end in zip(SPLITS, cuts[:-1], cuts[1:], strict=True):
            scans_of[split].append([digits.images[i] / 16 for i in rows[start:end]])
    return scans_of


def _background(draws: SampleRNG) -> tuple[NDArray[np.float64], list[str]]:
    """Draw a textured background, (S, S, 3) from 0 to 255, and list the colours that stand out."""
    first, second = 40 + 175 * draws.uniform(6)[0].reshape(2, 3)
    second = first + 0.35 * (second - first)
    mixed = np.sum(
        [share * _noise(cells, draws) for cells, share in ((3, 0.5), (12, 0.3), (48, 0.2))], 0
    )
    ground = first + mixed[..., None] * (second - first)
    ground += 14 * (draws.uniform(SIDE * SIDE)[0].reshape(SIDE, SIDE, 1) - 0.5)
    mean = ground.mean((0, 1))
    far = {name: float(np.abs(np.array(colour) - mean).max()) for name, colour in COLOURS.items()}
    return np.clip(ground, 0, 255), [name for name in COLOURS if far[name] > 80]


def _grain(draws: SampleRNG) -> NDArray[np.float64]:
    """Draw stains and grain, (2, S, S) from -1 to 1, that all digits of a scene share."""
    grain = draws.uniform(SIDE * SIDE)[0].reshape(SIDE, SIDE)
    return 2 * np.stack([_noise(_STAIN_CELLS, draws), grain]) - 1


def _surface(
    colour: tuple[int, int, int], texture: NDArray[np.float64], region: Region, draws: SampleRNG
) -> NDArray[np.float64]:
    """Draw a region of a surface of a colour, (h, w, 3): waves of light, stains, and grain."""
    angle, light, stain = map(float, draws.uniform(3)[0])
    waves = _WAVES * (1 + light)
    steps = np.linspace(-1, 1, SIDE)
    down, right = np.sin(2 * np.pi * angle) * steps, np.cos(2 * np.pi * angle) * steps
    bright = np.sin(waves * (down[region[0], None] + right[region[1]]))
    change = 50 * bright + (35 + 45 * stain) * texture[0][region] + 12 * texture[1][region]
    surface: NDArray[np.float64] = np.array(colour, np.float64) + change[..., None]
    return surface


def _noise(cells: int, draws: SampleRNG) -> NDArray[np.float64]:
    """Value noise, (S, S) from 0 to 1: one number a cell, interpolated."""
    values = (255 * draws.uniform(cells * cells)[0].reshape(cells, cells)).astype(np.uint8)
    smooth = PIL.Image.fromarray(values).resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float64) / 255


def _place(
    scan: NDArray[np.float64], colour: str, instances: list[SceneObject], draws: SampleRNG
) -> tuple[NDArray[np.float64], Region] | None:
    """Place a resized and rotated scan.

    Returns:
        Its opacity, (h, w) from 0 to 1, and its region of the scene; None if every position that
        was tried hides too much of another digit, or any of one in the same colour, which it would
        merge with.
    """
    size, turn = draws.uniform(2)[0]
    side = round(_SIZES[0] * (_SIZES[1] / _SIZES[0]) ** float(size))
    small = PIL.Image.fromarray(np.rint(255 * scan).astype(np.uint8)).resize(
        (side, side), PIL.Image.Resampling.BICUBIC
    )
    turned = small.rotate(
        _MAX_ROTATION * (2 * float(turn) - 1), PIL.Image.Resampling.BICUBIC, expand=True
    )
    # The edge of a pen, not the blur of the scan.
    stroke = np.clip((np.asarray(turned, np.float64) / 255 - 0.25) / 0.3, 0, 1)
    height, width = stroke.shape
    mask, seen = stroke > _MIN_OPACITY, [np.count_nonzero(one.mask) for one in instances]
    places = draws.uniform(2 * _TRIES)[0].reshape(_TRIES, 2)
    for down, right in places:
        top, left = int(down * (SIDE - height + 1)), int(right * (SIDE - width + 1))
        region = (slice(top, top + height), slice(left, left + width))
        lost = [np.count_nonzero(one.mask[region] & mask) for one in instances]
        if all(
            whole - less >= (1 - _MAX_HIDDEN) * one.area and not (less and one.colour == colour)
            for one, less, whole in zip(instances, lost, seen, strict=True)
        ):
            return stroke, region
    return None


def _target(instances: list[SceneObject]) -> Instances:
    size = (SIDE, SIDE)
    corners = np.array([mask_bounds(instance.mask) for instance in instances]).reshape(-1, 4)
    boxes = Boxes(
        corners, np.array([instance.digit for instance in instances], np.int64), size=size
    )
    return Instances(
        boxes, tuple(RunLengths(rle.encode(instance.mask), size) for instance in instances)
    )
