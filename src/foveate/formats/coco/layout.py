"""Find the annotation files of a COCO dataset, and the folders of their images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import has_keys
from foveate.formats._shared.files.splits import split_in_name, split_of_folder
from foveate.formats._shared.files.walk import files_with
from foveate.formats._shared.files.written_names import path_parts, readings
from foveate.formats._shared.layout import (
    printable,
    split_of,
    visible,
)
from foveate.formats.coco.columns import KEYS

_NAMED = re.compile(r"instances.*\.json|.*\.coco\.json", re.IGNORECASE)
_MAX_UNNAMED_FILES = 20  # a folder with more is another format, with one file per image
_MAX_FOLDERS = 300  # keeps sniffing cheap
_PROBED_IMAGES = 50  # looked for in each folder
_IMAGE_PARENTS = ("data", "image", "images", "img", "imgs", "jpegimages", "photos", "pictures")
_LABEL_FOLDERS = ("annotation", "annotations", "json", "labels")

AnnotationFile = tuple[Path, SplitName | None]
"""An annotation file, and the split that its name or its folder gives."""


def annotation_files(path: Path) -> tuple[list[AnnotationFile], list[str]]:
    """Find the annotation files: by their content, whatever they and their folders are called.

    Those that lie nearest count: first in a folder annotations/, then in the folder itself, then in
    the folders below, then one level deeper.

    Returns:
        The files, and notes on those that are not read. A single file has no split.

    Raises:
        DataError: If there is none.
        OSError: If the folder cannot be opened.
    """
    if path.is_file():
        return [(path, None)], []
    levels = _levels(path)
    found = [
        {folder: files for folder in level if (files := _coco_files(folder))} for level in levels
    ]
    chosen = next((level for level in found if level), None)
    if chosen is None:
        raise DataError(
            f"a JSON file with {', '.join(KEYS)} is expected, found none",
            where=path,
            remedy="Lay the dataset out as one JSON file and images/, or as "
            "annotations/instances_train.json, train/ and so on.",
        )
    if any(_split_below(path, folder) for folder in chosen):
        # Folders of other names beside those of splits hold copies or exports of parts.
        chosen = {folder: files for folder, files in chosen.items() if _split_below(path, folder)}
    files = [file for folder in chosen.values() for file in folder]
    others = [file for level in found for folder in level.values() for file in folder]
    others += [file for folder in chosen for file in files_with(folder, (".json",))]
    return [
        (file, split_in_name(file.stem) or _split_below(path, file.parent)) for file in files
    ], (_unread(path, [file for file in dict.fromkeys(others) if file not in files]))


def _levels(path: Path) -> list[list[Path]]:
    """Return the folders where annotation files may lie, the nearest first."""
    below = _folders(path)
    labels = [folder for folder in below if folder.name.casefold() in _LABEL_FOLDERS[:2]]
    deeper = [inner for folder in below[:_MAX_FOLDERS] for inner in _folders(folder)]
    others = [folder for folder in below if folder not in labels]
    return [labels, [path], others[:_MAX_FOLDERS], deeper[:_MAX_FOLDERS]]


def _unread(path: Path, files: list[Path]) -> list[str]:
    if not files:
        return []
    listed = ", ".join(printable(file.relative_to(path).as_posix()) for file in files[:9])
    more = f", and {len(files) - 9:,} more" if len(files) > 9 else ""
    return [f"other JSON files, not read: {listed}{more} (give one itself to read it)"]


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

    Raises:
        DataError: If several folders hold them equally well.
    """
    if path.is_dir():
        above = list(file.parents)[1 : len(file.relative_to(path).parts)]
    else:
        # What lies beside the folder of a single file belongs to it only if that is one of labels.
        above = [file.parent.parent] if file.parent.name.casefold() in _LABEL_FOLDERS else []
    probes = names[:: max(1, len(names) // _PROBED_IMAGES)][:_PROBED_IMAGES]
    split = split_in_name(file.stem) or (_split_below(path, file.parent) if path.is_dir() else None)
    fitting: dict[tuple[int, int], list[tuple[Path, Path]]] = {}
    for base, folder in _candidates([file.parent, *above]):
        top = path if path.is_dir() else base
        count = sum(_fit(folder, name, top) for name in probes)
        folder_split = (
            None if folder == file.parent else split_in_name(folder.relative_to(base).as_posix())
        )
        fit = (1 if folder_split is None else 2 if folder_split == split else 0, count)
        if count:
            fitting.setdefault(fit, []).append((base, folder))
    if not fitting:
        return path if path.is_dir() else file.parent, file.parent
    base, folder = _one_folder(fitting[max(fitting)], file)
    return path if path.is_dir() else base, folder


def _one_folder(fitting: list[tuple[Path, Path]], file: Path) -> tuple[Path, Path]:
    """Return the nearest of folders that hold a file's images equally well.

    Raises:
        DataError: If some are equally near, and not just one of them is named like images.
    """
    base, nearest = fitting[0]
    equal = [folder for other, folder in fitting if other == base and folder != base]
    named = [
        folder
        for folder in equal
        if any(part.casefold() in _IMAGE_PARENTS for part in folder.relative_to(base).parts)
    ]
    if nearest == base or len(equal) == 1:
        return base, nearest
    if len(named) == 1:
        return base, named[0]
    one, two = (printable(folder.relative_to(base).as_posix()) for folder in (named or equal)[:2])
    raise DataError(
        f"the images are expected in one folder, but {one}/ and {two}/ both have images of these "
        "names",
        where=file,
        remedy="Write the folder in each file_name, or give the data without the other folder.",
    )


def _coco_files(folder: Path) -> list[Path]:
    """Return the files that are named like COCO instances, or else those with the same keys."""
    jsons = files_with(folder, (".json",))
    if named := [file for file in jsons if _NAMED.fullmatch(file.name)]:
        return named
    if len(jsons) > _MAX_UNNAMED_FILES:
        return []
    return [file for file in jsons if has_keys(file, *KEYS)]


def _split_below(path: Path, folder: Path) -> SplitName | None:
    """Return the split that the folders between the dataset's and an annotation file's give."""
    splits = [split_of_folder(name) for name in folder.relative_to(path).parts]
    return next((split for split in splits if split), None)


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


def _fit(folder: Path, name: str, top: Path) -> int:
    """Return 2 if an image is in a folder as written, 1 if only its last part is, else 0."""
    for path in readings(name):
        place = os.path.normpath(folder / path)
        if f"{place}/".startswith(f"{top}/") and os.path.isfile(place):  # noqa: PTH113  Path's raises for long names
            return 2
    parts = [path_parts(path)[-1] for path in readings(name)]
    return int(any(os.path.isfile(folder / part) for part in parts))  # noqa: PTH113
