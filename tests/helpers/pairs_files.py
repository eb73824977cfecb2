"""Pairs of images and label images that tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.annotations import Mask
from foveate.data.dataset import Dataset
from foveate.errors import DataError

VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0]  # black, maroon, green


def save(
    path: Path, values: object, dtype: type = np.uint8, palette: list[int] | None = None
) -> Path:
    """Save an image of these values: (H, W) grey or with a palette, or (H, W, 3) RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PIL.Image.fromarray(np.array(values, dtype))
    if palette is not None:
        image.putpalette(palette + [0] * (768 - len(palette)))
    image.save(path)
    return path


def pair(
    root: Path, *labels: object, photos: str = "images", masks: str = "masks", **given: object
) -> Path:
    """Save images 0.png, 1.png, ... with these label images."""
    for number, values in enumerate(labels):
        save(root / photos / f"{number}.png", np.zeros((2, 3)))
        save(root / masks / f"{number}.png", values, **given)
    return root


def read(path: Path, table: str | None = None) -> Dataset[Mask]:
    if table is not None:
        (path / "classes.csv").write_text(table)
    data = formats.read(path)
    assert data.format == "pairs"
    return data


def pixels(data: Dataset[Mask], index: int = 0) -> list[list[int]]:
    return data[index].target.pixels.read().tolist()


def refused(path: Path, *words: str, table: str | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, table)
    for word in words:
        assert word in str(caught.value)
    return caught.value
