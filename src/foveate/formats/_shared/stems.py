"""Names for samples in layouts where files that belong together share a name, so that endings can't tell two apart."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from foveate.data.dataset import Dataset
from foveate.formats._shared.layout import part_of
from foveate.formats._shared.writing import safe_names

_LONGEST = 200  # bytes; file systems take 255, with the ending and a number

# A folder of such a name would be taken for what it says.
_TAKEN = frozenset({"images", "masks"})


def file_stems(dataset: Dataset[Any], leave_out: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """For each sample a name without folders and dots, made from its id, and the ending of its picture's file.

    The names differ even where case is ignored. leave_out: see `safe_names`
    """
    stems: list[tuple[str, str]] = []
    taken: set[str] = set()
    for name in safe_names(dataset, leave_out):
        ending = PurePosixPath(name).suffix
        plain = name.removesuffix(ending).replace("/", "-").replace(".", "_")
        plain = plain.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")
        plain = f"_{plain}" if part_of(plain) or plain.casefold() in _TAKEN else plain
        stem, number = plain, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{plain}-{number}"
        taken.add(stem.casefold())
        stems.append((stem, ending))
    return stems
