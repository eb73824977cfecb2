"""Files of the user opened for reading: regular files only.

A pipe would make the reader wait forever, and a device such as /dev/zero would fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

NOT_REGULAR = "a file is expected, this is a folder or a device"
"""The message of the error for anything else, a pipe included."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # if it has become a pipe since its status was read
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_regular(path: Path | str) -> BufferedReader:
    """Open a file for binary reading.

    Raises:
        OSError: If it cannot be opened, or is not a regular file; `strerror` says why.
    """
    return os.fdopen(descriptor_of(path), "rb")


def descriptor_of(path: Path | str) -> int:
    """Open a file for reading; see `open_regular`. The caller closes the descriptor."""
    try:
        _require_regular(Path(path).stat(), path)  # before it is opened: some devices act on that
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: Path | str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: As `open_regular` does.
    """
    with open_regular(path) as file:
        try:
            return file.read()
        except MemoryError:
            raise OSError(errno.ENOMEM, "the file does not fit into memory", str(path)) from None


def _require_regular(status: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
