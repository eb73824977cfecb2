"""What a folder lacks to be read: for each kind of annotation file that lies in it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foveate.errors import FoveateError
from foveate.formats._shared.documents.json_file import has_keys
from foveate.formats._shared.layout import has_image_suffix, is_hidden, printable
from foveate.regular_file import open_regular
from foveate.wording import count_noun

_MAX_FILES = 20_000  # looked at
_MAX_HEADER = 2_000  # bytes of a table
_COCO_KEYS = ("images", "annotations", "categories")
_BESIDE = {".txt": ("yolo", "text"), ".json": ("labelme", "JSON"), ".xml": ("voc", "XML")}
"""The format and the name of files with one for each image, by their suffix."""


@dataclass(slots=True)
class Files:
    """The files below a folder, by their suffixes in lower case.

    Attributes:
        root: The folder.
        images: The images' paths relative to it.
        others: The same for the files of each other suffix.
    """

    root: Path
    images: list[str] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def below(cls, root: Path) -> Files:
        """List the first thousands of visible files below a folder."""
        files, seen = cls(root), 0
        for here, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            for name in sorted(names):
                path = os.path.relpath(f"{here}/{name}", root)
                if has_image_suffix(name):
                    files.images.append(path)
                elif not is_hidden(name):
                    files.others.setdefault(Path(name).suffix.lower(), []).append(path)
            seen += len(names)
            if seen > _MAX_FILES:
                break
        return files


def nearest(path: Path) -> Iterator[str]:
    """Yield what the annotation files in a folder lack: no image, no partner, no columns.

    Args:
        path: A folder that no format fits.
    """
    if not path.is_dir():
        return
    files = Files.below(path)
    yield from _tables(files)
    yield from _json_files(files)
    for suffix in _BESIDE:
        yield from _unpaired(files, suffix)


def _tables(files: Files) -> Iterator[str]:
    for name in [*files.others.get(".csv", ()), *files.others.get(".tsv", ())][:1]:
        try:
            with open_regular(files.root / name) as file:
                line = file.read(_MAX_HEADER).decode(errors="replace").partition("\n")[0]
        except (OSError, FoveateError):
            continue
        columns = next(csv.reader([line.strip()], delimiter="\t" if "\t" in line else ","), [])
        found = ", ".join(column.strip() for column in columns[:8])
        lacking = "" if files.images else ", and no image lies beside it"
        yield printable(
            f"csv: {name} has the columns {found}{lacking}; a column for the path of the image and "
            "one for the label are needed"
        )


def _json_files(files: Files) -> Iterator[str]:
    for name in files.others.get(".json", ())[:1]:
        present = [key for key in _COCO_KEYS if _has(files.root / name, key)]
        if 0 < len(present) < len(_COCO_KEYS):
            lacking = ", ".join(key for key in _COCO_KEYS if key not in present)
            yield printable(f"coco: {name} has {', '.join(present)}, but lacks {lacking}")


def _unpaired(files: Files, suffix: str) -> Iterator[str]:
    """Files that would belong to one image each, where none has the stem of an image."""
    names = files.others.get(suffix, ())
    stems = {Path(name).stem for name in names}
    if len(names) < 2 or not stems.isdisjoint(Path(image).stem for image in files.images):
        return
    format, kind = _BESIDE[suffix]
    found = f"such as {names[0]}"
    if not files.images:
        yield printable(f"{format}: {count_noun(len(names), f'{kind} file')} ({found}), no image")
        return
    yield printable(
        f"{format}: {count_noun(len(names), f'{kind} file')} ({found}), but none with the name of "
        f"an image (such as {files.images[0]})"
    )


def _has(file: Path, key: str) -> bool:
    try:
        return has_keys(file, key)
    except (OSError, FoveateError):
        return False
