"""Decides which format the data at a path has, or asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foveate.annotations import CONVERSIONS, Label
from foveate.errors import DataError
from foveate.formats._shared.files.splits import split_in_name
from foveate.formats._shared.garbage import gc_paused
from foveate.formats._shared.layout import printable, visible
from foveate.formats._shared.once import looking_once
from foveate.formats._shared.recognition.folder_names import is_reserved
from foveate.formats._shared.recognition.protocol import Format
from foveate.formats._shared.recognition.unrecognised import (
    ARCHIVES,
    WEAKEST,
    datasets_inside,
    several_datasets,
    unrecognised,
)

_MAX_DEPTH = 10
_BESIDE_DATA = re.compile(
    r"(authors|changelog|citation|copying|licen[cs]e|notice|readme)\b.*"
    r"|.*\.(bib|docx?|html?|ipynb|md|pdf|py|rst|sh|url)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Recognised:
    """How data is to be read.

    Attributes:
        format: The format that fits.
        path: Where it fits: the path that was given, or a folder below it.
        notes: What was decided, for the user.
    """

    format: Format
    path: Path
    notes: tuple[str, ...] = ()


@gc_paused()
@looking_once()
def recognise(path: Path, formats: Mapping[str, Format], task: str | None = None) -> Recognised:
    """Return the one format that fits the data at a path.

    A folder that holds nothing but another folder is looked through.

    Args:
        path: A folder or a file.
        formats: The formats by their names.
        task: The task that the data is for, where the user said so.

    Raises:
        DataError: If no format fits, or several do, or if the user has to answer a question; the
            error lists what chooses a format, or what the nearest ones lack.
    """
    places = _places(path)
    for place in places:
        fits = _for_task([one for one in formats.values() if one.sniff(place)], task)
        stronger = [format for format in fits if format.NAME != WEAKEST]
        if fits:
            _refuse_several_datasets(place, stronger, formats)
        if len(stronger) > 1:
            raise _several(place, stronger, by_task=task is None)
        if fits:
            return Recognised(
                (stronger or fits)[0],
                place,
                (*_note_inside(path, place), *_note_weaker(fits, stronger)),
            )
    raise unrecognised(max(places, key=lambda place: len(place.parts)), formats)


def find_place(path: Path, format: Format) -> Recognised:
    """Return where the data of a format that the user has named lies: the path or a folder in it.

    Raises:
        OSError: If the folder cannot be opened.
    """
    place = next((one for one in _places(path) if format.sniff(one)), path)
    return Recognised(format, place, _note_inside(path, place))


def _places(path: Path) -> list[Path]:
    """The path, and the folders in it that are alone in theirs but for a README or an archive.

    The lowest comes first: files such as classes.txt lie beside the folders of the data. Folders
    named like splits or their content belong to a layout, and come last.
    """
    places = [path]
    while places[-1].is_dir() and len(places) <= _MAX_DEPTH:
        folders, files = visible(places[-1])
        beside = (
            file.name.lower().endswith(ARCHIVES) or _BESIDE_DATA.fullmatch(file.name)
            for file in files
        )
        if len(folders) != 1 or not all(beside):
            break
        places.append(Path(folders[0].path))
    inner = (depth for depth, one in enumerate(places) if depth and _is_of_layout(one.name))
    end = next(inner, len(places))
    return places[end - 1 :: -1] + places[end:]


def _is_of_layout(name: str) -> bool:
    """Whether a folder is named like a split, or like one of images or of annotations."""
    return bool(split_in_name(name)) or (is_reserved(name) and not name.lower().startswith("data"))


def _refuse_several_datasets(
    path: Path, stronger: list[Format], formats: Mapping[str, Format]
) -> None:
    """Raise DataError if folders in a folder are datasets of their own, of different formats.

    Folders of one format may be its splits; a folder of class folders may be that of the images.
    """
    inside = datasets_inside(path, formats)
    found = {" ".join(names) for names in inside.values() if names != [WEAKEST]}
    if len(found) > 1 or (found and not stronger):
        raise several_datasets(path, inside)


def _note_inside(path: Path, place: Path) -> tuple[str, ...]:
    if place == path:
        return ()
    inside = printable(place.relative_to(path).as_posix())
    return (f"read from {inside}/, since there is nothing else in the folder",)


def _note_weaker(fits: list[Format], stronger: list[Format]) -> tuple[str, ...]:
    """Note that the folders could be classes as well, where a table gives the labels."""
    labels = stronger and Label.task in stronger[0].TASKS
    if not labels or len(fits) == len(stronger):
        return ()
    return (
        f"the labels are those of the {stronger[0].NAME} file, not the names of the folders, which "
        f"--format {WEAKEST} takes",
    )


def _for_task(fits: list[Format], task: str | None) -> list[Format]:
    """Keep the formats made for a task; else those whose annotations serve it; else all."""
    serving = {one.source for one in CONVERSIONS if one.target == task}
    made = [format for format in fits if task in format.TASKS]
    return made or [format for format in fits if serving.intersection(format.TASKS)] or fits


def _several(path: Path, fits: list[Format], *, by_task: bool) -> DataError:
    return DataError(
        "the data can be read in several ways: "
        + " or ".join(f"as {format.NAME}" for format in fits),
        where=path,
        details=[_reading(path, format, fits, by_task=by_task) for format in fits],
        remedy="Choose one of them with its option.",
    )


def _reading(path: Path, format: Format, fits: list[Format], *, by_task: bool) -> str:
    """What chooses a format among others, and what it would read."""
    others = {task for other in fits if other is not format for task in other.TASKS}
    own = [task for task in format.TASKS if task not in others]
    # What is read may be of another task of the format, such as boxes where masks are possible.
    serving = {(one.source, one.target) for one in CONVERSIONS}
    is_sure = len(own) == 1 and all(
        task == own[0] or (task, own[0]) in serving for task in format.TASKS
    )
    option = f"--task {own[0]}" if by_task and is_sure else f"--format {format.NAME}"
    describe = getattr(format, "describe", None)
    return f"{option}: {describe(path) if describe else format.SUMMARY}"
