"""Where the files of a set in Pascal VOC's manner lie: pictures, XML files, and the lists of the parts."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.beside import read_text
from foveate.formats._shared.layout import (
    NOT_UTF8,
    is_named_picture,
    is_utf8,
    part_of,
    printable,
    visible,
)
from foveate.formats._shared.paths import inside_id
from foveate.formats.voc.xml import VocFile

_LISTS = (
    "train",
    "val",
    "valid",
    "test",
    "trainval",
)  # others, such as cat_train.txt, are of a class
_MOST_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of XML files and the folder of their pictures, which may be the same.

    part: the part that all of them are in, or None
    lists: the folder of lists that say it instead, or None
    """

    annotations: Path
    images: Path
    split: SplitName | None
    lists: Path | None


def places(root: Path) -> list[Place]:
    """Where to look: the folder itself, and train/, valid/ and test/ in it or in its Annotations/. Raises OSError."""
    found = _below(root, None)
    if found[0].annotations == root:
        for folder in visible(root)[0]:
            if split := part_of(folder.name):
                found += _below(Path(folder.path), split)
    return found


def _below(folder: Path, split: SplitName | None) -> list[Place]:
    folders = visible(folder)[0]
    annotations = _named(folders, "annotations") or folder
    images = _named(folders, "jpegimages", "images") or folder
    sets = _named(folders, "imagesets")
    lists = _named(visible(sets)[0], "main") if sets and not split else None
    found = [Place(annotations, images, split, lists)]
    if annotations != folder:
        for inner in visible(annotations)[0]:
            if inner_part := part_of(inner.name):
                same = images / inner.name
                found.append(
                    Place(
                        Path(inner.path),
                        same if same.is_dir() else images,
                        split or inner_part,
                        None,
                    )
                )
    return found


def _named(folders: list[os.DirEntry[str]], *names: str) -> Path | None:
    """The folder of one of these names, capitals or not. Raises DataError if there are several."""
    found = [Path(folder.path) for folder in folders if folder.name.casefold() in names]
    if len(found) > 1:
        raise DataError(
            f"one folder is expected, found {found[0].name} and {found[1].name}",
            where=found[0].parent,
        )
    return found[0] if found else None


def xml_files(folder: Path) -> list[os.DirEntry[str]]:
    """By name. Raises OSError."""
    return [entry for entry in visible(folder)[1] if entry.name.lower().endswith(".xml")]


def picture_names(folder: Path) -> list[str]:
    """The names of a folder's pictures, sorted. Raises OSError."""
    return [
        entry.name
        for entry in visible(folder)[1]
        if is_named_picture(entry.name) and is_utf8(entry.name)
    ]


def namesakes(place: Place, pages: dict[str, VocFile], images: list[str]) -> dict[str, str | None]:
    """The name of the picture that belongs to each XML file (by its stem), or None.

    <filename> counts if such a picture is there; but where several files name one, since they were copied, each takes its
    own namesake. Raises DataError if a file has two.
    """
    there = set(images)
    own: dict[str, list[str]] = {}
    for name in images:
        own.setdefault(Path(name).stem, []).append(name)
    named: dict[str, str] = {}
    for stem, page in pages.items():
        written, line = page.filename or ("", 0)
        if "/" in written or "\\" in written:
            written = inside_id(place.images, written, where=page.path, line=line)
        if written in there:
            named[stem] = written
    claims = Counter(named.values())
    found: dict[str, str | None] = {}
    for stem, page in pages.items():
        same = own.get(stem, [])
        if stem in named and (claims[named[stem]] == 1 or not same):
            found[stem] = named[stem]
        elif len(same) > 1:
            raise DataError(
                f"one picture is expected for this file, found {same[0]} and {same[1]}",
                where=page.path,
            )
        else:
            found[stem] = same[0] if same else None
    return found


def left_over(root: Path, where: list[Place], taken: set[str]) -> list[Skipped]:
    """What lies among the pictures and is not `taken`, by its path from the root."""
    own = {folder for place in where for folder in (place.annotations, place.images)}
    skipped: dict[str, Skipped] = {}
    for images in dict.fromkeys(place.images for place in where):
        folders, files = visible(images)
        only_pictures = all(images != place.annotations for place in where) and images != root
        for entry in files:
            id = id_of(root, entry.path)
            if not is_utf8(entry.name):
                skipped[id] = Skipped(printable(id), NOT_UTF8)
            elif is_named_picture(entry.name):
                if id not in taken:
                    skipped[id] = Skipped(id, "no XML file is there for it")
            elif only_pictures:
                skipped[id] = Skipped(id, "the ending is not that of a picture")
        for entry in folders if only_pictures else []:
            if Path(entry.path) not in own:
                id = id_of(root, entry.path) + "/"
                skipped[id] = Skipped(
                    printable(id), "a folder among the pictures, which is not read"
                )
    return list(skipped.values())


def id_of(root: Path, path: str | Path) -> str:
    """The path from the root, with slashes."""
    return Path(path).relative_to(root).as_posix()


def listed_parts(lists: Path, known: set[str]) -> tuple[dict[str, SplitName], list[Skipped]]:
    """The part of each stem by the lists of ImageSets/Main, and what these name although it is not known.

    Raises DataError, with the line, for a stem in two parts. trainval counts only where it is not divided further.
    """
    files = [Path(entry.path) for entry in visible(lists)[1] if entry.name.lower().endswith(".txt")]
    named = {file.stem.lower(): file for file in files if file.stem.lower() in _LISTS}
    if named.keys() & {"train", "val", "valid"}:
        named.pop("trainval", None)
    found: dict[str, tuple[SplitName, Path, int]] = {}
    for word, file in named.items():
        split = part_of(word) or "train"
        for number, line in enumerate(read_text(file, _MOST_BYTES).split("\n"), 1):
            if not (stem := _stem(line, known)):
                continue
            first = found.setdefault(stem, (split, file, number))
            if first[0] != split:
                raise DataError(
                    f"one part is expected for {stem!r}, it is in {first[1].name} (line {first[2]}) too",
                    where=file,
                    line=number,
                    remedy="Decide which is right and remove the other line: a picture in two parts is a leak.",
                )
    absent = [
        Skipped(
            stem,
            f"named by {file.name}, line {line}, but neither a picture nor an XML file of that name is there",
        )
        for stem, (_, file, line) in found.items()
        if stem not in known
    ]
    return {stem: split for stem, (split, _, _) in found.items()}, absent


def _stem(line: str, known: set[str]) -> str:
    """The stem that a line means: "000012", "000012  1" or "000012.jpg"."""
    line = line.rstrip("\r")
    stem = line if line in known else line.strip()
    if stem not in known:
        fields = stem.rsplit(None, 1)
        if len(fields) == 2 and fields[1] in ("-1", "0", "1"):
            stem = fields[0]
    if stem not in known and is_named_picture(stem):
        stem = Path(stem).stem
    return stem
