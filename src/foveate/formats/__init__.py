"""Dataset formats: readers and writers of annotated images.

Every module and subpackage here is a format and is found by a scan of this folder, so a new format
is one new file. Names that begin with an underscore are not formats; they hold shared code.
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
    """The interface of a format module.

    Attributes:
        NAME: The name of the format.
        SUMMARY: How such a dataset is laid out on disk, in one line.
        TASKS: The tasks whose annotations the format can store.
    """

    NAME: str
    SUMMARY: str
    TASKS: tuple[str, ...]

    def sniff(self, path: Path) -> bool:
        """Return whether the data at a path looks like this format.

        It is cheap and never raises; it returns False if nothing can be read.
        """
        ...

    def read(self, path: Path) -> Dataset[Any]:
        """Read a dataset without decoding its images.

        Raises:
            DataError: If the data cannot be understood; the error names the file and, where there
                is one, the line.
        """
        ...

    def write(self, dataset: Dataset[Any], path: Path) -> None:
        """Write a dataset into a new folder, whole or not at all.

        Raises:
            DataError: If something exists at the path, or if the format cannot store the dataset;
                the error lists everything that it cannot store.
        """
        ...


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
            f"no format is called {name!r}{_suggestion(name, all())}",
            where="format",
            remedy=f"Formats: {', '.join(all())}.",
        )
    return all()[name]


def read(path: Path | str, format: str | None = None) -> Dataset[Any]:
    """Read the dataset at a path.

    Args:
        path: A folder or a file.
        format: The name of the format, or None to recognise it.

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
        chosen = find(format) if format is not None else _sniff(path)
        # Links stay, since a dataset is named after its folder; `..` is resolved, since it is not a
        # name.
        return replace(
            chosen.read(path.resolve() if ".." in path.parts else path.absolute()),
            format=chosen.NAME,
        )
    except OSError as error:
        raise DataError(
            f"the data cannot be read ({error.strerror or error})", where=error.filename or path
        ) from None


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
        neighbours = [entry.name for entry in path.absolute().parent.iterdir()]
    except OSError:
        neighbours = []
    known = ", ".join(names)
    problem = "a link that leads nowhere" if path.is_symlink() else "no such path"
    or_known = f", or the name of a dataset: {known}" if known else ""
    return DataError(
        problem + _suggestion(path.name, [*neighbours, *names]),
        where=path,
        remedy=f"Give a folder or file that exists{or_known}.",
    )


def _sniff(path: Path) -> Format:
    fits = [format for format in all().values() if format.sniff(path)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise DataError(
            f"the data looks like several formats: {' and '.join(format.NAME for format in fits)}",
            where=path,
            remedy="Choose one with --format.",
        )
    raise DataError(
        f"no known format fits; found {_describe(path)}",
        where=path,
        details=[f"{format.NAME}: {format.SUMMARY}" for format in all().values()],
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


def _suggestion(name: str, names: Iterable[str]) -> str:
    by_folded = {known.casefold(): known for known in sorted(names)}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=3)
    near = [by_folded[match] for match in matches]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
