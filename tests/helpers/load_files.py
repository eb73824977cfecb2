"""Small folders that tests of loading share, and what they ask again and again."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image
import pytest

from foveate.data.dataset import Dataset
from foveate.datasets.load import load
from foveate.errors import DataError


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (4, 3), shade).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()


def lay(root: Path, *files: str, content: bytes = PICTURE) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)
    return root


def ids(dataset: Dataset) -> list[str]:
    return [sample.id for sample in dataset]


def names(dataset: Dataset) -> list[str]:
    return [dataset.classes[sample.target.index] for sample in dataset]


def skipped(dataset: Dataset) -> dict[str, str]:
    return {one.id: one.reason for one in dataset.skipped}


def refused(path: Path | str, *words: str, format: str | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, format=format)
    for word in words:
        assert word in str(caught.value)
    return caught.value
