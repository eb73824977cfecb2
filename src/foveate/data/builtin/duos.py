"""Two handwritten digits with a caption: "a red 3 left of a blue 7". scikit-learn's real scans in colours, beside each other or one
above the other, on a dark ground.

A scan is used in one part only. Each picture is a function of its id.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Captions
from foveate.data.builtin.scenes import COLOURS, scans
from foveate.data.dataset import ArraySource, Dataset, Image, Sample, SplitName
from foveate.data.rng import SampleRNG, sample_keys

NAME = "duos"
SUMMARY = "9,000 pictures of two coloured digits, 32x32, with captions that say which, what colour and where; built in"

SIDE = 32
SPLITS: dict[SplitName, int] = {"train": 8000, "valid": 500, "test": 500}
INKS = ("red", "yellow", "green", "blue", "white")
RELATIONS = ("left of", "above")
"""Of the first digit to the second."""
_SIDES = (12, 16)  # pixels of a digit
_ASKEW = 4  # pixels that the second may lie off the first, across the direction that is told
_DRAWS = 4 + 2 * 6


def read() -> Dataset[Captions]:
    """9,000 samples in parts, each with a caption that begins with its left or upper digit."""
    ids = [
        (f"{split}/{index:04d}", split) for split, count in SPLITS.items() for index in range(count)
    ]
    draws = SampleRNG(sample_keys([f"duos/{id}" for id, _ in ids]), 0).uniform(_DRAWS)
    rows = np.empty((len(ids), SIDE, SIDE, 3), np.uint8)
    samples = []
    for index, ((id, split), own) in enumerate(zip(ids, draws, strict=True)):
        rows[index], captions = _drawn(split, own)
        samples.append(Sample(id, ArraySource(rows, index), captions, None, split))
    return Dataset(NAME, "text_to_image", (), samples, origin=NAME, hflip_safe=False)


def _drawn(split: SplitName, draws: NDArray[np.float32]) -> tuple[Image, Captions]:
    """The picture, (S, S, 3) uint8, and what it shows. draws: (_DRAWS,) in [0, 1)"""
    image = np.tile(40 * draws[:3].astype(np.float64), (SIDE, SIDE, 1))
    relation = int(2 * draws[3])
    instances, far = [], 0
    for place, (kind, which, tint, size, along, across) in enumerate(draws[4:].reshape(2, 6)):
        digit, colour = int(10 * kind), INKS[int(len(INKS) * tint)]
        own = scans()[split][digit]
        scan, side = own[int(which * len(own))], _SIDES[0] + int(size * (1 + _SIDES[1] - _SIDES[0]))
        near = SIDE // 2 * place + int(along * (SIDE // 2 - side + 1))  # within its half
        # Side by side, so that nobody can say that the first is above the second as well.
        room, askew = SIDE - side, int(across * (2 * _ASKEW + 1)) - _ASKEW
        far = min(max(far + askew, 0), room) if place else int(across * (room + 1))
        top, left = (near, far) if relation else (far, near)
        small = PIL.Image.fromarray(np.rint(255 * scan).astype(np.uint8))
        ink = np.asarray(small.resize((side, side), PIL.Image.Resampling.BICUBIC), np.float64) / 255
        region = image[top : top + side, left : left + side]
        region += np.clip(1.3 * ink - 0.15, 0, 1)[..., None] * (np.array(COLOURS[colour]) - region)
        instances.append(f"a {colour} {digit}")
    return np.rint(image).astype(np.uint8), Captions(
        (f"{instances[0]} {RELATIONS[relation]} {instances[1]}",)
    )
