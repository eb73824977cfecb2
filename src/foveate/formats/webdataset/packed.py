"""Samples as they lie in shards: files that share a name, their key, up to its first dot."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from foveate.data.dataset import Skipped, SplitName
from foveate.data.images import PICTURE_SUFFIXES
from foveate.errors import DataError
from foveate.formats._shared.layout import NOT_UTF8, is_hidden, is_utf8, part_of, printable
from foveate.formats.webdataset.shards import Member, members


@dataclass(frozen=True, slots=True)
class Packed:
    """The files of a sample, by their endings. id: the sample's, which is its key unless shards repeat keys"""

    id: str
    shard: Path
    split: SplitName | None
    files: dict[str, Member] = field(default_factory=dict)


def looked_through(shard: Path, folder: Path, skipped: list[Skipped]) -> list[Packed]:
    """The samples of a shard, in order."""
    split = _part(shard, folder)
    packed: dict[str, Packed] = {}
    for member in members(shard):
        if any(is_hidden(name) for name in PurePosixPath(member.name).parts):
            continue
        key, ending = key_of(member)
        if not is_utf8(member.name):
            skipped.append(Skipped(printable(member.name), NOT_UTF8))
        elif not ending:
            skipped.append(Skipped(member.name, "the name has no ending"))
        else:
            files = packed.setdefault(key, Packed(key, shard, split)).files
            if ending in files:
                raise DataError(
                    f"one file of a name is expected, found two of {member.name!r}", where=shard
                )
            files[ending] = member
    return list(packed.values())


def unrepeated(packed: list[Packed], folder: Path, notes: list[str]) -> list[Packed]:
    """The samples with ids of their own."""
    keys = Counter(one.id for one in packed)
    repeated = [key for key, times in keys.items() if times > 1]
    if not repeated:
        return packed
    notes.append(
        f"shards repeat keys (such as {repeated[0]}), so the shard's name was put before every one"
    )
    return [
        replace(one, id=f"{one.shard.relative_to(folder).as_posix()}/{one.id}") for one in packed
    ]


def key_of(member: Member) -> tuple[str, str]:
    """What the files of a sample share, and the ending: all behind the first dot of the name, in lower case."""
    name = PurePosixPath(member.name)
    stem, _, ending = name.name.partition(".")
    return str(name.with_name(stem)) if stem else str(name), ending.lower()


def is_picture(ending: str) -> bool:
    return f".{ending}" in PICTURE_SUFFIXES


def _part(shard: Path, folder: Path) -> SplitName | None:
    """The part that a shard's name or its folder tells."""
    words = re.split(r"[^A-Za-z]+", shard.relative_to(folder).as_posix())
    splits = {split for word in words if (split := part_of(word))}
    if len(splits) > 1:
        raise DataError(
            f"one part is expected in the shard's name, found {' and '.join(sorted(splits))}",
            where=shard,
            remedy="Rename it.",
        )
    return next(iter(splits), None)
