"""Work on many files at once, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_CHUNK = 8  # items that a thread takes at a time


def map_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply a function in threads, in order; Pillow decodes without the interpreter's lock."""
    listed = list(items)
    chunks = [listed[start : start + _CHUNK] for start in range(0, len(listed), _CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda chunk: [function(item) for item in chunk], chunks)
        return [result for results in done for result in results]
