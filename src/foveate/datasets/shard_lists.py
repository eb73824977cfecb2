"""Load WebDataset shards that are named by a pattern or an address instead of a path.

data/shard-{000..003}.tar                       four shards, of all that lie there
https://host/data/{train,test}-{00..09}.tar     fetched into the cache folder once
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from foveate.data.dataset import Dataset
from foveate.datasets import remote
from foveate.errors import DataError
from foveate.formats import expand_user, webdataset
from foveate.formats._shared.layout import CLASSES_FILE

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MAX_SHARDS = 100_000


def is_shard_list(data: str) -> bool:
    """Return whether this names shards by an address, or by a pattern with braces."""
    if remote.is_address(data):
        return True
    return bool(_BRACES.search(data)) and data.lower().endswith(".tar") and not Path(data).exists()


def read(data: str, format: str | None = None) -> Dataset[Any]:
    """Read the shards; loading the dataset's origin reads them again.

    Args:
        data: The pattern or the address.
        format: The format that the user asked for, or None.

    Raises:
        DataError: If it names no shards, or if a shard is not there or cannot be read.
    """
    if format not in (None, webdataset.NAME):
        raise DataError(
            f"a folder or a file is expected for the format {format}, got the names of shards",
            where=data,
        )
    notes: list[str] = []
    if remote.is_address(data):
        origin, shards = data, _fetched(data, notes)
    else:
        path = expand_user(data).absolute()
        origin, shards = str(path), [Path(one) for one in expand(str(path))]
        if not shards:
            raise DataError("the names of shards are expected, got none", where=data)
        if missing := [shard for shard in shards if not shard.is_file()]:
            raise DataError(
                f"{len(shards):,} shards are expected, {len(missing):,} of them are not there",
                where=missing[0],
                remedy="Correct the numbers in the braces.",
            )
    name = re.sub(r"[-_.]?\{.*?\}", "", Path(remote.file_name(data)).stem) or "shards"
    dataset = webdataset.read_shards(shards, shards[0].parent, name, origin)
    return replace(dataset, format=webdataset.NAME, notes=(*notes, *dataset.notes))


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern stands for: {000..003} are numbers, {a,b} are words.

    Raises:
        DataError: If there are too many.
    """
    parts = _BRACES.split(pattern)
    choices = [_choices(part) if odd % 2 else [part] for odd, part in enumerate(parts)]
    count = 1
    for words in choices:
        count *= len(words)
    if count > _MAX_SHARDS:
        raise DataError(
            f"at most {_MAX_SHARDS:,} shards are expected, got {count:,}", where=pattern
        )
    return ["".join(words) for words in product(*choices)]


def _choices(inside: str) -> list[str]:
    if match := _RANGE.fullmatch(inside):
        first, last = int(match[1]), int(match[2])
        if last - first < _MAX_SHARDS:
            return [str(number).zfill(len(match[1])) for number in range(first, last + 1)]
        return [""] * (_MAX_SHARDS + 1)  # refused by `expand`
    return inside.split(",")


def _fetched(data: str, notes: list[str]) -> list[Path]:
    """Fetch the shards at an address, and the names of the classes beside them."""
    addresses = expand(data)
    names = Counter(map(remote.file_name, addresses))
    wrong = [name for name in names if not name.lower().endswith(".tar")]
    if wrong or not names or max(names.values()) > 1:
        raise DataError(
            "the address of shards is expected, each with its own name that ends in .tar, "
            f"got {(wrong or names.most_common(1)[0])[0]!r}",
            where=data,
            remedy="An address looks like https://host/data/train-{000..099}.tar. Download other "
            "data yourself and give its folder.",
        )
    folder = remote.cache_folder(data)
    places = [place for address in addresses if (place := remote.fetch(address, folder, notes))]
    remote.fetch(addresses[0].rpartition("/")[0] + f"/{CLASSES_FILE}", folder, [], needed=False)
    return places
