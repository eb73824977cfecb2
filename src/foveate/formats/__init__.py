"""Dataset formats: readers and writers of annotated images.

Every module and subpackage here is a format and is found by a scan of this folder, so a new format
is one new file. Names that begin with an underscore are not formats; they hold shared code.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from foveate.data.dataset import Dataset
from foveate.errors import DataError, SettingError
from foveate.formats._shared.layout import NOT_UTF8, is_utf8
from foveate.formats._shared.patients import with_patients
from foveate.formats._shared.recognition.class_names import unify_names
from foveate.formats._shared.recognition.protocol import Format, WritableFormat
from foveate.formats._shared.recognition.recognise import find_place, recognise
from foveate.wording import did_you_mean

__all__ = [
    "Format",
    "WritableFormat",
    "all",
    "expand_user",
    "find",
    "find_writer",
    "no_such_path",
    "read",
    "writers",
]


@cache
def all() -> dict[str, Format]:
    """Return every format by its name."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )
    return {module.NAME: cast(Format, module) for module in modules}


def find(name: str) -> Format:
    """Return the format of a name.

    Raises:
        SettingError: If there is none; the error lists the formats.
    """
    if name not in all():
        raise SettingError(
            f"no format is called {name!r}{did_you_mean(name, all())}",
            where="format",
            remedy=f"Formats: {', '.join(all())}.",
        )
    return all()[name]


def writers() -> dict[str, WritableFormat]:
    """Return the formats that can be written, by their names."""
    return {
        name: cast(WritableFormat, format)
        for name, format in all().items()
        if hasattr(format, "write")
    }


def find_writer(name: str) -> WritableFormat:
    """Return the format of a name, to write it.

    Raises:
        SettingError: If there is none, or if it can only be read; the error lists those that can
            be written.
    """
    format = find(name)
    if name not in writers():
        raise SettingError(
            f"{format.NAME!r} can be read, but is not written",
            where="format",
            remedy=f"Formats that are written: {', '.join(writers())}.",
        )
    return writers()[name]


def read(path: Path | str, format: str | None = None, task: str | None = None) -> Dataset[Any]:
    """Read the dataset at a path.

    Args:
        path: A folder or a file.
        format: The name of the format, or None to recognise it.
        task: The task that the data is for; of several formats that fit, it chooses those that can
            hold its annotations.

    Raises:
        DataError: If nothing exists at the path, if no format or several formats fit, or if the
            data cannot be read.
    """
    path = expand_user(path)
    if not is_utf8(str(path)):
        raise DataError(
            f"a path in UTF-8 is expected, but {NOT_UTF8}",
            where=repr(str(path)),
            remedy="Rename it.",
        )
    try:
        if not path.exists():
            raise no_such_path(path)
        if not (path.is_dir() or path.is_file()):
            raise DataError(
                "a folder or a file is expected, this is a pipe or a device", where=path
            )
        if format is not None:
            chosen = find_place(path, find(format))
        else:
            chosen = recognise(path, all(), task)
        place = _absolute(chosen.path)
        read_task = getattr(chosen.format, "read_task", None)
        dataset = read_task(place, task) if read_task else chosen.format.read(place)
        notes = (*chosen.notes, *dataset.notes)
        if chosen.path != path:  # the data is what the user has named, wherever in it the files lie
            dataset = replace(dataset, name=_absolute(path).name, origin=_absolute(path))
        dataset = replace(dataset, format=chosen.format.NAME, notes=notes)
        return with_patients(unify_names(dataset))
    except OSError as error:
        raise DataError(
            f"the data cannot be read ({error.strerror or error})", where=error.filename or path
        ) from None


def _absolute(path: Path) -> Path:
    """Links stay, since a dataset is named after its folder; `..` does not, since it is no name."""
    return path.resolve() if ".." in path.parts else path.absolute()


def expand_user(path: Path | str) -> Path:
    """Return the path with ~ and ~user expanded, where there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def no_such_path(path: Path, names: Iterable[str] = ()) -> DataError:
    """Return the error for a path where nothing exists.

    Args:
        path: The path.
        names: What may have been meant, besides the neighbours of the path.
    """
    try:
        entries = [entry.name for entry in path.absolute().parent.iterdir()]
        hidden = path.name.startswith(".")
        neighbours = [name for name in entries if name.startswith(".") == hidden]
    except OSError:
        neighbours = []
    known = ", ".join(names)
    problem = "a link that leads nowhere" if path.is_symlink() else "no such path"
    or_known = f", or the name of a dataset: {known}" if known else ""
    return DataError(
        problem + did_you_mean(path.name, [*neighbours, *names]),
        where=path,
        remedy=f"Give a folder or file that exists{or_known}.",
    )
