"""Files written whole or not at all: a kill, a full disk or a crash leaves the previous file as it was."""

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
    errno.ENOSPC: "The disk is full: free some space, then go on where it stopped (foveate train --resume RUN).",
    errno.EDQUOT: "Your disk quota is used up: free some space, then go on (foveate train --resume RUN).",
    errno.EFBIG: "The file is larger than this system allows (ulimit -f).",
    errno.EROFS: "The disk is read-only: choose another place with --out.",
    errno.EACCES: "You may not write there: choose another place with --out.",
}


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step: temporary file in the same folder, fsync, rename, fsync of the folder.

    Raises RunError where that cannot be done; the previous file then survives and the temporary one is removed.
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
            f"this file cannot be written ({error.strerror}); its previous version, if any, is untouched",
            where=path,
            remedy=_REMEDIES.get(error.errno or 0, "Choose another place with --out."),
        ) from None


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(
        OSError
    ):  # some systems and file systems cannot sync a folder; the rename stands
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8. Lone surrogates (names that are no Unicode) are kept as backslash escapes."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Strict JSON, indented, in the given order; numbers that are not finite become null."""
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
    """What `write_json` wrote. Raises RunError for a file that is missing or damaged."""
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
