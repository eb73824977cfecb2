"""List the files below a folder, each folder once, whatever links are there."""

from __future__ import annotations

import os
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.formats._shared.layout import printable, visible

Tree = dict[str, list[str]]
"""The names of the files of each folder, sorted; folders are relative to the root, which is ""."""


def list_tree(root: Path, skipped: list[Skipped]) -> Tree:
    """Return the files below a folder; links are followed, hidden files are left out.

    Args:
        root: The folder.
        skipped: A list that is added to for each folder that cannot be opened or is a link to a
            folder that is read already.

    Raises:
        OSError: If the folder itself cannot be opened.
    """
    seen = {(status.st_dev, status.st_ino) for status in map(os.stat, root.absolute().parents)}
    tree: Tree = {}
    waiting = [""]
    while waiting:
        place = waiting.pop()
        folder = root / place
        try:
            folders, files = visible(folder)
        except OSError as error:
            if not place:
                raise
            reason = f"cannot be opened ({error.strerror})"
            skipped.append(Skipped(f"{printable(place)}/", reason))
            continue
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            reason = "a link to a folder that is read already"
            skipped.append(Skipped(f"{printable(place)}/", reason))
            continue
        seen.add((status.st_dev, status.st_ino))
        tree[place] = [entry.name for entry in files]
        waiting += [in_folder(place, entry.name) for entry in reversed(folders)]
    return tree


def in_folder(folder: str, name: str) -> str:
    """Return the path of a file in a folder of a tree."""
    return f"{folder}/{name}" if folder else name
