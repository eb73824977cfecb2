"""The pictures below a folder, each once, whatever links lie there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.formats._shared.layout import (
    NOT_UTF8,
    is_hidden,
    is_named_picture,
    is_utf8,
    printable,
    unusable,
    visible,
)

_LOOKED_AT = 10_000  # entries in search of one picture, so that a guess stays cheap


def holds_picture(folder: Path) -> bool:
    """Whether there is a file named like a picture somewhere below, as far as that can be told cheaply."""
    looked_at = 0
    for _, folders, files in os.walk(folder):
        folders.sort()
        if any(is_named_picture(file) for file in files if not is_hidden(file)):
            return True
        looked_at += len(files) + len(folders)
        if looked_at > _LOOKED_AT:
            return False
    return False


def make_images(root: Path, folder: Path, skipped: list[Skipped]) -> Iterator[tuple[str, str]]:
    """(id, path) of each usable picture below a folder, by name; what is not usable is added to `skipped`.

    root: the folder that ids begin from; `folder` lies in it
    """
    start = len(str(root).rstrip("/")) + 1
    seen = {_identity(place) for place in (folder, root, *root.parents, *folder.parents)}
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        try:
            folders, files = visible(here)
        except OSError as error:
            skipped.append(
                Skipped(printable(here[start:]) + "/", f"cannot be opened ({error.strerror})")
            )
            continue
        for entry in reversed(folders):
            if (identity := _identity(entry)) in seen:
                reason = "a link to a folder that is read already"
                skipped.append(Skipped(printable(entry.path[start:]) + "/", reason))
            else:
                seen.add(identity)
                waiting.append(entry.path)
        for entry in files:
            id = entry.path[start:]
            if not is_utf8(id):
                skipped.append(Skipped(printable(id), NOT_UTF8))
            elif not is_named_picture(entry.name):
                skipped.append(Skipped(id, "the ending is not that of a picture"))
            elif problem := unusable(entry):
                skipped.append(Skipped(id, problem))
            else:
                yield id, entry.path


def _identity(path: Path | os.DirEntry[str]) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
