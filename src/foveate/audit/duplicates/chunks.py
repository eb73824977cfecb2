"""Work on many rows in chunks, one thread a processor."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def in_chunks(work: Callable[[slice], None], count: int, size: int) -> None:
    """Call `work` with the slices of `count` rows, each of up to `size`.

    Calls overlap, as NumPy releases the interpreter's lock in long operations. Each must write to
    rows of its own only.
    """
    size = max(1, min(size, -(-count // (os.cpu_count() or 1))))
    slices = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    if len(slices) < 2:
        for one in slices:
            work(one)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, slices))
