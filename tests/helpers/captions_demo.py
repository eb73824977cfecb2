"""A small captioned set, for the tests of whole runs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def write_captions(folder: Path, count: int = 40) -> Path:
    """Images of a light half above or below, each with two wordings."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [["file_name", "text"]]
    for number in range(count):
        below, edge = number % 2, int(rng.integers(4, 9))
        image = rng.integers(20, 50, (12, 12, 3), dtype=np.uint8)
        half = image[edge:] if below else image[:edge]
        half += 180
        Image.fromarray(image).save(folder / f"{number:02}.png")
        there, other = ("below", "above") if below else ("above", "below")
        rows += [[f"{number:02}.png", f"light {there}"], [f"{number:02}.png", f"dark {other}"]]
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder
