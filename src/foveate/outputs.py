"""Outputs that the user names: none replaces what foveate did not write or lies in the data.

An output file of foveate says in its first bytes what it is. Only a file of the same kind is
replaced, and only with --overwrite.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import RunError
from foveate.regular_file import open_regular

_HEAD_BYTES = 4096


@dataclass(frozen=True)
class FileKind:
    """A kind of output file, which foveate recognises as its own.

    Attributes:
        name: What it holds, for messages, e.g. "predictions".
        head: A pattern that the first bytes of each file of this kind match.
    """

    name: str
    head: re.Pattern[bytes]


def json_kind(name: str) -> FileKind:
    """JSON that begins {"foveate": NAME, ..."""
    return FileKind(name, re.compile(rb'\s*\{\s*"foveate":\s*"%b"' % re.escape(name.encode())))


def html_kind(name: str) -> FileKind:
    """HTML with <meta name="generator" content="foveate NAME"> near its beginning."""
    tag = f'<meta name="generator" content="foveate {name}">'
    return FileKind(
        name, re.compile(rb"(?s)\s*<!doctype html>.*%b" % re.escape(tag.encode()), re.I)
    )


def csv_kind(name: str, header: Sequence[str]) -> FileKind:
    """CSV that begins with this header."""
    return FileKind(name, re.compile(re.escape(",".join(header).encode()) + rb"\r?\n"))


def check_output(
    path: Path,
    kind: FileKind | None,
    *,
    option: str,
    overwrite: bool = False,
    data: Iterable[Path] = (),
) -> None:
    """Check an output file before any work is done for it.

    Args:
        path: The file.
        kind: What will be written, if an existing file of this kind may be replaced.
        option: The command-line option that names it, for messages, e.g. "--json".
        overwrite: Whether a file of this kind is replaced.
        data: Folders in which nothing is written, and files that stay as they are.

    Raises:
        RunError: The file must not be written there.
    """
    another = f"Name a new file with {option}."
    _refuse_in_data(path, option, data)
    folder = _status(path.parent)
    if not (folder and stat.S_ISDIR(folder.st_mode) and os.access(path.parent, os.W_OK)):
        raise RunError(
            "a file in a folder that exists and can be written to is expected",
            where=path,
            remedy=f"Create the folder first, or name another file with {option}.",
        )
    status = _status(path, follow_symlinks=False)
    if status is None:
        return
    if not stat.S_ISREG(status.st_mode):
        found = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link"}
        what = found.get(stat.S_IFMT(status.st_mode), "a device or pipe")
        raise RunError(f"a file is expected, this is {what}", where=path, remedy=another)
    if kind is not None and not _is_own(path, kind):
        raise RunError(
            f"this file exists already and holds no {kind.name} written by foveate, "
            "so it is not replaced",
            where=path,
            remedy=another,
        )
    if kind is None or not overwrite:
        replace = "" if kind is None else f" To replace the {kind.name} in it, add --overwrite."
        raise RunError(
            "this file exists already and would be overwritten",
            where=path,
            remedy=another + replace,
        )


def check_folder(
    folder: Path, *, option: str, data: Iterable[Path] = (), may_be_full: bool = False
) -> None:
    """Check before any work that an output folder is new or empty, and outside of the data.

    Args:
        folder: The folder.
        option: The command-line option that names it, for messages, e.g. "--draw".
        data: Folders in which nothing is written.
        may_be_full: Whether the same command has written to it before, and goes on.

    Raises:
        RunError: The folder must not be written to.
    """
    _refuse_in_data(folder, option, data)
    another = f"Name a new folder with {option}."
    try:
        occupied = (folder.is_symlink() or folder.exists()) and (
            not folder.is_dir() or (not may_be_full and any(folder.iterdir()))
        )
    except OSError as error:
        raise RunError(f"this folder cannot be used ({error.strerror})", where=folder) from None
    if occupied:
        raise RunError(
            "a new or empty folder is expected, something is there and could be overwritten",
            where=folder,
            remedy=another,
        )


def _refuse_in_data(path: Path, option: str, data: Iterable[Path]) -> None:
    """Refuse a path within a folder of the data, whatever links lead there."""
    place = Path(os.path.realpath(path))
    # By identity, not by name: one folder has several names where case is ignored.
    places = [status for one in (place, *place.parents) if (status := _status(one))]
    for item in data:
        status = _status(item)
        if status and any(os.path.samestat(status, one) for one in places):
            where = f"within {item}" if stat.S_ISDIR(status.st_mode) else "the data itself"
            raise RunError(
                f"an output outside of the data is expected, this is {where}",
                where=path,
                remedy=f"Name another place with {option}.",
            )


def _status(path: Path, *, follow_symlinks: bool = True) -> os.stat_result | None:
    """The status of a file, or None if there is none that can be looked at."""
    try:
        return path.stat(follow_symlinks=follow_symlinks)
    except (OSError, ValueError):
        return None


def _is_own(path: Path, kind: FileKind) -> bool:
    try:
        with open_regular(path) as file:
            return kind.head.match(file.read(_HEAD_BYTES)) is not None
    except OSError:  # what cannot be read is not known to be ours
        return False
