"""Shared by the tests of contracts."""

from __future__ import annotations

from typing import Any

import pytest

from foveate import formats
from foveate.data.dataset import Dataset
from helpers.format_examples import common


@pytest.fixture
def held(format: formats.Format, tmp_path_factory: pytest.TempPathFactory) -> Dataset[Any]:
    """An example that the format can hold."""
    return common(format, tmp_path_factory.mktemp("tried") / "in")
