"""Files written whole or not at all: after a kill or on a full disk the old file is intact."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, Any

from foveate import record_io
from foveate.errors import StorageError

MAX_JSON_BYTES = 64_000_000
"""Largest JSON file that is read back."""

_CURES = {
    errno.ENOSPC: "The disk is full: free some space.",
    errno.EDQUOT: "Your quota is used up: free some space.",
    errno.EFBIG: "The file is larger than this system allows (ulimit -f): raise the limit.",
    errno.EROFS: "The disk is read-only: choose another place.",
    errno.EACCES: "You may not write there: choose another place.",
    errno.EPERM: "You may not write there: choose another place.",
}
_TEMPORARY = re.compile(r"\.foveate-[0-9a-f]{16}-(.+)\.tmp", re.DOTALL)
_MAX_NAME_BYTES = 200  # of a file's name in that of its temporary file; systems allow 255 in all


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path`, whole, when the block succeeds.

    The block writes to a file of a random name in the same folder, opened exclusively: no file
    that exists and no link is ever written through. It is synced and renamed, then the folder is
    synced. If the block fails, it is removed, and `path` is as it was.

    Args:
        path: The file; a previous version is replaced.

    Yields:
        The file, open for binary writing.

    Raises:
        StorageError: The file cannot be written; its previous version is untouched.
    """
    name = os.fsdecode(os.fsencode(path.name)[:_MAX_NAME_BYTES])
    temporary = path.with_name(f".foveate-{secrets.token_hex(8)}-{name}.tmp")
    try:
        with os.fdopen(os.open(temporary, _EXCLUSIVE, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the atomic one, by its own name
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        # An error of another file, that the block has met, is not ours.
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            raise _storage_error(error, path) from None
        raise


_EXCLUSIVE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def _storage_error(error: OSError, path: Path) -> StorageError:
    return StorageError(
        f"this file cannot be written ({error.strerror or error}); "
        "its previous version, if any, is untouched",
        where=path,
        cure=storage_cure(error),
    )


def storage_cure(error: OSError) -> str:
    """What removes the cause of a failed write, in the imperative."""
    return _CURES.get(error.errno or 0, "Choose another place.")


@contextlib.contextmanager
def storage_advice(advice: str) -> Iterator[None]:
    """Give a StorageError of the block this advice: what is kept, and how to go on."""
    try:
        yield
    except StorageError as error:
        raise error.with_advice(advice) from None


def is_temporary(path: Path) -> bool:
    """Whether this is the name of a file that `new_file` is writing, or was when it was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(folder: Path, names: Container[str]) -> None:
    """Remove what killed processes left in a folder.

    Args:
        folder: The folder.
        names: Files that no other process is writing to now; only what was to become one of them
            is removed.
    """
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and match[1] in names:
            path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file by `data` in one step; see `new_file`.

    Raises:
        StorageError: The file cannot be written; its previous version is untouched.
    """
    with new_file(path) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the rename stands
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8. Names that are not Unicode (lone surrogates) become backslash escapes."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write strict, indented JSON; numbers that are not finite become null."""
    write_bytes(path, json_bytes(value) + b"\n")


def json_bytes(value: Any, depth: int = 0) -> bytes:
    """Return strict, indented JSON in UTF-8, as it stands `depth` levels deep in a larger value."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    return text.replace("\n", "\n" + " " * depth).encode("utf-8", "backslashreplace")


def json_line(value: Any) -> bytes:
    """Return strict JSON on one line, with its end. Whatever is in a text is written in ASCII."""
    return json.dumps(_finite(value), allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    """A value as strict JSON has it: null for numbers that are not finite, texts as keys."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        return record_io.read_json(path, MAX_JSON_BYTES)
    except FileNotFoundError:
        raise record_io.missing(path) from None
