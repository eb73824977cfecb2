"""Read text files of strangers, with a limit of size and one clear error for another encoding."""

from __future__ import annotations

import os
from pathlib import Path

from foveate.errors import DataError
from foveate.regular_file import open_regular


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Read a file of limited size.

    Raises:
        DataError: If it is larger than `max_bytes`.
        OSError: If it cannot be opened, or is not a regular file.
    """
    with open_regular(path) as file:
        size_now = os.fstat(file.fileno()).st_size
        data = file.read(min(size_now, max_bytes) + 1)  # reserving more memory costs time
    if len(data) > max_bytes:
        raise DataError(
            f"a file of at most {max_bytes:,} bytes is expected, this one is larger", where=path
        )
    return data


def read_text(path: Path, max_bytes: int) -> str:
    """Read a UTF-8 file of limited size.

    Raises:
        DataError: If it is larger than `max_bytes`, or not UTF-8; the error names the line.
        OSError: If it cannot be opened, or is not a regular file.
    """
    data = read_bytes(path, max_bytes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            "text in UTF-8 is expected", where=path, line=line, remedy="Save the file as UTF-8."
        ) from None
