"""Arrays that take long to compute, kept beside the decoded images: the features of a net.

A file that is damaged or cannot be written costs time and nothing else.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import atomic_io
from foveate.data.cache import store
from foveate.errors import StorageError
from foveate.regular_file import open_regular

MAX_BYTES = 2 * 10**9
"""Bytes that all arrays may take together; the least recently used ones go first."""
_SUFFIX = ".npy"


def load(key: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return the array that was saved under a key, or None.

    Args:
        key: 32 hex digits.
        shape: The shape that is expected.
    """
    path = _folder() / f"{key}{_SUFFIX}"
    try:
        with open_regular(path) as file:
            array: NDArray[Any] = np.load(file, allow_pickle=False)
        path.touch()
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.float32 else None


def save(key: str, array: NDArray[np.float32]) -> None:
    """Keep an array under a key, if there is room."""
    if array.nbytes > min(MAX_BYTES, store.max_bytes() / 2):
        return
    folder = _folder()
    with contextlib.suppress(OSError, StorageError):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_io.new_file(folder / f"{key}{_SUFFIX}") as file:
            np.save(file, array)
        files = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if total <= MAX_BYTES:
                break
            total -= path.stat().st_size
            path.unlink()


def _folder() -> Path:
    return store.computed("features")
