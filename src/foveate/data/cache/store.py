"""The folder of decoded images: which file holds which dataset, one writer at a time, a size limit.

A file is written under another name while a lock is held, and takes its place by one rename. The
system frees the lock when its owner dies, so a kill leaves only a partial file, which the next
writer of any file removes. Lock files stay: removing one would let two processes lock two files of
one name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from foveate.data.cache import file
from foveate.data.cache.workers import DecodeSpec
from foveate.errors import DataError, SettingError

DEFAULT_MAX_GB = 20.0
"""Gigabytes (10^9 bytes) that all files may take together, unless FOVEATE_CACHE_GB says more."""

COMPUTED = ("features", "onnx")
"""Folders beside that of the images: features of images, and converted nets."""
# No file of another name is ever touched.
_NAME = re.compile(r"[0-9a-f]{32}-\d+(letterbox)?x\d+(jpeg)?\.(images|partial)")
_COMPUTED_NAME = re.compile(r"[0-9a-f]{32}\.(npy|onnx)")


class NoRoom(Exception):
    """Images do not fit the cache.

    Args:
        reason: Why, as half a sentence.
        remedy: What to do about it.
    """

    def __init__(self, reason: str, remedy: str):
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class CacheEntry:
    """A file of decoded images.

    Attributes:
        path: The file.
        data: The name of the dataset.
        shape: (N, S, S, C) of its pixels; None if the file is damaged.
        size: In bytes.
        used: Time of the last use, in seconds since 1970.
    """

    path: Path
    data: str
    shape: tuple[int, int, int, int] | None
    size: int
    used: float


def root() -> Path:
    """Return the folder of decoded images.

    It is `images` in FOVEATE_CACHE, else in XDG_CACHE_HOME/foveate, else in ~/.cache/foveate.

    Raises:
        SettingError: If there is no such home.
    """
    setting = os.environ.get("FOVEATE_CACHE")
    try:
        folder = Path(setting or os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        raise SettingError(
            f"a folder is expected, got {setting or '~/.cache'!r} ({error})", where="FOVEATE_CACHE"
        ) from None
    return (folder if setting else folder / "foveate").absolute() / "images"


def computed(name: str) -> Path:
    """Return the folder, beside that of the images, of something else that took time.

    Args:
        name: One of COMPUTED.
    """
    return root().parent / name


def path_for(key: str, spec: DecodeSpec) -> Path:
    """Return the file of these images as specified."""
    shape = f"{spec.size}{'letterbox' * spec.letterbox}x{spec.channels or 0}"
    return root() / f"{key}-{shape}{'jpeg' * (spec.encoding == 'jpeg')}.images"


def paths_of_all_sizes(key: str) -> list[Path]:
    """Return all files of these images that have the images' channels."""
    return [
        path
        for path in _files(".images")
        if path.name.startswith(key) and path.stem.endswith(("x0", "x0jpeg"))
    ]


def open_cached(
    path: Path, on_message: Callable[[str], None], *, for_pixels: bool = True
) -> file.CachedImages | None:
    """Open a file of decoded images. A damaged file is removed, which `on_message` reports.

    Args:
        path: The file.
        on_message: Called with a sentence for the user.
        for_pixels: Whether pixels will be read, and not only hashes and statistics.

    Returns:
        The images, or None if there is no such file.

    Raises:
        OSError: If the file cannot be read.
    """
    try:
        images = file.read(path, check_pixels=for_pixels)
    except FileNotFoundError:
        return None
    except (ValueError, DataError) as error:
        path.unlink(missing_ok=True)
        reason = error.message if isinstance(error, DataError) else str(error)
        on_message(
            f"a damaged cache file was removed, and the images are decoded anew: {path} ({reason})"
        )
        return None
    with contextlib.suppress(OSError):  # a read-only cache is of use too
        os.utime(path)
    return images


@contextmanager
def locked_write(path: Path, on_message: Callable[[str], None]) -> Iterator[int]:
    """Lock a file and write it, complete or not at all.

    Another process that writes the same file is waited for, which `on_message` reports.

    Args:
        path: The file.
        on_message: Called with a sentence for the user.

    Yields:
        The descriptor of an empty file. It takes its place at `path` if the block ends without an
        error and has written something.

    Raises:
        OSError: If the folder cannot be written to.
    """
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with _locked(partial, on_message):
        partial.unlink(missing_ok=True)  # a killed process left it, or it is a link
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial, flags, 0o644)
        try:
            try:
                yield descriptor
                written = os.fstat(descriptor).st_size > 0
            finally:
                os.close(descriptor)  # Windows renames only closed files
            if written:
                partial.replace(path)
                _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _locked(partial: Path, on_message: Callable[[str], None]) -> Iterator[None]:
    lock = _lock_of(partial)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_message("another process is decoding these images; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock_of(partial: Path) -> FileLock:
    folder = partial.parent.parent / "locks"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f"{partial.stem}.lock")


def _sync(folder: Path) -> None:
    """Write the folder's entries to disk, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- the size limit


def max_bytes() -> float:
    """Return the number of bytes that all files may take together.

    Raises:
        SettingError: If FOVEATE_CACHE_GB is no number.
    """
    setting = os.environ.get("FOVEATE_CACHE_GB") or DEFAULT_MAX_GB
    try:
        if (gigabytes := float(setting)) >= 0:
            return gigabytes * 1e9
    except ValueError:
        pass
    raise SettingError(
        f"a number of gigabytes, 0 or more, is expected, got {setting!r}", where="FOVEATE_CACHE_GB"
    )


def entries() -> list[CacheEntry]:
    """List the files, least recently used first."""
    listed = []
    for path in _files(".images"):
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            status = path.stat()
            try:
                record = file.read_record(path)
                data, shape = record.data, record.shape
            except (ValueError, OSError):
                data, shape = "(damaged)", None
            listed.append(CacheEntry(path, data, shape, status.st_size, status.st_mtime))
    return sorted(listed, key=lambda entry: entry.used)


def check_room(needed: int) -> None:
    """Check that `needed` more bytes fit, if all other files are removed.

    Raises:
        NoRoom: If they never fit the limit or the disk.
    """
    if needed > (limit := max_bytes()):
        raise NoRoom(
            f"they take {format_bytes(needed)}, and the cache may take {format_bytes(limit)}",
            "Allow more with FOVEATE_CACHE_GB, or use a smaller --size.",
        )
    free = _free()
    if needed > free + sum(entry.size for entry in entries()):
        raise NoRoom(
            f"they take {format_bytes(needed)}, "
            f"and the disk of {root()} has {format_bytes(free)} free",
            "Name a larger disk with FOVEATE_CACHE, or use a smaller --size.",
        )


def make_room(needed: int) -> None:
    """Remove stale and least recently used files until `needed` more bytes fit.

    Raises:
        NoRoom: If they never fit the limit or the disk; only stale files are removed then.
    """
    remove_stale()
    check_room(needed)
    old, limit, free = entries(), max_bytes(), _free()
    taken = sum(entry.size for entry in old)
    for entry in old:
        if taken + needed <= limit and needed <= free:
            return
        size = _unlink(entry.path, entry.size)
        taken, free = taken - size, free + size


def _free() -> int:
    """Bytes that are free on the disk of the cache, whose folder may not be there yet."""
    folder = root()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def remove_stale() -> int:
    """Remove the partial files of killed processes: nobody holds their locks.

    Returns:
        The number of bytes freed.
    """
    freed = 0
    for path in _files(".partial"):
        with contextlib.suppress(Timeout, FileNotFoundError), _lock_of(path).acquire(timeout=0):
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def clear() -> int:
    """Remove all files but those being written.

    Returns:
        The number of bytes freed.
    """
    freed = remove_stale() + sum(_unlink(entry.path, entry.size) for entry in entries())
    return freed + sum(_unlink(path, size) for path, size in computed_files())


def computed_files() -> list[tuple[Path, int]]:
    """List the files of features and converted nets, with their bytes."""
    found = []
    for path in (path for name in COMPUTED for path in computed(name).glob("*")):
        with contextlib.suppress(FileNotFoundError):
            if _COMPUTED_NAME.fullmatch(path.name) and path.is_file():
                found.append((path, path.stat().st_size))
    return found


def _unlink(path: Path, size: int) -> int:
    """Remove a file; return the number of bytes freed."""
    try:
        path.unlink(missing_ok=True)  # on POSIX, processes that have it open keep it
    except PermissionError:
        if os.name == "nt":  # Windows keeps files that are open
            return 0
        raise
    return size


def _files(suffix: str) -> list[Path]:
    try:
        return sorted(
            path
            for path in root().iterdir()
            if path.suffix == suffix and _NAME.fullmatch(path.name)
        )
    except FileNotFoundError:
        return []


def format_bytes(count: float) -> str:
    """Format a number of bytes: 1234567 -> "1.2 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
