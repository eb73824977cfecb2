"""List the files of a folder that may be images or label images, whatever their folders are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.data.images import IMAGE_SUFFIXES
from foveate.formats._shared.files.file_tree import Tree, in_folder, list_tree
from foveate.formats._shared.labels.arrays import SEGMENTATION_SUFFIX, is_pickle
from foveate.formats._shared.labels.images import ARRAY_SUFFIX
from foveate.formats._shared.labels.matching import LabelFile
from foveate.formats._shared.labels.words import parse_stem, without_split
from foveate.formats._shared.layout import NOT_UTF8, is_utf8, printable, split_of
from foveate.formats._shared.once import once

MAX_SIDES = 12
"""Folders that may be those of images or of label images."""

_GLANCED = 400  # names that are looked at before all are
_PICKLED = SEGMENTATION_SUFFIX + ARRAY_SUFFIX
_SUFFIXES = (*IMAGE_SUFFIXES, ARRAY_SUFFIX)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The files of a folder that may be images or label images; none if it has another layout.

    Attributes:
        files: The files.
        marked: Whether some names have the mark of a label image.
        skipped: The files that are left out.
    """

    files: Sequence[LabelFile] = ()
    marked: bool = False
    skipped: Sequence[Skipped] = ()


@once
def find_candidates(root: Path) -> Candidates:
    """List the files of a folder that may be images or label images.

    Raises:
        OSError: If the folder cannot be opened.
    """
    skipped: list[Skipped] = []
    tree = list_tree(root, skipped)
    if _is_per_object(tree):
        return Candidates()
    marked, few_sides = _has_marked(tree), len(_first_and_last(tree)) <= 2 * MAX_SIDES
    if not (marked or few_sides):
        return Candidates()
    return Candidates(_label_files(root, tree, skipped), marked, skipped)


def _is_per_object(tree: Tree) -> bool:
    """Return whether there is a folder for each image, with a mask file for each object."""
    for folder, names in tree.items():
        above, slash, last = folder.rpartition("/")
        if slash and last == "images" and f"{above}/masks" in tree and not split_of(above):
            return sum(name.lower().endswith(_SUFFIXES) for name in names) <= 1
    return False


def _has_marked(tree: Tree) -> bool:
    """Return whether some names have the mark of a label image; only so many are looked at."""
    names = [name for files in tree.values() for name in files if name.lower().endswith(_SUFFIXES)]
    some = islice(names[:: max(1, len(names) // _GLANCED)], 2 * _GLANCED)
    # Of a few numbered label images for each image, at least every tenth file is one.
    return any(parse_stem(name.rpartition(".")[0]).mark for name in chain(some, names[:2]))


def _first_and_last(tree: Tree) -> set[str]:
    folders = [folder.split("/") for folder, names in tree.items() if names]
    return {one[0] for one in folders} | {one[-1] for one in folders}


def _label_files(root: Path, tree: Tree, skipped: list[Skipped]) -> list[LabelFile]:
    """Return the images and arrays of a tree, with their splits."""
    files = []
    pickled: bool | None = None  # what the first one is, the others are
    for folder, names in tree.items():
        parts = tuple(folder.split("/")) if folder else ()
        split = None
        for level, part in enumerate(parts):
            split, rest = without_split(part)
            if split:
                parts = (*parts[:level], *([rest] if rest else []), *parts[level + 1 :])
                break
        for name in names:
            if name.lower().endswith(_SUFFIXES):
                id = in_folder(folder, name)
                if name.lower().endswith(_PICKLED):
                    pickled = is_pickle(root / id) if pickled is None else pickled
                    if pickled:
                        skipped.append(Skipped(printable(id), "it is a pickle of Cellpose"))
                        continue
                if is_utf8(id):
                    stem = name[: name.rindex(".")]
                    files.append(LabelFile(id, f"{root}/{id}", split, parts, stem))
                else:
                    skipped.append(Skipped(printable(id), NOT_UTF8))
    return files
