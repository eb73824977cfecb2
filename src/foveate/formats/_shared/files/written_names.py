"""What a file name in an annotation file can mean: a path, a Windows path, a URL, a quoted name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from foveate.errors import DataError
from foveate.formats._shared.layout import NOT_UTF8, is_utf8

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # of two letters or more: C:/ is a drive
_STORE_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio's, before the name of an upload


def check_written(written: str, where: Path, line: int | None) -> None:
    """Raise DataError if a text cannot be the path of a file."""
    shown = repr(written if len(written) < 200 else f"{written[:200]}...")
    problem = f"got {shown}"
    remedy = None
    if not is_utf8(written):
        problem = f"but {NOT_UTF8}: {shown}"
    elif written.lstrip().startswith("data:"):
        problem = "got the image itself, written as text"
        remedy = "Save the image as a file, and write its name."
    elif written.strip() and "\0" not in written and path_parts(written):
        return
    raise DataError(
        f"the path of an image is expected, {problem}", where=where, line=line, remedy=remedy
    )


def readings(written: str) -> Iterator[str]:
    r"""Yield the paths that a written name can mean, with slashes, the likeliest first, each once.

    `a\b.jpg` is `a/b.jpg`; `http://host/my%20cat.jpg?v=2` is `host/my cat.jpg`; and
    `/data/local-files/?d=set%2Fa.jpg`, as Label Studio serves local files, is `set/a.jpg`.
    """
    plain = written.replace("\\", "/")
    scheme = _SCHEME.match(plain)
    head, _, query = plain[scheme.end() if scheme else 0 :].partition("?")
    served = [field[2:] for field in query.split("&") if field.startswith("d=")]
    paths = [*served, head.partition("#")[0], head] if scheme else [*served, head]
    paths = [plain, *paths, *(unquote(path).replace("\\", "/") for path in paths)]
    for path in dict.fromkeys([*paths, *(path.strip() for path in paths)]):
        if path_parts(path) and "\0" not in path:
            yield path


def path_parts(path: str) -> list[str]:
    """Return the names in a path, without empty ones, `.` and `..`."""
    return [name for name in path.replace("\\", "/").split("/") if name not in ("", ".", "..")]


def without_store_prefix(path: str) -> str | None:
    """Return the path without Label Studio's random prefix of its last part, None without one."""
    folder, slash, name = path.rpartition("/")
    match = _STORE_PREFIX.match(name)
    return f"{folder}{slash}{name[match.end() :]}" if match else None


def folded(name: str) -> str:
    """Return a name without capitals, and with its accents in one form."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def common_end(one: list[str], other: list[str]) -> int:
    """Return how many of the last folders of two paths are the same, however they are spelled."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if folded(a) != folded(b):
            break
        count += 1
    return count
