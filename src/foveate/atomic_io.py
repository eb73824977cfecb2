"""Files written whole or not at all: after a kill or on a full disk the old file is intact."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from pathlib import Path
from typing import Any

from foveate.errors import RunError

_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space, then resume (foveate train --resume RUN).",
    errno.EDQUOT: "Your quota is used up: free space, then resume (foveate train --resume RUN).",
    errno.EFBIG: "The file is larger than this system allows (ulimit -f).",
    errno.EROFS: "The disk is read-only: choose another place with --out.",
    errno.EACCES: "You may not write there: choose another place with --out.",
}


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file by `data` in one step.

    A temporary file in the same folder is written, synced and renamed, then the folder is synced.

    Raises:
        RunError: The file cannot be written; its previous version is untouched.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the atomic one, by its own name
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(
            f"this file cannot be written ({error.strerror}); "
            "its previous version, if any, is untouched",
            where=path,
            remedy=_REMEDIES.get(error.errno or 0, "Choose another place with --out."),
        ) from None


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
    write_text(
        path, json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def _finite(value: Any) -> Any:
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
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            "this file is missing",
            where=path,
            remedy="Was the run trained to its end? foveate train --resume RUN",
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(
            f"this file is damaged ({error})", where=path, remedy="Take it from a backup."
        ) from None
