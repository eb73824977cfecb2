"""Photographs and label images of a size at which pixels tell which is which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

SIZE = (64, 80)


def photo(seed: int, size: tuple[int, int] = SIZE, colour: bool = True) -> np.ndarray:
    """A noisy image, (H, W, 3) or (H, W) uint8."""
    rng = np.random.default_rng(seed)
    shape = (*size, 3) if colour else size
    return rng.normal(110, 25, shape).clip(0, 255).astype(np.uint8)


def classes(seed: int, count: int = 3, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint8: each class but 0 in three rectangles."""
    rng = np.random.default_rng(seed)
    values = np.zeros(size, np.uint8)
    for k in [*range(1, count)] * 3:
        top, left = rng.integers(0, size[0] - 14), rng.integers(0, size[1] - 14)
        values[top : top + 12, left : left + 12] = k
    return values


def cells(seed: int, count: int | None = None, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint16: numbered discs that do not touch; 8 to 20 of them by default."""
    rng = np.random.default_rng(seed)
    wanted = int(rng.integers(8, 21)) if count is None else count
    values = np.zeros(size, np.uint16)
    rows, columns = np.mgrid[: size[0], : size[1]]
    number = 0
    while number < wanted:
        y, x = rng.integers(4, size[0] - 4), rng.integers(4, size[1] - 4)
        disc = (rows - y) ** 2 + (columns - x) ** 2
        if not values[disc <= 16].any():
            number += 1
            values[disc <= 9] = number
    return values


def save(path: Path, values: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        PIL.Image.fromarray(values).save(path, **options)
    return path
