"""Shared by the tests of contracts."""

from __future__ import annotations

from typing import Any

import pytest
from examples import common

from foveate.data import formats
from foveate.data.dataset import Dataset


@pytest.fixture
def held(format: formats.Format, tmp_path_factory: pytest.TempPathFactory) -> Dataset[Any]:
    """An example that the format can hold."""
    return common(format, tmp_path_factory.mktemp("tried") / "in")
