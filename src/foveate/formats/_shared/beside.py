"""What formats share that put a text file beside each picture: reading such files, names and sizes of the pictures."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource, size
from foveate.errors import DataError
from foveate.formats._shared.stems import file_stems

LARGEST_NUMBER = 1e9
"""No picture has places beyond it, in pixels or in widths of the picture."""

# What would end a line of a list or be no character of XML, and a space at either end of a name.
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|^\s|\s$|\s(?=\.\w+$)")
_LAYOUT = ("JPEGImages", "images", "train", "val", "valid", "test") * 2


def read_bytes(path: Path, most: int) -> bytes:
    """What a file holds. Raises DataError if it is no file or larger than `most` bytes, OSError as `open` does."""
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would make the reader wait forever
        raise DataError("a file is expected, this is a folder or a device", where=path)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DataError(
            f"a file of at most {most:,} bytes is expected, this one is larger", where=path
        )
    return data


def read_text(path: Path, most: int) -> str:
    """The same as text. Raises DataError, with the line, if it is not in UTF-8."""
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            "text in UTF-8 is expected", where=path, line=line, remedy="Save the file as UTF-8."
        ) from None


def line_stems(dataset: Dataset[Any]) -> list[tuple[str, str]]:
    """`file_stems` that can be a line of a list and a word of XML, without the folders that such layouts begin with."""
    samples = [replace(sample, id=_ODD.sub("_", sample.id)) for sample in dataset]
    return file_stems(replace(dataset, samples=samples), [_LAYOUT] * len(samples))


def size_of(sample: Sample[Any]) -> tuple[int, int]:
    """Height and width of a sample's picture. Raises BadImage if it cannot be read."""
    if isinstance(sample.source, FileSource):
        return size(sample.source.path)
    height, width = sample.source.read().shape[:2]
    return height, width
