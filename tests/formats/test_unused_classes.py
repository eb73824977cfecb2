"""Data with images of one class only: it is read if it says that there are others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError

WRITERS = [name for name, one in formats.writers().items() if Label.task in one.TASKS]


def all_of(index: int, classes: tuple[str, ...]) -> Dataset[Label]:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    splits = ("train", "train", "valid", "test")
    samples = [
        Sample(f"{number}", ArraySource(pixels, number), Label(index), None, split)
        for number, split in enumerate(splits)
    ]
    return Dataset("one", Label.task, classes, samples)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("format", WRITERS)
def test_labels_of_one_class_of_two_are_read_again(tmp_path: Path, format: str, index: int) -> None:
    """As where a model proposes the same class for all images, for a person to correct."""
    formats.find_writer(format).write(all_of(index, ("cat", "dog")), tmp_path / "out")
    data = formats.read(tmp_path / "out")
    assert data.classes == ("cat", "dog")
    assert [sample.target.index for sample in data] == [index] * 4


@pytest.mark.parametrize("format", WRITERS)
def test_one_class_alone_is_refused(tmp_path: Path, format: str) -> None:
    formats.find_writer(format).write(all_of(0, ("cat",)), tmp_path / "out")
    with pytest.raises(DataError, match=r"two classes or more are expected, found one \('cat'\)"):
        formats.read(tmp_path / "out", format)
