"""Conventions of all formats: names of splits, files that are not data, the order of classes."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from foveate.annotations import Label
from foveate.data.dataset import Dataset, Sample, Skipped, Source, SplitName
from foveate.data.images import IMAGE_SUFFIXES
from foveate.errors import DataError
from foveate.formats._shared.once import once
from foveate.formats._shared.wording import first_reason
from foveate.regular_file import NOT_REGULAR, open_regular

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "validate": "valid",
    "dev": "valid",
    "eval": "valid",
    "evaluation": "valid",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
"""The common names of the splits, in lower case."""

CLASSES_FILE = "classes.txt"
"""Optional file beside the data: the class names in the order of their indices, one per line."""

MAX_COORDINATE = 1e9
"""No image has coordinates beyond it, in pixels or in widths of the image."""

NOT_UTF8 = "the name is not valid UTF-8"
NO_IMAGE_SUFFIX = "the file suffix is not that of an image"

_LEFTOVERS = frozenset(
    {
        "$recycle.bin",
        "@eadir",
        "__macosx",
        "__pycache__",
        "desktop.ini",
        "ehthumbs.db",
        "icon\r",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
_IMAGE_SUFFIXES = tuple(IMAGE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A sample whose class is still a name, because class indices are not known yet.

    Attributes:
        id: The sample's id.
        source: Where its pixels come from.
        label: The name of its class.
        group: The group that must stay in one split, or None.
        split: The split that the data assigns, or None.
        time: When the image was taken, or None.
    """

    id: str
    source: Source
    label: str
    group: str | None = None
    split: SplitName | None = None
    time: str | None = None


def split_of(word: str) -> SplitName | None:
    """Return the split that a word names, or None: "Validation" names "valid"."""
    return SPLIT_WORDS.get(word.strip().casefold())


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or left behind by an operating system."""
    return name.startswith(".") or name.casefold() in _LEFTOVERS


def is_utf8(name: str) -> bool:
    """Return whether a name can be stored in a text file."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def composed(name: str) -> str:
    """Return a name in Unicode's composed form: systems write "ü" as one character or as two."""
    return unicodedata.normalize("NFC", name)


def printable(name: str) -> str:
    """Escape the bytes of a name that are not UTF-8, so that it can be shown and stored."""
    return name.encode(errors="backslashreplace").decode()


def visible(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """List a folder without its hidden entries.

    Returns:
        The folders and the other entries, each sorted by name.

    Raises:
        OSError: If the folder cannot be opened.
    """
    folders, others = _visible(os.fspath(folder))
    return [*folders], [*others]  # callers may change their own lists


@once
def _visible(folder: str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    folders: list[os.DirEntry[str]] = []
    others: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not is_hidden(entry.name):
                (folders if _is_folder(entry) else others).append(entry)
    return folders, others


def has_image_suffix(name: str) -> bool:
    """Return whether a file name ends like an image's."""
    return name.lower().endswith(_IMAGE_SUFFIXES)


def unusable_reason(file: Path | os.DirEntry[str]) -> str | None:
    """Return why a path cannot be a data file, judging by its status alone, or None."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return "the link leads to no file" if file.is_symlink() else "there is no such file"
    except (OSError, ValueError) as error:
        return f"the file cannot be opened ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(status.st_mode):
        return NOT_REGULAR
    return None if status.st_size else "the file is empty (0 bytes)"


def labelled_dataset(
    rows: Sequence[LabelRow], skipped: Sequence[Skipped], *, name: str, origin: Path, beside: Path
) -> Dataset[Label]:
    """Build a classification dataset from samples with class names.

    Args:
        rows: The samples.
        skipped: The samples that were left out.
        name: The name of the dataset.
        origin: The path that the user gave.
        beside: The folder that may hold classes.txt, which gives the order of the classes.

    Raises:
        DataError: If there is no sample, if there are fewer than two classes (classes.txt may list
            one that no image has), or if classes.txt lacks a class.
    """
    if not rows:
        raise DataError(
            "images are expected, found none that can be used "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=origin,
        )
    classes = ordered_classes({row.label for row in rows}, beside)
    require_two_classes(classes, origin)
    labels = {label: Label(index) for index, label in enumerate(classes)}
    samples = [
        Sample(row.id, row.source, labels[row.label], row.group, row.split, row.time)
        for row in rows
    ]
    return Dataset(name, "classification", classes, samples, tuple(skipped), origin)


def ordered_classes(present: set[str], beside: Path) -> tuple[str, ...]:
    """Return the classes in the order of `beside`/classes.txt, or sorted by name without that file.

    Raises:
        DataError: If classes.txt lacks one of the classes that are present.
    """
    listed = read_classes(beside)
    if listed is None:
        return tuple(sorted(present))
    spellings: dict[str, list[str]] = {}
    for name in sorted(present):
        spellings.setdefault(composed(name), []).append(name)
    classes = tuple(same for name in listed for same in spellings.get(composed(name), [name]))
    if unknown := sorted(present.difference(classes)):
        raise DataError(
            f"a name for each class is expected, {unknown[0]!r} is missing",
            where=beside / CLASSES_FILE,
            remedy="Add it to the file, or remove the file to have the classes sorted by name.",
        )
    return classes


def require_two_classes(classes: Collection[str], origin: Path | str) -> None:
    """Raise DataError if a dataset has fewer than two classes, whether images show them or not."""
    if len(set(map(composed, classes))) < 2:
        raise DataError(
            f"two classes or more are expected, found one ({next(iter(classes))!r})",
            where=origin,
            remedy="Add images of another class.",
        )


def read_classes(folder: Path) -> tuple[str, ...] | None:
    """Read the class names in a folder's classes.txt.

    Returns:
        The names, or None if there is no such file.

    Raises:
        DataError: If the file is not UTF-8, or if a line is empty or repeated.
    """
    path = folder / CLASSES_FILE
    if not path.is_file():
        return None
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8-sig") as file:
            lines = file.read().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise DataError(
            "text in UTF-8 is expected", where=path, remedy="Save the file as UTF-8."
        ) from None
    for number, line in enumerate(lines, 1):
        if not line or line in lines[: number - 1]:
            problem = "an empty line" if not line else f"{line!r} a second time"
            raise DataError(
                f"one class name per line is expected, got {problem}", where=path, line=number
            )
    return tuple(lines)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False
