"""Pairs of handwritten digits with a caption: "a red 3 left of a blue 7".

scikit-learn's scans are coloured and placed side by side or one above the other on a dark
background. A scan occurs in one split only. Each image is a function of its id.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Captions
from foveate.data.dataset import ArraySource, Dataset, Image, Sample, SplitName
from foveate.data.rng import SampleRNG, sample_keys
from foveate.datasets.builtin.scenes import COLOURS, scans

NAME = "duos"
SUMMARY = (
    "9,000 images of two coloured digits, 32x32, with captions that name digits, colours and "
    "positions; built in"
)

SIDE = 32
SPLITS: dict[SplitName, int] = {"train": 8000, "valid": 500, "test": 500}
INKS = ("red", "yellow", "green", "blue", "white")
RELATIONS = ("left of", "above")
"""Position of the first digit relative to the second."""
_SIDES = (12, 16)  # smallest and largest side of a digit, in pixels
_MAX_ASKEW = 4  # largest offset between the digits across their direction, in pixels
_DRAWS = 4 + 2 * 6


def read() -> Dataset[Captions]:
    """Build 9,000 samples with splits; each caption begins with the left or upper digit."""
    ids = [
        (f"{split}/{index:04d}", split) for split, count in SPLITS.items() for index in range(count)
    ]
    draws = SampleRNG(sample_keys([f"duos/{id}" for id, _ in ids]), 0).uniform(_DRAWS)
    rows = np.empty((len(ids), SIDE, SIDE, 3), np.uint8)
    samples = []
    for index, ((id, split), sample_draws) in enumerate(zip(ids, draws, strict=True)):
        rows[index], captions = _draw(split, sample_draws)
        samples.append(Sample(id, ArraySource(rows, index), captions, None, split))
    return Dataset(NAME, "text_to_image", (), samples, origin=NAME, hflip_safe=False)


def _draw(split: SplitName, draws: NDArray[np.float32]) -> tuple[Image, Captions]:
    """Draw an image, (S, S, 3) uint8, and its caption from (_DRAWS,) numbers in [0, 1)."""
    image = np.tile(40 * draws[:3].astype(np.float64), (SIDE, SIDE, 1))
    relation = int(2 * draws[3])
    instances, far = [], 0
    for place, (kind, which, tint, size, along, across) in enumerate(draws[4:].reshape(2, 6)):
        digit, colour = int(10 * kind), INKS[int(len(INKS) * tint)]
        candidates = scans()[split][digit]
        scan = candidates[int(which * len(candidates))]
        side = _SIDES[0] + int(size * (1 + _SIDES[1] - _SIDES[0]))
        near = SIDE // 2 * place + int(along * (SIDE // 2 - side + 1))  # within its half
        # Aligned, so that the first cannot be called above the second as well.
        room, askew = SIDE - side, int(across * (2 * _MAX_ASKEW + 1)) - _MAX_ASKEW
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
