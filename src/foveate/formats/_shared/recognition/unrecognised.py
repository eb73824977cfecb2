"""The error for data that no format fits: what is there, and what is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.layout import has_image_suffix, is_hidden, printable, visible
from foveate.formats._shared.recognition import foreign, published
from foveate.formats._shared.recognition.nearest import nearest
from foveate.formats._shared.recognition.protocol import Format
from foveate.formats._shared.tables.table_files import SPREADSHEETS

WEAKEST = "folder"
"""Folders of images may be anything, so this format is taken only if no other one fits."""
ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst", ".7z", ".rar")
"""Suffixes of archives, in lower case."""
_CONTAINERS = (
    *(".parquet", ".arrow", ".tfrecord", ".tfrecords", ".h5", ".hdf5", ".npz", ".mat", ".pkl"),
    *(".pickle", ".mdb", ".lmdb", ".rec"),
)
"""Suffixes of files that may hold many images, none of which is read."""

_MAX_NEAREST = 3
_MAX_SHOWN = 5  # folders
_MAX_SUBFOLDERS = 20  # tried, to find several datasets in one folder


def unrecognised(path: Path, formats: Mapping[str, Format]) -> DataError:
    """Return the error for a path that no format fits.

    It says which datasets lie in the folder, or what each of the nearest formats lacks, or asks
    what one format has to know.

    Args:
        path: A folder or a file.
        formats: The formats by their names.
    """
    if path.is_dir() and not _has_files(path):
        return DataError(
            f"images with labels are expected, found {_describe_empty(path)}",
            where=path,
            remedy="Put the images into folders named like their classes, or beside a file with "
            "their labels; foveate formats lists what can be read.",
        )
    if known := foreign.error_for(path) or published.error_for(path):
        return known
    if inside := datasets_inside(path, formats):
        return several_datasets(path, inside)
    asked = {
        name: one
        for name, format in formats.items()
        if (one := _question(format, path)) is not None
    }
    missing = _missing(path, {name: one for name, one in formats.items() if name not in asked})
    questions = list(asked.values())
    if questions and not missing:
        return questions[0]
    near = missing + [f"{WEAKEST}: {question.message}" for question in questions]
    return DataError(
        f"no known format fits; found {_describe(path)}",
        where=path,
        details=near[:_MAX_NEAREST],
        remedy=_remedy(path, bool(near)),
    )


def several_datasets(path: Path, inside: Mapping[str, Sequence[str]]) -> DataError:
    """Return the error for a folder in which other datasets lie, see `datasets_inside`."""
    return DataError(
        "one dataset is expected, found folders with a dataset each",
        where=path,
        details=[f"{folder}/ looks like {' or '.join(one)}" for folder, one in inside.items()],
        remedy=f"Give one of the folders, such as {path / next(iter(inside))}.",
    )


def datasets_inside(path: Path, formats: Mapping[str, Format]) -> dict[str, list[str]]:
    """Return the folders in a folder that are datasets, each with the formats that fit it.

    There are none if all of them hold nothing but class folders, which may be one dataset.
    """
    if not path.is_dir():
        return {}
    inside: dict[str, list[str]] = {}
    folders = [Path(folder.path) for folder in visible(path)[0][:_MAX_SUBFOLDERS]]
    for folder in folders:
        if not _only_images(folder):
            names = [name for name, format in formats.items() if format.sniff(folder)]
            if names:
                stronger = [name for name in names if name != WEAKEST]
                inside[printable(folder.name)] = stronger or names
    return inside if any(names != [WEAKEST] for names in inside.values()) else {}


def _only_images(folder: Path) -> bool:
    folders, files = visible(folder)
    return not folders and all(has_image_suffix(file.name) for file in files)


def _missing(path: Path, formats: Mapping[str, Format]) -> list[str]:
    reasons = []
    for name, format in formats.items():
        missing = getattr(format, "missing", None)
        if missing and (reason := missing(path)):
            reasons.append(f"{name}: {reason}")
    return [*nearest(path), *reasons]


def _question(format: Format, path: Path) -> DataError | None:
    question = getattr(format, "question", None)
    asked: DataError | None = question(path) if question else None
    return asked


def _remedy(path: Path, near: bool) -> str:
    files = [path.name] if path.is_file() else [file.name for file in visible(path)[1]]
    if archive := _ending(files, ARCHIVES):
        return f"Unpack {archive} and give its folder."
    if spreadsheet := _ending(files, SPREADSHEETS):
        return f"Save {spreadsheet} as a CSV file (in UTF-8), which is read."
    if container := _ending(files, _CONTAINERS):
        return (
            f"Files such as {container} are not read: save each image as a file (PNG, JPEG, TIFF), "
            "and the labels as folders of classes or as a CSV file with the columns path,label."
        )
    if near:
        return "Complete the data, or see what can be read: foveate formats"
    return "See what can be read: foveate formats"


def _ending(names: Sequence[str], suffixes: tuple[str, ...]) -> str | None:
    """Return the first of the names with one of the suffixes, printable, or None."""
    return next((printable(name) for name in names if name.lower().endswith(suffixes)), None)


def _has_files(folder: Path) -> bool:
    """Return whether there is a visible file below a folder."""
    for _, folders, files in os.walk(folder):
        if not all(map(is_hidden, files)):
            return True
        folders[:] = [name for name in folders if not is_hidden(name)]
    return False


def _describe_empty(path: Path) -> str:
    names = [f"{folder.name}/" for folder in visible(path)[0]]
    if not names:
        return "an empty folder"
    more = ", ..." if len(names) > _MAX_SHOWN else ""
    return printable(f"no file in it or in its folders ({', '.join(names[:_MAX_SHOWN])}{more})")


def _describe(path: Path) -> str:
    """Describe what is at a path."""
    if not path.is_dir():
        return f"a single file ({path.name})"
    folders, files = visible(path)
    suffixes = Counter(Path(file.name).suffix.lower() or "without a suffix" for file in files)
    counts = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(3)) or "none"
    names = ", ".join(f"{folder.name}/" for folder in folders[:_MAX_SHOWN]) or "none"
    more = ", ..." if len(folders) > _MAX_SHOWN else ""
    return printable(f"files: {counts}; folders: {names}{more}")
