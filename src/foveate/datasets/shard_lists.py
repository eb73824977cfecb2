"""Load WebDataset shards that are named by a pattern or an address instead of a path.

data/shard-{000..003}.tar                       four shards, of all that lie there
https://host/data/{train,test}-{00..09}.tar     fetched into the cache folder once
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from foveate.data.dataset import Dataset
from foveate.datasets import remote, remote_shards
from foveate.datasets.remote_shards import OverMachines, on_this_machine
from foveate.errors import DataError
from foveate.formats import expand_user, webdataset

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MAX_SHARDS = 100_000


def is_shard_list(data: str) -> bool:
    """Return whether this names shards by an address, or by a pattern with braces."""
    if remote.is_address(data):
        return True
    return bool(_BRACES.search(data)) and data.lower().endswith(".tar") and not Path(data).exists()


def read(
    data: str, format: str | None = None, over_machines: OverMachines = on_this_machine
) -> Dataset[Any]:
    """Read the shards; loading the dataset's origin reads them again.

    Args:
        data: The pattern or the address.
        format: The format that the user asked for, or None.
        over_machines: Has each machine fetch some of the shards at an address.

    Raises:
        DataError: If it names no shards, or if a shard is not there or cannot be read.
    """
    if format not in (None, webdataset.NAME):
        raise DataError(
            f"a folder or a file is expected for the format {format}, got the names of shards",
            where=data,
        )
    name = re.sub(r"[-_.]?\{.*?\}", "", Path(remote.file_name(data)).stem) or "shards"
    if remote.is_address(data):
        dataset = remote_shards.read(data, expand(data), name, over_machines)
        return replace(dataset, format=webdataset.NAME)
    path = expand_user(data).absolute()
    shards = [Path(one) for one in expand(str(path))]
    if not shards:
        raise DataError("the names of shards are expected, got none", where=data)
    if missing := [shard for shard in shards if not shard.is_file()]:
        raise DataError(
            f"{len(shards):,} shards are expected, {len(missing):,} of them are not there",
            where=missing[0],
            remedy="Correct the numbers in the braces.",
        )
    dataset = webdataset.read_shards(shards, shards[0].parent, name, str(path))
    return replace(dataset, format=webdataset.NAME)


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
