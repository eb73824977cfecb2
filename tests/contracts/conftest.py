"""Shared by the tests of contracts."""

from __future__ import annotations

from typing import Any

import pytest

from foveate import formats
from foveate.data.dataset import Dataset
from helpers.format_examples import first_stored


@pytest.fixture
def stored(format: formats.Format, tmp_path_factory: pytest.TempPathFactory) -> Dataset[Any]:
    """An example that the format can store."""
    return first_stored(format, tmp_path_factory.mktemp("examples") / "in")
