"""The key of a dataset's decoded images: it changes with any sample or file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import PIL

from foveate.data.cache import file
from foveate.data.dataset import Sample
from foveate.data.image_stats import IMAGE_STATS


def cache_key(samples: Sequence[Sample[Any]]) -> str | None:
    """Compute a key that changes with any sample's id or file.

    As in git's index, a file counts as unchanged while its path, its size and its times (mtime and
    ctime, in nanoseconds) are the same: reading every file again would cost what the cache saves.

    Returns:
        32 hex digits; None if a sample does not lie in a file, since it is in memory already.
    """
    digest = blake2b(
        f"{file.FORMAT} {PIL.__version__} {IMAGE_STATS.descr}".encode(), digest_size=16
    )
    stamps: dict[str, str] = {}
    for sample in samples:
        path = getattr(sample.source, "path", None)
        # The repr of a dataclass is complete; another source may depend on more than its path.
        if not isinstance(path, Path) or not is_dataclass(sample.source):
            return None
        full = str(path.absolute())
        if full not in stamps:  # many images may lie in one file
            stamps[full] = _stamp(path)
        line = f"{sample.id}\0{full}\0{stamps[full]}\0{sample.source!r}\0"
        digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):  # it is skipped when it is read
        return "cannot be looked at"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
