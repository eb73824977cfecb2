"""Check paths that are written in annotation files.

Annotation files may come from strangers; they must not make us read files outside their dataset.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.layout import NOT_UTF8, is_utf8

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def path_inside(
    folder: Path, written: str, *, where: Path, line: int | None = None, root: Path | None = None
) -> Path:
    """Return the path of a file that an annotation file names.

    Backslashes, as Windows writes them, are read as slashes if no file has such a name. The file
    need not exist.

    Args:
        folder: The folder that the path is relative to.
        written: The path as written.
        where: The annotation file, for messages.
        line: Its line, for messages.
        root: The folder that the path must not leave; `folder` by default.

    Raises:
        DataError: If it is not a path, if it is absolute, or if it leaves `root`.
    """
    return folder / id_inside(folder, written, where=where, line=line, root=root)


def id_inside(
    folder: Path, written: str, *, where: Path, line: int | None = None, root: Path | None = None
) -> str:
    """Return the same path, normalised and relative to `folder`: "a/b.jpg" for "./a//b.jpg".

    Args:
        folder: The folder that the path is relative to.
        written: The path as written.
        where: The annotation file, for messages.
        line: Its line, for messages.
        root: The folder that the path must not leave; `folder` by default.

    Raises:
        DataError: If it is not a path, if it is absolute, or if it leaves `root`.
    """
    shown = repr(written if len(written) < 200 else f"{written[:200]}...")
    if not written.strip() or "\0" in written:
        raise DataError(f"the path of an image is expected, got {shown}", where=where, line=line)
    if not is_utf8(written):
        raise DataError(
            f"the path of an image is expected, but {NOT_UTF8}: {shown}", where=where, line=line
        )
    if "\\" in written and not os.path.lexists(folder / written):
        written = written.replace("\\", "/")
    if _ABSOLUTE.match(written):
        raise DataError(
            f"a path within the dataset's folder is expected, got the absolute path {shown}",
            where=where,
            line=line,
            remedy="Write the path relative to the dataset's folder.",
        )
    id = os.path.normpath(written)
    if id == ".":
        raise DataError(f"the path of an image is expected, got {shown}", where=where, line=line)
    if id == ".." or id.startswith("../"):
        reached = os.path.normpath(folder.absolute() / id)
        if root is None or not Path(reached).is_relative_to(os.path.normpath(root.absolute())):
            raise DataError(
                f"a path within the dataset's folder is expected, {shown} leaves it",
                where=where,
                line=line,
                remedy="Move the images into the dataset's folder and write relative paths.",
            )
    return id
