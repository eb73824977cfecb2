"""Paths that stand in a file of annotations. A file from a stranger must not make us read what lies outside its data."""

from __future__ import annotations

import os
import re
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.layout import NOT_UTF8, is_utf8

_FROM_ROOT = re.compile(r"/|[A-Za-z]:/")


def inside(
    folder: Path, written: str, *, where: Path, line: int | None = None, root: Path | None = None
) -> Path:
    """The file that a path means which is written in the file `where`, read from `folder`.

    root: the folder that it must not leave; None stands for `folder` itself

    Windows' backslashes are taken as slashes if no file has such a name. The file need not be there. Raises DataError
    for what is no path, for an absolute one, and for one that leaves `root` by `..`.
    """
    return folder / inside_id(folder, written, where=where, line=line, root=root)


def inside_id(
    folder: Path, written: str, *, where: Path, line: int | None = None, root: Path | None = None
) -> str:
    """The same as a normal path from `folder`, with slashes: "./a//b.jpg" -> "a/b.jpg"."""
    shown = repr(written if len(written) < 200 else f"{written[:200]}...")
    if not written.strip() or "\0" in written:
        raise DataError(f"the path of a picture is expected, got {shown}", where=where, line=line)
    if not is_utf8(written):
        raise DataError(f"{NOT_UTF8}: {shown}", where=where, line=line)
    if "\\" in written and not os.path.lexists(folder / written):
        written = written.replace("\\", "/")
    if _FROM_ROOT.match(written):
        raise DataError(
            f"a path within the data's folder is expected, got {shown}, which begins at a root",
            where=where,
            line=line,
            remedy="Write it as it leads on from the data's folder.",
        )
    id = os.path.normpath(written)
    if id == ".":
        raise DataError(f"the path of a picture is expected, got {shown}", where=where, line=line)
    if id == ".." or id.startswith("../"):
        reached = os.path.normpath(folder.absolute() / id)
        if root is None or not Path(reached).is_relative_to(os.path.normpath(root.absolute())):
            raise DataError(
                f"a path within the data's folder is expected, {shown} leaves it",
                where=where,
                line=line,
                remedy="Move the pictures into the data's folder, and write their paths from there.",
            )
    return id
