"""The folder of decoded pictures: which file holds which, one maker at a time, and a bound on them all.

A file is filled under another name, under a lock that the system frees when its owner dies, and takes its place by one
rename. So a kill leaves nothing but a file that nobody has locked, which the next maker of any file removes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

import PIL

from foveate.data.cache import file
from foveate.data.dataset import Sample
from foveate.data.image_stats import IMAGE_STATS
from foveate.errors import SettingError

MOST_GB = 20.0
"""Gigabytes (10^9 bytes) that all files may take together, where FOVEATE_CACHE_GB says nothing."""

_NAME = re.compile(
    r"[0-9a-f]{32}-\d+(letterbox)?x\d+\.(pictures|partial)"
)  # nothing else is ever touched


class NoRoom(Exception):
    """Pictures cannot be kept on disk. reason: why, as half a sentence; remedy: what to do about it."""

    def __init__(self, reason: str, remedy: str):
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class CacheEntry:
    """A file of decoded pictures.

    data: the name of the set; shape: (N, S, S, C) of its pixels, None if it is damaged
    size: in bytes; used: when last, in seconds since 1970
    """

    path: Path
    data: str
    shape: tuple[int, int, int, int] | None
    size: int
    used: float


# --- which file


def root() -> Path:
    """The folder for pictures in FOVEATE_CACHE, else in XDG_CACHE_HOME/foveate, else in ~/.cache/foveate.

    Raises SettingError if there is no such home.
    """
    told = os.environ.get("FOVEATE_CACHE")
    try:
        place = Path(told or os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        raise SettingError(
            f"a folder is expected, got {told or '~/.cache'!r} ({error})", where="FOVEATE_CACHE"
        ) from None
    return (place if told else place / "foveate").absolute() / "pictures"


def key(samples: Sequence[Sample[Any]]) -> str | None:
    """What these pictures are known by: 32 hex digits that change with any of their ids or files.

    A file is taken for unchanged while its path, its size and its times (mtime and ctime, in nanoseconds) are the same, as
    git's index has it; to read every file again would cost what is to be saved. None if a sample is not a file, or a part
    of one: such pictures lie in memory already.
    """
    digest = blake2b(
        f"{file.FORMAT} {PIL.__version__} {IMAGE_STATS.descr}".encode(), digest_size=16
    )
    stamps: dict[str, str] = {}
    for sample in samples:
        path = getattr(sample.source, "path", None)
        if not isinstance(path, Path) or not is_dataclass(
            sample.source
        ):  # of which repr says all that there is to it
            return None
        full = str(path.absolute())
        if full not in stamps:  # many pictures may lie in one file
            stamps[full] = _stamp(path)
        told = f"{sample.id}\0{full}\0{stamps[full]}\0{sample.source!r}\0"
        digest.update(told.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except (OSError, ValueError):  # it is skipped when it is read
        return "cannot be looked at"
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def place(key: str, size: int, channels: int | None, letterbox: bool = False) -> Path:
    """Where these pictures are kept at this size; channels None: as many as they have."""
    return root() / f"{key}-{size}{'letterbox' * letterbox}x{channels or 0}.pictures"


def all_sizes(key: str) -> list[Path]:
    """All files with these pictures, with as many channels as they have."""
    return [
        path
        for path in _files(".pictures")
        if path.name.startswith(key) and path.stem.endswith("x0")
    ]


def recall(path: Path) -> file.CachedImages | None:
    """What this file holds, or None if there is none; a damaged one is removed. Raises OSError if it cannot be read."""
    try:
        found = file.read(path)
    except FileNotFoundError:
        return None
    except ValueError:
        path.unlink(missing_ok=True)
        return None
    with contextlib.suppress(OSError):  # a cache that may only be read is of use too
        os.utime(path)
    return found


# --- one maker at a time


@contextmanager
def making(path: Path, tell: Callable[[str], None]) -> Iterator[int]:
    """A descriptor of an empty, locked file, which takes its place at `path` if the block ends well and has filled it.

    Where another process makes the same file, that is told, and waited for. Raises OSError.
    """
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(partial, tell)
    try:
        os.ftruncate(descriptor, 0)  # it may be from one who was killed
        yield descriptor
        if os.fstat(descriptor).st_size:
            partial.replace(path)
            _sync(path.parent)
    finally:
        if _stands(descriptor, partial):
            partial.unlink()
        os.close(descriptor)  # and with it goes the lock


def _locked(path: Path, tell: Callable[[str], None]) -> int:
    if fcntl is None:
        raise OSError("files cannot be locked on this system")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _try_lock(descriptor):
                tell("another process is decoding these pictures; waiting for it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _stands(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # while we waited it was finished, or given up and removed


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stands(descriptor: int, path: Path) -> bool:
    """Whether the file that is open is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- a bound on them all


def most_bytes() -> float:
    """That all files may take together. Raises SettingError if FOVEATE_CACHE_GB is no number."""
    told = os.environ.get("FOVEATE_CACHE_GB") or MOST_GB
    try:
        if (gigabytes := float(told)) >= 0:
            return gigabytes * 1e9
    except ValueError:
        pass
    raise SettingError(
        f"a number of gigabytes, 0 or more, is expected, got {told!r}", where="FOVEATE_CACHE_GB"
    )


def entries() -> list[CacheEntry]:
    """All that is kept, least recently used first."""
    found = []
    for path in _files(".pictures"):
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            status = path.stat()
            try:
                record = file.read_record(path)
                found.append(
                    CacheEntry(path, record.data, record.shape, status.st_size, status.st_mtime)
                )
            except ValueError:
                found.append(CacheEntry(path, "(damaged)", None, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def make_room(wanted: int) -> None:
    """Remove what killed processes left, and least recently used files, until `wanted` bytes more fit the bound and the
    disk. Raises NoRoom, before any file is removed, if they never will.
    """
    sweep()
    old, bound, free = entries(), most_bytes(), shutil.disk_usage(root()).free
    taken = sum(entry.size for entry in old)
    if wanted > bound:
        raise NoRoom(
            f"they take {in_words(wanted)}, and the cache may take {in_words(bound)}",
            "Allow more with FOVEATE_CACHE_GB, or use a smaller --size.",
        )
    if wanted > free + taken:
        raise NoRoom(
            f"they take {in_words(wanted)}, and the disk of {root()} has {in_words(free)} free",
            "Name a larger disk with FOVEATE_CACHE, or use a smaller --size.",
        )
    for entry in old:
        if taken + wanted <= bound and wanted <= free:
            return
        entry.path.unlink(missing_ok=True)  # who has it mapped keeps what he has
        taken, free = taken - entry.size, free + entry.size


def sweep() -> int:
    """Remove files in the making whose makers are gone: nobody holds their locks. Returns the bytes that were freed."""
    freed = 0
    for path in _files(".partial"):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _try_lock(descriptor) and _stands(descriptor, path):
                    freed += os.fstat(descriptor).st_size
                    path.unlink()
            finally:
                os.close(descriptor)
    return freed


def clear() -> int:
    """Remove all but what is just being made. Returns the bytes that were freed."""
    freed = sweep()
    for entry in entries():
        entry.path.unlink(missing_ok=True)
        freed += entry.size
    return freed


def _files(suffix: str) -> list[Path]:
    try:
        return sorted(
            path
            for path in root().iterdir()
            if path.suffix == suffix and _NAME.fullmatch(path.name)
        )
    except FileNotFoundError:
        return []


def row(entry: CacheEntry) -> tuple[str, ...]:
    """What a person is told of a file: data, pictures, their size, bytes, when last used."""
    count, side = (
        ("", "") if entry.shape is None else (f"{entry.shape[0]:,}", f"{entry.shape[1]} px")
    )
    used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
    return entry.data, count, "no pixels" if side == "0 px" else side, in_words(entry.size), used


def in_words(count: float) -> str:
    """Bytes for people: 1234567 -> "1.2 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
