"""Where the pictures and the text files of a set in YOLO's manner lie.

The text file of a picture has its path with the last folder called images replaced by labels, if there is one:
images/train/1.jpg and labels/train/1.txt, train/images/1.jpg and train/labels/1.txt, 1.jpg and 1.txt. Which pictures there
are, and in which part, is what data.yaml says under train, val and test, or else the folders' names do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.beside import read_text
from foveate.formats._shared.layout import (
    is_hidden,
    is_named_picture,
    is_utf8,
    part_of,
    printable,
    unusable,
    visible,
)
from foveate.formats._shared.paths import inside_id
from foveate.formats._shared.walk import make_images
from foveate.formats._shared.yaml_file import Keys
from foveate.formats.yolo.names import NAME_FILES

_MOST_BYTES = 100_000_000
_DRIVE = re.compile("[A-Za-z]:/")


@dataclass(slots=True)
class YoloLayout:
    """The pictures of a set, by their paths from its folder, in order.

    parts: of each picture
    labels: the folders below which text files are looked for
    lists: text files that are lists of pictures
    other: pictures that are there but belong to no part that data.yaml names
    """

    splits: dict[str, SplitName | None] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    other: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def usual_folders(root: Path) -> list[str]:
    """The folders of pictures by the usual layouts, as paths from the root; "" is the root itself. Raises OSError."""
    names = [entry.name for entry in visible(root)[0]]
    found = ["images"] if "images" in names else []
    for name in names:
        if part_of(name):
            found.append(f"{name}/images" if (root / name / "images").is_dir() else name)
    return found or [""]


def label_of(id: str) -> str:
    """The path of a picture's text file."""
    folder, _, name = id.rpartition("/")
    return os.path.join(label_folder(folder), f"{Path(name).stem}.txt")  # noqa: PTH118 - of text, thousands of times


def label_folder(folder: str) -> str:
    """The folder of the text files for a folder of pictures."""
    before, images, after = f"/{folder}/".rpartition("/images/")
    return f"{before}/labels/{after}".strip("/") if images else folder


def find(root: Path, config: Keys | None) -> YoloLayout:
    """The pictures. Raises DataError if what data.yaml names leaves the folder, or one picture is in two parts."""
    found = YoloLayout()
    usual = usual_folders(root)
    named = (
        [key for key in config.values if isinstance(key, str) and part_of(key)] if config else []
    )
    named = [key for key in named if config and config.values[key] is not None]
    if config and named:
        for key in named:
            _add_named(found, root, config, key)
        for folder in usual if usual != [""] else []:
            found.other += [
                id for id, _ in make_images(root, root / folder, []) if id not in found.splits
            ]
    else:
        for folder in usual:
            for id in _below(found, root, folder):
                found.splits[id] = _part_by_folder(id)
    return found


def text_files(root: Path, found: YoloLayout) -> set[str]:
    """The text files in all folders where some of a picture may be. Raises OSError."""
    folders = set(found.labels)
    for top in found.labels:
        for folder, inner, files in os.walk(root / top):
            inner[:] = [name for name in inner if not is_hidden(name)]
            if any(file.lower().endswith(".txt") for file in files) and is_utf8(folder):
                folders.add(Path(folder).relative_to(root).as_posix())
    folders.update(label_of(id).rpartition("/")[0] for id in found.splits)
    texts = set()
    for folder in folders:
        place = root / folder
        if place.is_dir():
            for entry in visible(place)[1]:
                if entry.name.endswith(".txt") and entry.name not in NAME_FILES:
                    texts.add(entry.name if folder in ("", ".") else f"{folder}/{entry.name}")
    return texts - found.lists


def _part_by_folder(id: str) -> SplitName | None:
    """By the folder beneath images/, or the outermost one: images/train/1.jpg, train/images/1.jpg, train/1.jpg."""
    folders = id.split("/")[:-1]
    if folders and folders[0] == "images":
        folders.pop(0)
    return part_of(folders[0]) if folders else None


def _below(found: YoloLayout, root: Path, folder: str) -> list[str]:
    """The pictures below a folder, which is noted as one that has text files too."""
    found.labels[label_folder(folder)] = None
    odd: list[Skipped] = []
    ids = [id for id, _ in make_images(root, root / folder, odd)]
    for one in odd:
        # The set's own files lie in its folder, and text files wherever they belong to pictures.
        is_other = one.id.endswith("/") or is_named_picture(one.id)
        is_own = one.id.endswith((".txt", *NAME_FILES))
        if is_other or (folder and not is_own):
            found.skipped.append(one)
    return ids


def _add_named(found: YoloLayout, root: Path, config: Keys, key: str) -> None:
    """Adds what data.yaml names for a part: a folder, a list of pictures, or several of them."""
    split = part_of(key)
    given = config.values[key]
    for written in given if isinstance(given, list) else [given]:
        if not isinstance(written, str) or not written.strip():
            shown = repr(written)[:100]
            raise config.error(
                key, f"a folder of pictures or a list of them is expected for {key}, got {shown}"
            )
        place = _place(found, root, config, key, written)
        if place is None:
            if split == "train":
                raise config.error(
                    key,
                    f"the folder or file {written[:200]!r} is expected below {root.name}/, it is not there",
                )
            found.skipped.append(
                Skipped(
                    printable(written),
                    f"named for {key} by {config.path.name}, but it is not there",
                )
            )
        elif (root / place).is_dir():
            for id in _below(found, root, place):
                _assign(found, id, split, config.path, config.lines.get(key))
        elif place.lower().endswith(".txt"):
            _add_list(found, root, place, split)
        else:
            raise config.error(
                key,
                f"a folder or a .txt file of pictures is expected for {key}, got {written[:200]!r}",
            )


def _place(found: YoloLayout, root: Path, config: Keys, key: str, written: str) -> str | None:
    """Where something lies that data.yaml names, as a path from the root, or None if it is nowhere in it.

    It is looked for from `path`, from the folder of data.yaml, and `../train/images` as if it were `train/images`, since Roboflow
    writes that. What lies outside is never looked at.
    """
    base = config.values.get("path")
    if base is not None and not isinstance(base, str):
        raise config.error("path", f"a folder is expected for path, got {repr(base)[:100]}")
    written = written.replace("\\", "/")
    literal = _from_root(root, os.path.join(base or "", written))  # noqa: PTH118 - of text
    shorter = written.removeprefix("../")
    if shorter != written and not part_of(shorter.split("/")[0]):
        shorter = written
    candidates = [literal, _from_root(root, written), _from_root(root, shorter)]
    for candidate in candidates:
        if candidate is not None and (root / candidate).exists():
            if candidate != literal:
                found.notes.append(
                    f"{config.path.name} names {written!r} for {key}; {candidate}/ beside it was taken for that"
                )
            return candidate
    if candidates == [None] * 3:
        inside_id(
            root, written, where=config.path, line=config.lines.get(key)
        )  # says what is wrong
    return None


def _from_root(root: Path, written: str) -> str | None:
    """A path as it leads on from the root, "" for the root itself, or None if it leaves it."""
    if not written or "\0" in written or not is_utf8(written) or _DRIVE.match(written):
        return None
    place = os.path.normpath(root / written)
    if not Path(place).is_relative_to(root):
        return None
    return "" if Path(place) == root else Path(place).relative_to(root).as_posix()


def _add_list(found: YoloLayout, root: Path, list_file: str, split: SplitName | None) -> None:
    """Adds the pictures of a text file that has the path of one a line, from its own folder or from the root."""
    path = root / list_file
    found.lists.add(list_file)
    for number, line in enumerate(read_text(path, _MOST_BYTES).split("\n"), 1):
        if not (written := line.strip()):
            continue
        id = _from_root(root, written)
        if id is None or not (root / id).exists():
            id = inside_id(path.parent, written, where=path, line=number, root=root)
            id = os.path.normpath(Path(list_file).parent / id)
        if not is_named_picture(id):
            found.skipped.append(Skipped(id, "the ending is not that of a picture"))
        elif reason := unusable(root / id):
            found.skipped.append(Skipped(id, f"{reason} ({path.name}, line {number})"))
        else:
            _assign(found, id, split, path, number)


def _assign(
    found: YoloLayout, id: str, split: SplitName | None, where: Path, line: int | None
) -> None:
    first = found.splits.setdefault(id, split)
    if first != split:
        raise DataError(
            f"one part is expected for {id!r}, it is in {first} and in {split}",
            where=where,
            line=line,
            remedy="Name each picture in one part only: a picture in two is a leak.",
        )
