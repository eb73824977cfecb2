"""Keep the memory that a training step frees, for the next step."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


@cache
def raise_malloc_thresholds() -> None:
    """Raise glibc's mmap and trim thresholds to 1 GiB; elsewhere do nothing.

    A training step on the CPU allocates and frees the same megabytes each time. By default glibc
    takes large blocks (from 128 KiB to 32 MiB on) from the kernel and returns them when they are
    freed, so each step pays for fresh, zeroed pages. See mallopt(3); the gain is recorded in
    benchmarks/README.md.
    """
    if platform.libc_ver()[0] == "glibc":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL("libc.so.6").mallopt
            mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            mallopt(_M_TRIM_THRESHOLD, 1 << 30)
