"""Records read from disk: of limited size and depth, and checked against a schema.

A run folder or a folder of weights may come from a stranger, or from a disk that rots. Whatever is
wrong with a record is one error, `damaged`: no traceback, no endless file, no exhausted memory.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from foveate import regular_file
from foveate.errors import RunError

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_DEPTH = 20
"""Levels of lists and objects in a record; those that foveate writes have at most six."""
BACKUP = "Take it from a backup, or train again."
_MB = 1_000_000
_Model = TypeVar("_Model", bound="BaseModel")


def damaged(
    path: Path, reason: object, *, line: int | None = None, remedy: str = BACKUP
) -> RunError:
    """The error for a record that cannot be used.

    Args:
        path: The file.
        reason: What is wrong with it; of a longer text the first line.
        line: The line, counted from 1, where it is known.
        remedy: What to do about it.
    """
    text = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
    shown = text if len(text) <= 300 else f"{text[:297]}..."
    return RunError(f"this file is damaged ({shown})", where=path, line=line, remedy=remedy)


def open_file(path: Path, max_bytes: int | None = None, *, remedy: str = BACKUP) -> BinaryIO:
    """Open a regular file for reading. A pipe or a device, which may never end, is refused.

    Args:
        path: The file, or a link to it.
        max_bytes: The largest size that is read.
        remedy: What to do about a damaged file, for the error.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: It is not a regular file, larger than expected, or cannot be opened.
    """
    try:
        file = regular_file.open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except OSError as error:
        raise damaged(path, error.strerror or error, remedy=remedy) from None
    size = os.fstat(file.fileno()).st_size
    if max_bytes is not None and size > max_bytes:
        file.close()
        raise damaged(
            path,
            f"at most {max_bytes / _MB:,.0f} MB are expected, it has {size / _MB:,.0f} MB",
            remedy=remedy,
        )
    return file


def check_file(path: Path, max_bytes: int | None = None, *, remedy: str = BACKUP) -> None:
    """Check a file that a library is to open by its path; arguments and errors of `open_file`."""
    open_file(path, max_bytes, remedy=remedy).close()


def missing(path: Path) -> RunError:
    """The error for a file of a run that is not there."""
    return RunError(
        "this file is missing",
        where=path,
        remedy=f"Was the run trained to its end? foveate train --resume {path.parent}",
    )


def read_text(path: Path, max_bytes: int, *, remedy: str = BACKUP) -> str:
    """Read a text in UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: The file is damaged; see `open_file`.
    """
    with open_file(path, max_bytes, remedy=remedy) as file:
        try:
            return file.read(max_bytes + 1).decode("utf-8")
        except (OSError, ValueError) as error:
            raise damaged(path, error, remedy=remedy) from None


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse JSON of at most MAX_DEPTH levels.

    Args:
        text: The text.
        finite: Whether NaN and Infinity, which Python writes but JSON does not have, are refused.

    Raises:
        ValueError: It is not JSON, or too deep.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant if finite else None)
    except RecursionError:
        raise ValueError(f"at most {MAX_DEPTH} levels are expected") from None
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise ValueError(f"at most {MAX_DEPTH} levels are expected")
    return value


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"a finite number is expected, got {constant}")


def validated(schema: type[_Model], value: Any) -> _Model:
    """Check a value against a schema.

    Raises:
        ValueError: With the first thing that is wrong, and where: "valid.accuracy.n: ...".
    """
    from pydantic import ValidationError

    try:
        return schema.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        raise ValueError(f"{place}: {message}" if place else message) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path, max_bytes: int, *, remedy: str = BACKUP) -> Any:
    """Read JSON that foveate or another program wrote.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: The file is damaged.
    """
    text = read_text(path, max_bytes, remedy=remedy)
    try:
        return parse_json(text)
    except ValueError as error:
        raise damaged(path, error, remedy=remedy) from None


def read_record(
    path: Path, schema: type[BaseModel], max_bytes: int, *, remedy: str = BACKUP
) -> dict[str, Any]:
    """Read a JSON object that foveate wrote, checked against its schema.

    Args:
        path: The file.
        schema: What it must hold.
        max_bytes: Its largest size.
        remedy: What to do about a damaged file, for the error.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        record: dict[str, Any] = read_json(path, max_bytes, remedy=remedy)
    except FileNotFoundError:
        raise missing(path) from None
    try:
        validated(schema, record)
    except ValueError as error:
        raise damaged(path, error, remedy=remedy) from None
    return record
