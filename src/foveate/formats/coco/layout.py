"""Find the annotation files of a COCO dataset, and the folders of their images."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.json_file import has_keys
from foveate.formats._shared.layout import (
    SPLIT_WORDS,
    has_image_suffix,
    printable,
    split_of,
    visible,
)
from foveate.formats._shared.paths import path_inside
from foveate.formats.coco.columns import KEYS
from foveate.wording import count_noun

_NAMED = re.compile(r"instances.*\.json|.*\.coco\.json", re.IGNORECASE)
_MAX_UNNAMED_FILES = 20  # a folder with more is another format, with one file per image
_PROBED_IMAGES = 50  # looked for in each folder
_IMAGE_PARENTS = ("data", "image", "images", "img", "imgs", "jpegimages", "photos", "pictures")
_LABEL_FOLDERS = ("annotation", "annotations", "json", "labels")


def annotation_files(path: Path) -> tuple[list[tuple[Path, SplitName | None]], list[str]]:
    """Find the annotation files.

    Returns:
        The files, each with the split that its name or folder gives, and notes on other files
        beside them. A single file has no split.

    Raises:
        DataError: If there is none.
        OSError: If a folder cannot be opened.
    """
    if path.is_file():
        return [(path, None)], []
    folders = [Path(folder.path) for folder in visible(path)[0]]
    for place in [*(folder for folder in folders if folder.name.casefold() == "annotations"), path]:
        jsons = _json_files(place)
        if chosen := _instance_files(jsons):
            others = ", ".join(printable(file.name) for file in jsons if file not in chosen)
            notes = [f"not read, since they are not named instances: {others}"] if others else []
            return [(file, _split_in(file.stem)) for file in chosen], notes
    by_split = [
        (file, split)
        for folder in folders
        if (split := split_of(folder.name))
        for file in _instance_files(_json_files(folder))
    ]
    if not by_split:
        raise DataError(
            f"a JSON file with {', '.join(KEYS)} is expected, found none",
            where=path,
            remedy="Lay the dataset out as one JSON file and images/, or as "
            "annotations/instances_train.json, train/ and so on.",
        )
    return list(by_split), []


def image_folder(file: Path, names: list[str], path: Path) -> tuple[Path, Path]:
    """Find the folder of a file's images: the one that holds most of a few of them.

    A folder of the file's own split comes first, since numbered images may have the same names in
    each split.

    Args:
        file: The annotation file.
        names: The file names of its images.
        path: The path of the dataset.

    Returns:
        The folder that sample ids are relative to, and the folder that file names are relative to.
    """
    beside = file.parent.name.casefold() in _LABEL_FOLDERS
    # What lies beside the folder of a single file belongs to it only if that is a folder of labels.
    above = [file.parent.parent] if (beside if path.is_file() else file.parent != path) else []
    probes = names[:: max(1, len(names) // _PROBED_IMAGES)][:_PROBED_IMAGES]
    split = _split_in(file.stem)
    best, best_fit = (path if path.is_dir() else file.parent, file.parent), (0, 0)
    for base, folder in _candidates([file.parent, *above]):
        top = path if path.is_dir() else base
        count = sum(_exists(folder, name, file, top) for name in probes)
        folder_split = (
            None if folder == file.parent else _split_in(folder.relative_to(base).as_posix())
        )
        fit = (1 if folder_split is None else 2 if folder_split == split else 0, count)
        if count and fit > best_fit:
            best, best_fit = (top, folder), fit
    return best


def note_unrecorded(images: list[Path]) -> list[str]:
    """Note the images in the same folders that no image record names.

    Args:
        images: The images with a record.
    """
    names = defaultdict(set)
    for image in images:
        names[image.parent].add(image.name)
    others = [
        entry.name
        for folder in sorted(names)
        if os.path.isdir(folder)  # noqa: PTH112  Path's raises for long names
        for entry in visible(folder)[1]
        if has_image_suffix(entry.name) and entry.name not in names[folder]
    ]
    if not others:
        return []
    number = count_noun(len(others), "image")
    return [f"{number} without an image record, left out (such as {printable(others[0])})"]


def _json_files(folder: Path) -> list[Path]:
    return [
        Path(entry.path) for entry in visible(folder)[1] if entry.name.lower().endswith(".json")
    ]


def _instance_files(jsons: list[Path]) -> list[Path]:
    """Return the files that are named like COCO instances, or else those with the same keys."""
    if named := [file for file in jsons if _NAMED.fullmatch(file.name)]:
        return named
    if len(jsons) > _MAX_UNNAMED_FILES:
        return []
    return [file for file in jsons if has_keys(file, *KEYS)]


def _split_in(name: str) -> SplitName | None:
    """Return the split that a word in a name gives: "instances_val2017" gives "valid"."""
    words = re.findall(r"[a-z]+", name.casefold())
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def _candidates(bases: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield (base, folder) of the folders where images may lie, the nearest first, each once."""
    seen: set[Path] = set()
    for base in bases:
        below = _folders(base)
        parents = [
            folder
            for folder in below
            if folder.name.casefold() in _IMAGE_PARENTS or split_of(folder.name)
        ]
        for folder in [base, *below, *(inner for parent in parents for inner in _folders(parent))]:
            if folder not in seen:
                seen.add(folder)
                yield base, folder


def _folders(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in visible(folder)[0]]
    except OSError:
        return []


def _exists(folder: Path, name: str, file: Path, top: Path) -> bool:
    try:
        return os.path.isfile(path_inside(folder, name, where=file, root=top))  # noqa: PTH113  Path's raises for long names
    except DataError:  # reported when the name is read
        return False
