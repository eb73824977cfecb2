"""File names without a suffix, for layouts where files that belong together share a stem."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from foveate.data.dataset import Dataset
from foveate.formats._shared.layout import split_of
from foveate.formats._shared.writing import safe_names

_MAX_STEM_BYTES = 200  # file systems take 255, with the suffix and a number

# Readers would take folders with these names for part of the layout.
_RESERVED = frozenset({"images", "instances", "masks"})

# Line ends, characters that XML cannot hold, and spaces at either end of a name.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|^\s|\s$|\s(?=\.\w+$)"
)
_LAYOUT_FOLDERS = ("JPEGImages", "images", "train", "val", "valid", "test") * 2


def file_stems(dataset: Dataset[Any], prefixes: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return a file stem and an image suffix for each sample.

    A stem is made from the sample's id. It has no folders and no dots, and differs from all others
    even where case is ignored.

    Args:
        dataset: The samples.
        prefixes: For each sample the leading folders of its id that are left out.
    """
    stems: list[tuple[str, str]] = []
    taken: set[str] = set()
    for name in safe_names(dataset, prefixes):
        suffix = PurePosixPath(name).suffix
        plain = name.removesuffix(suffix).replace("/", "-").replace(".", "_")
        plain = plain.encode(errors="replace")[-_MAX_STEM_BYTES:].decode(errors="ignore")
        plain = f"_{plain}" if split_of(plain) or plain.casefold() in _RESERVED else plain
        stem, number = plain, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{plain}-{number}"
        taken.add(stem.casefold())
        stems.append((stem, suffix))
    return stems


def line_stems(dataset: Dataset[Any]) -> list[tuple[str, str]]:
    """Return `file_stems` that can be written as a line of a list and as text in XML.

    The folder names of the usual layouts are left out of them.
    """
    samples = [replace(sample, id=_UNSAFE.sub("_", sample.id)) for sample in dataset]
    return file_stems(replace(dataset, samples=samples), [_LAYOUT_FOLDERS] * len(samples))
