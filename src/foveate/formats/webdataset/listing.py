"""List what shards hold: the places of their images, and the bytes of their annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from foveate.data.dataset import Skipped
from foveate.errors import DataError
from foveate.formats.webdataset.annotations import SUFFIXES, task_of
from foveate.formats.webdataset.samples import ShardSample, samples_in
from foveate.formats.webdataset.shards import read_member
from foveate.regular_file import open_regular

_MAX_ANNOTATION_BYTES = 1 << 26  # bytes


@dataclass(frozen=True)
class Listing:
    """What some shards hold.

    Attributes:
        entries: The samples, in order, with their annotations.
        skipped: The files that cannot be used.
    """

    entries: list[ShardSample]
    skipped: list[Skipped]


def list_shards(shards: Sequence[Path], folder: Path) -> Listing:
    """List the samples of some shards, with the bytes of their annotations.

    Args:
        shards: The archives.
        folder: The folder that they lie in or below.
    """
    skipped: list[Skipped] = []
    entries = [entry for shard in shards for entry in samples_in(shard, folder, skipped)]
    suffixes = {suffix for entry in entries for suffix in entry.files}
    first = next((entry for entry in entries if "json" in entry.files), None)
    data = None
    if first is not None:
        with open_regular(first.shard) as file:
            data = _annotation_bytes(first, "json", file)
    try:
        needed = SUFFIXES[task_of(suffixes, data)]
    except ValueError:  # reported when all shards are listed
        needed = ("json",)
    for shard, inside in groupby(entries, key=lambda entry: entry.shard):
        with open_regular(shard) as file:
            for entry in inside:
                for suffix in needed:
                    if suffix in entry.files:
                        entry.annotations[suffix] = _annotation_bytes(entry, suffix, file)
    return Listing(entries, skipped)


def _annotation_bytes(entry: ShardSample, suffix: str, file: BinaryIO) -> bytes:
    member = entry.files[suffix]
    if member.size > _MAX_ANNOTATION_BYTES:
        raise DataError(
            f"an annotation of at most {_MAX_ANNOTATION_BYTES:,} bytes is expected, "
            f"{member.name!r} has {member.size:,}",
            where=entry.shard,
        )
    return read_member(file, member)
