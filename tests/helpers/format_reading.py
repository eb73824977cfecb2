"""Helpers that tests of readers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foveate import formats
from foveate.annotations import boxes_of
from foveate.data.dataset import Dataset
from foveate.errors import DataError


def boxes(data: Dataset[Any]) -> dict[str, list[list[float]]]:
    """Return the corners of the objects in each image."""
    return {sample.id: boxes_of(sample.target).corners.tolist() for sample in data}


def named(data: Dataset[Any]) -> dict[str, list[str]]:
    """Return the class names of the objects in each image."""
    return {
        sample.id: [data.classes[k] for k in boxes_of(sample.target).classes] for sample in data
    }


def skipped(data: Dataset[Any]) -> dict[str, str]:
    """Return the reason for each skipped sample."""
    return {one.id: one.reason for one in data.skipped}


def refusing(format: str) -> Callable[..., DataError]:
    """Return a function that expects one error with all of the words when it reads a path."""

    def refused(path: Path, *words: str) -> DataError:
        with pytest.raises(DataError) as caught:
            formats.read(path, format)
        for word in words:
            assert word in str(caught.value)
        return caught.value

    return refused
