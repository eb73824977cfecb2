"""Decides which format the data at a path has, or asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foveate.annotations import CONVERSIONS
from foveate.errors import DataError
from foveate.formats._shared.layout import printable, visible
from foveate.formats._shared.protocol import Format

WEAKEST = "folder"
"""Folders of images may be anything, so this format is taken only if no other one fits."""


@dataclass(frozen=True)
class Recognised:
    """How data is to be read.

    Attributes:
        format: The format that fits.
        path: Where it fits.
        notes: What was decided, for the user.
    """

    format: Format
    path: Path
    notes: tuple[str, ...] = ()


def recognise(path: Path, formats: Mapping[str, Format], task: str | None = None) -> Recognised:
    """Return the one format that fits the data at a path.

    Args:
        path: A folder or a file.
        formats: The formats by their names.
        task: The task that the data is for, where the user said so.

    Raises:
        DataError: If no format fits, or several do; the latter lists what chooses one.
    """
    fits = [format for format in formats.values() if format.sniff(path)]
    notes: tuple[str, ...] = ()
    fits = _for_task(fits, task)
    if len(fits) > 1 and any(format.NAME == WEAKEST for format in fits):
        fits = [format for format in fits if format.NAME != WEAKEST]
        notes = (
            f"the folders are not taken as classes, since {fits[0].NAME} fits the files; "
            f"--format {WEAKEST} takes them",
        )
    if len(fits) == 1:
        return Recognised(fits[0], path, notes)
    raise _several(path, fits) if fits else _none(path, formats)


def _for_task(fits: list[Format], task: str | None) -> list[Format]:
    """Keep the formats made for a task; else those whose annotations serve it; else all."""
    serving = {one.source for one in CONVERSIONS if one.target == task}
    made = [format for format in fits if task in format.TASKS]
    return made or [format for format in fits if serving.intersection(format.TASKS)] or fits


def _several(path: Path, fits: list[Format]) -> DataError:
    return DataError(
        "the data can be read in several ways: "
        + " or ".join(f"as {format.NAME}" for format in fits),
        where=path,
        details=[_reading(path, format, fits) for format in fits],
        remedy="Choose one of them with its option.",
    )


def _reading(path: Path, format: Format, fits: list[Format]) -> str:
    """What chooses a format among others, and what it would read."""
    others = {task for other in fits if other is not format for task in other.TASKS}
    own = [task for task in format.TASKS if task not in others]
    option = f"--task {own[0]}" if len(own) == 1 else f"--format {format.NAME}"
    describe = getattr(format, "describe", None)
    return f"{option}: {describe(path) if describe else format.SUMMARY}"


def _none(path: Path, formats: Mapping[str, Format]) -> DataError:
    return DataError(
        f"no known format fits; found {_describe(path)}",
        where=path,
        details=[f"{name}: {format.SUMMARY}" for name, format in formats.items()],
        remedy="Lay the data out in one of these ways.",
    )


def _describe(path: Path) -> str:
    """Describe what is at a path."""
    if not path.is_dir():
        is_archive = path.suffix.lower() in (
            ".zip",
            ".gz",
            ".tgz",
            ".tar",
            ".bz2",
            ".xz",
            ".zst",
            ".7z",
            ".rar",
        )
        return f"a single file ({path.name})" + (
            "; unpack the archive and give its folder" if is_archive else ""
        )
    folders, files = visible(path)
    if not folders and not files:
        return "an empty folder"
    suffixes = Counter(Path(file.name).suffix.lower() or "without a suffix" for file in files)
    counts = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(3)) or "none"
    names = ", ".join(f"{folder.name}/" for folder in folders[:5]) or "none"
    return printable(f"files: {counts}; folders: {names}{', ...' if len(folders) > 5 else ''}")
