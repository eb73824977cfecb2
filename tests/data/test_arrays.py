"""Kept arrays come back as they were; whatever happens to the file costs time alone."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.data.cache import arrays

KEY = "0" * 32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path))


def made(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((rows, 4), np.float32)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_an_array_comes_back(rows):
    arrays.save(KEY, made(rows))
    assert np.array_equal(arrays.load(KEY, (rows, 4)), made(rows))


def test_what_is_missing_damaged_or_of_another_shape_is_none(tmp_path):
    assert arrays.load(KEY, (3, 4)) is None
    arrays.save(KEY, made())
    assert arrays.load(KEY, (4, 4)) is None
    path = tmp_path / "features" / f"{KEY}.npy"
    for data in (b"", b"\0" * 100, path.read_bytes()[:-1]):
        path.write_bytes(data)
        assert arrays.load(KEY, (3, 4)) is None
    np.save(path, made().astype(object), allow_pickle=True)
    assert arrays.load(KEY, (3, 4)) is None


def test_the_least_recently_used_go_first(monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", 2 * made().nbytes + 300)
    import os

    for number, key in enumerate("abc"):
        arrays.save(key * 32, made())
        path = arrays._folder() / f"{key * 32}.npy"
        if path.exists():
            os.utime(path, (number, number))
    assert arrays.load("a" * 32, (3, 4)) is None
    assert arrays.load("c" * 32, (3, 4)) is not None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "file"))
    arrays.save(KEY, made())
    assert arrays.load(KEY, (3, 4)) is None
