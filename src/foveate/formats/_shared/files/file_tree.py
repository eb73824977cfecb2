"""List the files below a folder, each folder once, whatever links are there."""

from __future__ import annotations

import os
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.formats._shared.layout import is_hidden, printable

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

    def skip_closed(error: OSError) -> None:
        if Path(error.filename) == root:
            raise error
        place = Path(error.filename).relative_to(root).as_posix()
        skipped.append(Skipped(printable(place) + "/", f"cannot be opened ({error.strerror})"))

    seen = {(status.st_dev, status.st_ino) for status in map(os.stat, root.absolute().parents)}
    tree: Tree = {}
    for here, folders, names in os.walk(root, onerror=skip_closed, followlinks=True):
        folder = Path(here)
        place = "" if folder == root else folder.relative_to(root).as_posix()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            reason = "a link to a folder that is read already"
            skipped.append(Skipped(f"{printable(place)}/", reason))
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        tree[place] = sorted(name for name in names if not is_hidden(name))
    return tree


def in_folder(folder: str, name: str) -> str:
    """Return the path of a file in a folder of a tree."""
    return f"{folder}/{name}" if folder else name
