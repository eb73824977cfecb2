"""Group the files in shards into samples: files that share a name up to its suffix, the key."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from foveate.data.dataset import Skipped, SplitName
from foveate.data.images import IMAGE_SUFFIXES
from foveate.errors import DataError
from foveate.formats._shared.layout import NOT_UTF8, is_hidden, is_utf8, printable, split_of
from foveate.formats.webdataset.shards import Member, iter_members

_NO_WORD = re.compile(r"(^|\.)[^A-Za-z.]|[^\w.]")  # part of a number, or with a blank


@dataclass(frozen=True, slots=True)
class ShardSample:
    """The files of a sample.

    Attributes:
        id: The sample's id, which is its key unless shards repeat keys.
        shard: The archive.
        split: The split, or None.
        files: The files by suffix.
        annotations: The bytes of those that annotate, by suffix.
    """

    id: str
    shard: Path
    split: SplitName | None
    files: dict[str, Member] = field(default_factory=dict)
    annotations: dict[str, bytes] = field(default_factory=dict)


def samples_in(shard: Path, folder: Path, skipped: list[Skipped]) -> list[ShardSample]:
    """Return the samples of a shard, in order.

    Args:
        shard: The archive.
        folder: The folder that ids are relative to.
        skipped: A list that unusable files are added to.

    Raises:
        DataError: If the archive cannot be read, or if it has two files with one name.
    """
    split = _split_of(shard, folder)
    samples: dict[str, ShardSample] = {}
    for member in iter_members(shard):
        if any(is_hidden(name) for name in PurePosixPath(member.name).parts):
            continue
        key, suffix = key_and_suffix(member)
        if not is_utf8(member.name):
            skipped.append(Skipped(printable(member.name), NOT_UTF8))
        elif not suffix:
            skipped.append(Skipped(member.name, "the name has no suffix"))
        else:
            files = samples.setdefault(key, ShardSample(key, shard, split)).files
            if suffix in files:
                raise DataError(
                    f"one file per name is expected, found two of {member.name!r}", where=shard
                )
            files[suffix] = member
    return list(samples.values())


def with_unique_ids(
    samples: list[ShardSample], folder: Path, notes: list[str]
) -> list[ShardSample]:
    """Return the samples, with the shard in their ids if shards repeat keys."""
    keys = Counter(entry.id for entry in samples)
    repeated = [key for key, times in keys.items() if times > 1]
    if not repeated:
        return samples
    notes.append(
        f"shards repeat keys (such as {repeated[0]}), so ids begin with the name of the shard"
    )
    return [
        replace(entry, id=f"{entry.shard.relative_to(folder).as_posix()}/{entry.id}")
        for entry in samples
    ]


def key_and_suffix(member: Member) -> tuple[str, str]:
    """Return the key of a file, and its suffix in lower case.

    The suffix is all after the first dot of the last part of the name, as in WebDataset: `seg.png`
    of `1.seg.png`. Where a part of it is no word, as in `img_0.25.png`, `v1.2_a.cls`
    or `2024.01.31.jpg`, the dots belong to the key and the suffix begins after the last one.
    """
    name = PurePosixPath(member.name)
    stem, _, suffix = name.name.partition(".")
    if _NO_WORD.search(suffix.rpartition(".")[0]):
        stem, _, suffix = name.name.rpartition(".")
    return str(name.with_name(stem)) if stem else str(name), suffix.lower()


def is_image_suffix(suffix: str) -> bool:
    """Return whether a suffix without its dot is an image's."""
    return f".{suffix}" in IMAGE_SUFFIXES


def _split_of(shard: Path, folder: Path) -> SplitName | None:
    """Return the split that the name of a shard or of its folder gives."""
    words = re.split(r"[^A-Za-z]+", shard.relative_to(folder).as_posix())
    splits = {split for word in words if (split := split_of(word))}
    if len(splits) > 1:
        raise DataError(
            f"one split is expected in the shard's name, found {' and '.join(sorted(splits))}",
            where=shard,
            remedy="Rename it.",
        )
    return next(iter(splits), None)
