"""Helpers for formats with a sidecar file per image: read the files, name them, measure images."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource, size
from foveate.errors import DataError
from foveate.formats._shared.files.stems import file_stems
from foveate.regular_file import open_regular

MAX_COORDINATE = 1e9
"""No image has coordinates beyond it, in pixels or in widths of the image."""

# Line ends, characters that XML cannot hold, and spaces at either end of a name.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|^\s|\s$|\s(?=\.\w+$)"
)
_LAYOUT_FOLDERS = ("JPEGImages", "images", "train", "val", "valid", "test") * 2


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


def line_stems(dataset: Dataset[Any]) -> list[tuple[str, str]]:
    """Return `file_stems` that can be written as a line of a list and as text in XML.

    The folder names of the usual layouts are left out of them.
    """
    samples = [replace(sample, id=_UNSAFE.sub("_", sample.id)) for sample in dataset]
    return file_stems(replace(dataset, samples=samples), [_LAYOUT_FOLDERS] * len(samples))


def image_size(sample: Sample[Any]) -> tuple[int, int]:
    """Return the height and width of a sample's image in pixels.

    Raises:
        BadImage: If the image cannot be read.
    """
    if isinstance(sample.source, FileSource):
        return size(sample.source.path)
    height, width = sample.source.read().shape[:2]
    return height, width
