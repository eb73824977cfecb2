"""Match files that belong together by their stems, whatever their folders are called."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.formats._shared.layout import (
    has_image_suffix,
    is_hidden,
    printable,
    split_of,
)

_FILE_WORDS = ("images", "image", "imgs", "img", "labels", "label", "xml", "txt", "json", "obj")
_CONTENT_WORDS = {*_FILE_WORDS, "annotations", "annotation", "annots", "data", "dataset", "set"}
"""What the name of a folder may say of its content."""

_MAX_FOLDER_ENTRIES = 20_000  # enough to see what lies in a folder
_MAX_ENTRIES = 60_000  # takes a tenth of a second


def stem_of(name: str) -> str:
    """Return what files that belong together have in common: "a" for "x/A.JPG" and "a.jpg.txt"."""
    stem = Path(name).stem
    return folded(Path(stem).stem if has_image_suffix(stem) else stem)


def folded(name: str) -> str:
    """Return a name without capitals, and with its accents in one form."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


@lru_cache(maxsize=10_000)
def split_of_folder(name: str) -> SplitName | None:
    """Return the split that a folder is named after, or None.

    Besides the words themselves, train2017, obj_train_data and test-images name a split.
    """
    if split := split_of(name):
        return split
    words = re.findall(r"[^\W\d_]+", name.casefold())
    splits = {split for word in words if (split := split_of(word))}
    others = [word for word in words if word not in _CONTENT_WORDS and not split_of(word)]
    return next(iter(splits)) if len(splits) == 1 and not others else None


def split_in(path: str) -> SplitName | None:
    """Return the split that the outermost folder named after one tells, or None."""
    return next((split for name in path.split("/")[:-1] if (split := split_of_folder(name))), None)


def split_notes(paths: Iterable[str]) -> list[str]:
    """Note the folders that are taken as splits although their names say more than that."""
    folders = dict.fromkeys(path.rpartition("/")[0] for path in paths)
    names: dict[str, SplitName] = {}
    for folder in folders:
        for name in folder.split("/"):
            if split := split_of_folder(name):
                if not split_of(name):
                    names[name] = split
                break
    if not names:
        return []
    listed = ", ".join(f"{name}/ as {split}" for name, split in sorted(names.items()))
    return [f"folders read as splits: {printable(listed)}"]


def by_stem(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by what `stem_of` says of each."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(stem_of(path), []).append(path)
    return found


def best_partners(path: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that most likely belong to a file: one, unless several fit as well.

    A file below train/ never belongs to one below test/. Of the others, those in folders of the
    same names are preferred: images/front/a.jpg and labels/front/a.txt.

    Args:
        path: The path of the file, relative to the dataset's folder.
        candidates: The paths of files with its stem.
    """
    split, folders = split_in(path), Counter(path.casefold().split("/")[:-1])
    ranked = [
        ((folders & Counter(other.casefold().split("/")[:-1])).total(), other)
        for other in candidates
        if None in (split, split_in(other)) or split == split_in(other)
    ]
    most = max(ranked, default=(0, ""))[0]
    return sorted(other for rank, other in ranked if rank == most)


def sample_files(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (folder relative to the root, names of files), outer folders first; it is cheap.

    Only some of the files of a large folder are listed. Folders that cannot be opened are left out.
    """
    waiting, entries = [""], 0
    for folder in waiting:
        files: list[str] = []
        try:
            with os.scandir(root / folder) as found:
                for entry in islice(found, _MAX_FOLDER_ENTRIES):
                    entries += 1
                    if is_hidden(entry.name):
                        continue
                    if entry.is_dir():
                        waiting.append(f"{folder}/{entry.name}" if folder else entry.name)
                    else:
                        files.append(entry.name)
        except OSError:
            continue
        yield folder, sorted(files)
        if entries > _MAX_ENTRIES:
            return
