"""A folder of classes that a colour tells apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}


def make_folder(root: Path, each: int = 20, size: int = 16, seed: int = 0) -> Path:
    """One folder per class, with noisy images in the colour of the class."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(each):
            pixels = np.clip(rng.normal(colour, 40, (size, size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:03}.png")
    return root


def dark_copy(data: Path, folder: Path, brightness: float) -> Path:
    """The images with their values multiplied by `brightness`."""
    shutil.copytree(data, folder)
    for path in folder.rglob("*.png"):
        ImageEnhance.Brightness(Image.open(path)).enhance(brightness).save(path)
    return folder
