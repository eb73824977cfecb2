"""Match files that belong together by their stems, whatever their folders are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from foveate.formats._shared.files.file_tree import in_folder
from foveate.formats._shared.files.splits import split_of_path
from foveate.formats._shared.files.written_names import folded
from foveate.formats._shared.layout import has_image_suffix, visible

_MAX_FOLDER_FILES = 20_000  # enough to see what lies in a folder
_MAX_ENTRIES = 60_000


def stem_of(name: str) -> str:
    """Return what files that belong together have in common: "a" for "x/A.JPG" and "a.jpg.txt"."""
    stem = _without_suffix(name.rpartition("/")[2])
    return folded(_without_suffix(stem) if has_image_suffix(stem) else stem)


def _without_suffix(name: str) -> str:
    """Return what `Path.stem` is, which takes ten times as long for many files."""
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix else name


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
    split, folders = split_of_path(path), Counter(path.casefold().split("/")[:-1])
    ranked = [
        ((folders & Counter(other.casefold().split("/")[:-1])).total(), other)
        for other in candidates
        if None in (split, split_of_path(other)) or split == split_of_path(other)
    ]
    most = max(ranked, default=(0, ""))[0]
    return sorted(other for rank, other in ranked if rank == most)


def sample_files(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (folder relative to the root, names of files), outer folders first; it is cheap.

    Only some of the files of a large folder are listed. Folders that cannot be opened are left out,
    and so are links to a folder that is listed already or that holds the root.
    """
    seen = {(status.st_dev, status.st_ino) for status in map(os.stat, root.absolute().parents)}
    waiting, entries = [""], 0
    for folder in waiting:
        try:
            status = (root / folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            folders, files = visible(root / folder)
        except OSError:
            continue
        seen.add((status.st_dev, status.st_ino))
        sampled = [entry.name for entry in files[:_MAX_FOLDER_FILES]]
        waiting += [in_folder(folder, entry.name) for entry in folders]
        yield folder, sampled
        entries += len(folders) + len(sampled)
        if entries > _MAX_ENTRIES:
            return
