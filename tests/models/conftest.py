"""Shared by the tests of models."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _in_one_thread(one_thread):
    """In every test of this folder."""
