"""Find the files of a Pascal VOC dataset: images, XML files, and the lists of the splits."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import (
    NO_IMAGE_SUFFIX,
    NOT_UTF8,
    has_image_suffix,
    is_utf8,
    printable,
    split_of,
    visible,
)
from foveate.formats._shared.paths import id_inside
from foveate.formats._shared.sidecar import read_text
from foveate.formats.voc.xml import VocFile

_LISTS = ("train", "val", "valid", "test", "trainval")  # others list the images of one class
_MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class VocFolders:
    """A folder of XML files and the folder of their images, which may be the same.

    Attributes:
        annotations: The folder of XML files.
        images: The folder of images.
        split: The split of all of them, or None.
        lists: The folder of lists that give the splits instead, or None.
    """

    annotations: Path
    images: Path
    split: SplitName | None
    lists: Path | None


def find_folders(root: Path) -> list[VocFolders]:
    """Return the folder itself, and train/, valid/ and test/ in it or in its Annotations/.

    Raises:
        DataError: If two folders have the same meaning.
        OSError: If a folder cannot be opened.
    """
    places = _below(root, None)
    if places[0].annotations == root:
        for folder in visible(root)[0]:
            if split := split_of(folder.name):
                places += _below(Path(folder.path), split)
    return places


def _below(folder: Path, split: SplitName | None) -> list[VocFolders]:
    folders = visible(folder)[0]
    annotations = _named(folders, "annotations") or folder
    images = _named(folders, "jpegimages", "images") or folder
    sets = _named(folders, "imagesets")
    lists = _named(visible(sets)[0], "main") if sets and not split else None
    places = [VocFolders(annotations, images, split, lists)]
    if annotations != folder:
        for inner in visible(annotations)[0]:
            if inner_split := split_of(inner.name):
                same = images / inner.name
                places.append(
                    VocFolders(
                        Path(inner.path),
                        same if same.is_dir() else images,
                        split or inner_split,
                        None,
                    )
                )
    return places


def _named(folders: list[os.DirEntry[str]], *names: str) -> Path | None:
    """Return the folder with one of these names, in any case; raise DataError for several."""
    matches = [Path(folder.path) for folder in folders if folder.name.casefold() in names]
    if len(matches) > 1:
        raise DataError(
            f"one folder is expected, found {matches[0].name} and {matches[1].name}",
            where=matches[0].parent,
        )
    return matches[0] if matches else None


def xml_files(folder: Path) -> list[os.DirEntry[str]]:
    """Return the XML files in a folder, sorted by name.

    Raises:
        OSError: If the folder cannot be opened.
    """
    return [entry for entry in visible(folder)[1] if entry.name.lower().endswith(".xml")]


def image_names(folder: Path) -> list[str]:
    """Return the names of the images in a folder, sorted.

    Raises:
        OSError: If the folder cannot be opened.
    """
    return [
        entry.name
        for entry in visible(folder)[1]
        if has_image_suffix(entry.name) and is_utf8(entry.name)
    ]


def match_images(
    place: VocFolders, voc_files: dict[str, VocFile], images: list[str]
) -> dict[str, str | None]:
    """Find the image of each XML file.

    <filename> counts if such an image exists. If several files name the same image, because they
    were copied, each takes the image with its own name.

    Args:
        place: The folders.
        voc_files: The XML files by stem.
        images: The names of the images.

    Returns:
        The image name for each stem, or None.

    Raises:
        DataError: If an XML file has two images.
    """
    existing = set(images)
    by_stem: dict[str, list[str]] = {}
    for name in images:
        by_stem.setdefault(Path(name).stem, []).append(name)
    named: dict[str, str] = {}
    for stem, voc_file in voc_files.items():
        written, line = voc_file.filename or ("", 0)
        if "/" in written or "\\" in written:
            written = id_inside(place.images, written, where=voc_file.path, line=line)
        if written in existing:
            named[stem] = written
    claims = Counter(named.values())
    matched: dict[str, str | None] = {}
    for stem, voc_file in voc_files.items():
        same = by_stem.get(stem, [])
        if stem in named and (claims[named[stem]] == 1 or not same):
            matched[stem] = named[stem]
        elif len(same) > 1:
            raise DataError(
                f"one image is expected for this file, found {same[0]} and {same[1]}",
                where=voc_file.path,
            )
        else:
            matched[stem] = same[0] if same else None
    return matched


def unmatched_files(root: Path, places: list[VocFolders], used: set[str]) -> list[Skipped]:
    """List the files among the images that were not read.

    Args:
        root: The dataset's folder.
        places: The folders of images and XML files.
        used: The ids of the images that were read.
    """
    read = {folder for place in places for folder in (place.annotations, place.images)}
    skipped: dict[str, Skipped] = {}
    for images in dict.fromkeys(place.images for place in places):
        folders, files = visible(images)
        only_images = all(images != place.annotations for place in places) and images != root
        for entry in files:
            id = relative_id(root, entry.path)
            if not is_utf8(entry.name):
                skipped[id] = Skipped(printable(id), NOT_UTF8)
            elif has_image_suffix(entry.name):
                if id not in used:
                    skipped[id] = Skipped(id, "it has no XML file")
            elif only_images:
                skipped[id] = Skipped(id, NO_IMAGE_SUFFIX)
        for entry in folders if only_images else []:
            if Path(entry.path) not in read:
                id = relative_id(root, entry.path) + "/"
                skipped[id] = Skipped(printable(id), "a folder among the images is not read")
    return list(skipped.values())


def relative_id(root: Path, path: str | Path) -> str:
    """Return a path relative to the root, with slashes."""
    return Path(path).relative_to(root).as_posix()


def read_split_lists(lists: Path, known: set[str]) -> tuple[dict[str, SplitName], list[Skipped]]:
    """Read the lists in ImageSets/Main. trainval counts only if it is not divided further.

    Args:
        lists: The folder of the lists.
        known: The stems of the images and XML files.

    Returns:
        The split of each stem, and the listed stems that do not exist.

    Raises:
        DataError: If a stem is in two splits; the error names the line.
    """
    files = [Path(entry.path) for entry in visible(lists)[1] if entry.name.lower().endswith(".txt")]
    named = {file.stem.lower(): file for file in files if file.stem.lower() in _LISTS}
    if named.keys() & {"train", "val", "valid"}:
        named.pop("trainval", None)
    entries: dict[str, tuple[SplitName, Path, int]] = {}
    for word, file in named.items():
        split = split_of(word) or "train"
        for number, line in enumerate(read_text(file, _MAX_BYTES).split("\n"), 1):
            if not (stem := _stem(line, known)):
                continue
            first = entries.setdefault(stem, (split, file, number))
            if first[0] != split:
                raise DataError(
                    f"one split is expected for {stem!r}, it is in {first[1].name} "
                    f"(line {first[2]}) too",
                    where=file,
                    line=number,
                    remedy="Decide which is right and remove the other line: an image in two "
                    "splits is a leak.",
                )
    absent = [
        Skipped(
            stem,
            f"listed in {file.name}, line {line}, but no image or XML file has that name",
        )
        for stem, (_, file, line) in entries.items()
        if stem not in known
    ]
    return {stem: split for stem, (split, _, _) in entries.items()}, absent


def _stem(line: str, known: set[str]) -> str:
    """Return the stem that a line names: "000012", "000012  1" or "000012.jpg"."""
    line = line.rstrip("\r")
    stem = line if line in known else line.strip()
    if stem not in known:
        fields = stem.rsplit(None, 1)
        if len(fields) == 2 and fields[1] in ("-1", "0", "1"):
            stem = fields[0]
    if stem not in known and has_image_suffix(stem):
        stem = Path(stem).stem
    return stem
