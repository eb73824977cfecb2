"""The formats of labelled pictures, found by a scan of this folder: a new format is one new file here.

A format is a module with NAME, SUMMARY (in one line, how such data lies on disk), TASKS, `sniff`, `read`, `write`.
Files whose names begin with an underscore are no formats; they hold what several formats share.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from foveate.data.dataset import Dataset
from foveate.errors import DataError, SettingError
from foveate.formats._shared.layout import NOT_UTF8, is_utf8, printable, visible


class Format(Protocol):
    """What each module of this folder offers."""

    NAME: str
    SUMMARY: str
    TASKS: tuple[str, ...]
    """The tasks whose annotations it can hold, see `annotations.KINDS`."""

    def sniff(self, path: Path) -> bool:
        """Whether the data at this path looks like this format. Cheap; False where nothing can be seen."""
        ...

    def read(self, path: Path) -> Dataset[Any]:
        """The data, nothing decoded yet. Raises DataError with the file, and the line where there is one."""
        ...

    def write(self, dataset: Dataset[Any], path: Path) -> None:
        """A copy of the data in a new folder, whole or not at all.

        Raises DataError where something stands at the path already, and where the format cannot hold the
        data, naming all that it cannot hold.
        """
        ...


@cache
def all() -> dict[str, Format]:
    """Every format by its name."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )
    return {module.NAME: cast(Format, module) for module in modules}


def find(name: str) -> Format:
    """The format of that name. Raises SettingError with what there is."""
    if name not in all():
        raise SettingError(
            f"no format is called {name!r}{_near(name, all())}",
            where="format",
            remedy=f"Formats: {', '.join(all())}.",
        )
    return all()[name]


def read(path: Path | str, format: str | None = None) -> Dataset[Any]:
    """The data at a path, in the format that is named or, with None, that it looks like.

    Raises DataError if there is nothing at the path, if no format fits or several do, and for whatever
    keeps the data from being read.
    """
    path = expanded(path)
    if not is_utf8(str(path)):
        raise DataError(NOT_UTF8, where=repr(str(path)), remedy="Rename it.")
    try:
        if not path.exists():
            raise missing(path)
        chosen = find(format) if format is not None else _sniffed(path)
        # Links are kept, since a set is known by the name of its folder; `..` is not, since it is no name.
        return replace(
            chosen.read(path.resolve() if ".." in path.parts else path.absolute()),
            format=chosen.NAME,
        )
    except OSError as error:
        raise DataError(
            f"the data cannot be read ({error.strerror or error})", where=error.filename or path
        ) from None


def expanded(path: Path | str) -> Path:
    """The path with ~ and ~user replaced by their folders, where there are such."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody is called so
        return Path(path)


def missing(path: Path, names: Iterable[str] = ()) -> DataError:
    """The error for a path where nothing is. names: what was perhaps meant, besides the path's neighbours."""
    try:
        beside = [entry.name for entry in path.absolute().parent.iterdir()]
    except OSError:
        beside = []
    known = ", ".join(names)
    what = "a link that leads nowhere" if path.is_symlink() else "no such path"
    or_known = f", or one of the sets known by name: {known}" if known else ""
    return DataError(
        what + _near(path.name, [*beside, *names]),
        where=path,
        remedy=f"Give a folder or file that exists{or_known}.",
    )


def _sniffed(path: Path) -> Format:
    fits = [format for format in all().values() if format.sniff(path)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise DataError(
            f"the data looks like several formats: {' and '.join(format.NAME for format in fits)}",
            where=path,
            remedy="Say which one with --format.",
        )
    known = "".join(f"\n    {format.NAME}: {format.SUMMARY}" for format in all().values())
    raise DataError(
        f"no known format fits; found {_found(path)}",
        where=path,
        remedy=f"Lay the data out in one of these ways:{known}",
    )


def _found(path: Path) -> str:
    """What lies at a path, in words."""
    if not path.is_dir():
        packed = path.suffix.lower() in (
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
            ", packed: unpack it and give the folder" if packed else ""
        )
    folders, files = visible(path)
    if not folders and not files:
        return "an empty folder"
    endings = Counter(Path(file.name).suffix.lower() or "no ending" for file in files)
    kinds = (
        ", ".join(f"{count:,} of {ending}" for ending, count in endings.most_common(3)) or "none"
    )
    names = ", ".join(f"{folder.name}/" for folder in folders[:5]) or "none"
    return printable(f"files: {kinds}; folders: {names}{', ...' if len(folders) > 5 else ''}")


def _near(name: str, names: Iterable[str]) -> str:
    spelled = {one.casefold(): one for one in sorted(names)}
    near = [spelled[one] for one in difflib.get_close_matches(name.casefold(), spelled, n=3)]
    return f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
