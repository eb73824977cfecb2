"""Shared by the tests of contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foveate import formats
from foveate.data.dataset import Dataset
from helpers.format_examples import first_stored, write_example


@pytest.fixture
def stored(
    format: formats.WritableFormat, tmp_path_factory: pytest.TempPathFactory
) -> Dataset[Any]:
    """An example that the format can store."""
    return first_stored(format, tmp_path_factory.mktemp("examples") / "in")


@pytest.fixture
def example(format: formats.Format, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an example of the format, whether it is written or only read."""
    return write_example(format, tmp_path_factory.mktemp("examples") / "data")
