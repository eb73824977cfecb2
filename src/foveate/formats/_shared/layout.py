"""What formats agree on: the words for parts, the files that are no data, the order of the classes."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.annotations import Label
from foveate.data.dataset import Dataset, Sample, Skipped, Source, SplitName
from foveate.data.images import PICTURE_SUFFIXES
from foveate.errors import DataError

PART_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
    "testing": "test",
}
"""What people call the parts, in lower case."""

CLASSES_FILE = "classes.txt"
"""Beside the data, optional: the class names in the order of their indices, one a line, UTF-8."""

NOT_UTF8 = "the name is expected to be valid UTF-8, this one is not"

_PICTURE_ENDINGS = tuple(PICTURE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Row:
    """A sample before its class has an index."""

    id: str
    source: Source
    label: str
    group: str | None = None
    split: SplitName | None = None
    time: str | None = None


def part_of(word: str) -> SplitName | None:
    """The part that a word means, if any: "Validation" -> "valid"."""
    return PART_WORDS.get(word.strip().casefold())


def is_hidden(name: str) -> bool:
    """Files and folders that operating systems leave behind; they are nobody's data."""
    return name.startswith(".") or name.casefold() in ("thumbs.db", "desktop.ini", "__macosx")


def is_utf8(name: str) -> bool:
    """False for names with bytes that no text file could hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """A name with bytes that are not UTF-8 written out, so that it can be shown and stored."""
    return name.encode(errors="backslashreplace").decode()


def visible(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """The folders and the other entries in a folder, by name, without the hidden ones. Raises OSError."""
    folders: list[os.DirEntry[str]] = []
    others: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not is_hidden(entry.name):
                (folders if _is_folder(entry) else others).append(entry)
    return folders, others


def is_named_picture(name: str) -> bool:
    """Whether a file name ends like a picture's."""
    return name.lower().endswith(_PICTURE_ENDINGS)


def unusable(file: Path | os.DirEntry[str]) -> str | None:
    """Why a file cannot be a picture, by its status alone, or None."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return (
            "a link to a file that is not there" if file.is_symlink() else "there is no such file"
        )
    except (OSError, ValueError) as error:
        return f"the file cannot be opened ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(status.st_mode):
        return "a file is expected, this is a folder or a device"
    return None if status.st_size else "the file is empty (0 bytes)"


def labelled(
    rows: Sequence[Row], skipped: Sequence[Skipped], *, name: str, origin: Path, beside: Path
) -> Dataset[Label]:
    """The rows as a dataset, its classes in the order of `beside`/classes.txt or else sorted by name.

    Raises DataError if no row is left, if there are fewer than two classes, or if classes.txt lacks one.
    """
    if not rows:
        first = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
        raise DataError(
            f"pictures are expected, found none that can be used ({len(skipped):,} skipped{first})",
            where=origin,
        )
    present = {row.label for row in rows}
    refuse_single(present, origin)
    classes = in_order(present, beside)
    labels = {label: Label(index) for index, label in enumerate(classes)}
    samples = [
        Sample(row.id, row.source, labels[row.label], row.group, row.split, row.time)
        for row in rows
    ]
    return Dataset(name, "classification", classes, samples, tuple(skipped), origin)


def in_order(present: set[str], beside: Path) -> tuple[str, ...]:
    """The classes as `beside`/classes.txt has them, or else those that occur, by name. Raises DataError if it lacks one."""
    classes = read_classes(beside) or tuple(sorted(present))
    if unknown := sorted(present.difference(classes)):
        raise DataError(
            f"a name for each class is expected, {unknown[0]!r} is missing",
            where=beside / CLASSES_FILE,
            remedy="Add it to the file, or remove the file to have the classes sorted by name.",
        )
    return classes


def refuse_single(present: set[str], origin: Path) -> None:
    """Raises DataError if there are fewer than two classes among the samples."""
    if len(present) < 2:
        raise DataError(
            f"two classes or more are expected, found one ({next(iter(present))!r})",
            where=origin,
            remedy="Add pictures of what it is to be told from.",
        )


def read_classes(folder: Path) -> tuple[str, ...] | None:
    """The class names in a folder's classes.txt, or None if there is no such file."""
    path = folder / CLASSES_FILE
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise DataError(
            "text in UTF-8 is expected", where=path, remedy="Save the file as UTF-8."
        ) from None
    for number, line in enumerate(lines, 1):
        if not line or line in lines[: number - 1]:
            problem = "an empty line" if not line else f"{line!r} a second time"
            raise DataError(
                f"one class name a line is expected, got {problem}", where=path, line=number
            )
    return tuple(lines)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False
