"""Iterate over the images below a folder, each once, whatever links are there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.formats._shared.layout import (
    NO_IMAGE_SUFFIX,
    NOT_UTF8,
    has_image_suffix,
    is_hidden,
    is_utf8,
    printable,
    unusable_reason,
    visible,
)
from foveate.formats._shared.once import once
from foveate.wording import count_noun

_MAX_SNIFFED_ENTRIES = 10_000  # keeps sniffing cheap


@once
def contains_image(folder: Path) -> bool:
    """Return whether a file below a folder is named like an image; only so many are looked at."""
    entries = 0
    for _, folders, files in os.walk(folder):
        folders.sort()
        if any(has_image_suffix(file) for file in files if not is_hidden(file)):
            return True
        entries += len(files) + len(folders)
        if entries > _MAX_SNIFFED_ENTRIES:
            return False
    return False


def files_with(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of a folder with some suffixes.

    Args:
        folder: The folder; if it cannot be opened, there are none.
        suffixes: The suffixes in lower case.
    """
    try:
        files = visible(folder)[1]
    except OSError:
        return []
    return [Path(entry.path) for entry in files if entry.name.lower().endswith(suffixes)]


def walk_images(root: Path, folder: Path, skipped: list[Skipped]) -> Iterator[tuple[str, str]]:
    """Yield (id, path) of each usable image below a folder, sorted by name.

    Args:
        root: The folder that ids are relative to; `folder` lies in it.
        folder: The folder to walk.
        skipped: A list that the unusable files are added to.
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
            elif not has_image_suffix(entry.name):
                skipped.append(Skipped(id, NO_IMAGE_SUFFIX))
            elif problem := unusable_reason(entry):
                skipped.append(Skipped(id, problem))
            else:
                yield id, entry.path


def note_unlisted(root: Path, ids: Iterable[str], record: str = "a row") -> list[str]:
    """Return a note on the images in the folders of those that a file lists, which it lacks.

    Args:
        root: The dataset's folder.
        ids: The images that are listed, relative to it.
        record: What the file has for each image.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for id in ids:
        folder, _, name = id.rpartition("/")
        names[folder].add(name)
    others = [
        f"{folder}/{entry.name}".lstrip("/")
        for folder in sorted(names)
        if os.path.isdir(root / folder)  # noqa: PTH112  Path's raises for long names
        for entry in visible(root / folder)[1]
        if has_image_suffix(entry.name) and entry.name not in names[folder]
    ]
    if not others:
        return []
    number = count_noun(len(others), "image")
    return [f"{number} without {record}, left out (such as {printable(others[0])})"]


def _identity(path: Path | os.DirEntry[str]) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
