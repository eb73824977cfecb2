"""Shared by the tests of data."""

import pytest

from foveate.data.cache import workers


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def decoded(monkeypatch):
    """How many images were decoded in each call for all of a set, in a list that grows."""
    counts, read_all = [], workers.read_all

    def counting(sources, wanted):
        counts.append(len(sources))
        return read_all(sources, wanted)

    monkeypatch.setattr(workers, "read_all", counting)
    return counts
