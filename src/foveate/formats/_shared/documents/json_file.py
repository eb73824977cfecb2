"""Read JSON (RFC 8259) from strangers: one clear error for invalid files, and checked numbers."""

from __future__ import annotations

import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError
from foveate.formats._shared.garbage import gc_paused
from foveate.formats._shared.layout import MAX_COORDINATE, is_utf8, unusable_reason
from foveate.formats._shared.once import once
from foveate.regular_file import open_regular, read_bytes

_CHUNK = 1 << 20  # bytes
_OVERLAP = 200  # bytes, so that a key across two chunks is seen
# Possessive quantifiers: otherwise Python stores a backtracking point for each character of a text,
# and an embedded image has millions.
_TEXT_OR_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?Infinity|NaN', re.DOTALL)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: If it is not JSON, holds NaN or Infinity, or has a key twice; the error names the
            line where it is known.
    """
    text = json_text(path)
    with gc_paused(), json_errors(path, text):
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique_keys)


def has_keys(path: Path, *keys: str, opening: bytes = b"{") -> bool:
    """Return whether a file looks like a JSON object with these keys, at any depth.

    The file is searched, not parsed, so that a huge file of another format costs little.

    Args:
        path: The file.
        keys: The keys.
        opening: What the file begins with: a bracket for a list of objects.

    Raises:
        OSError: If the file cannot be opened.
    """
    if unusable_reason(path):
        return False
    with open_regular(path) as file:
        start = file.read(_OVERLAP).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start and not start.startswith(opening):
        return False
    return all(_has_key((path, key)) for key in keys)


@once
def _has_key(place: tuple[Path, str]) -> bool:
    """Search a file for a key; most formats look for one that others look for as well."""
    path, key = place
    pattern = re.compile(rb'"%b"\s*:' % key.encode())
    tail = b""
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            text = tail + chunk
            if pattern.search(text):
                return True
            tail = text[-_OVERLAP:]
    return False


def are_numbers(values: object) -> TypeGuard[list[float]]:
    """Return whether this is a list of numbers; true and false are not numbers."""
    return isinstance(values, list) and set(map(type, values)) <= {int, float}


def as_numbers(values: object) -> NDArray[np.float64] | None:
    """Return a list of numbers as an array.

    Returns:
        (N,) float64, or None if it is not a list of numbers or if a number cannot be a coordinate.
    """
    if not are_numbers(values):
        return None
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return numbers if not len(out_of_range(numbers)) else None


def out_of_range(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of the values in (N,) that are not finite or exceed MAX_COORDINATE."""
    return np.flatnonzero(~(np.abs(numbers) <= MAX_COORDINATE))  # NaN is out of range too


def read_size(
    record: dict[str, Any], height: str, width: str, what: str, where: Path
) -> tuple[int, int] | None:
    """Read an image's height and width in pixels.

    Args:
        record: The JSON object.
        height: The key of the height.
        width: The key of the width.
        what: What the object describes, for messages.
        where: The file, for messages.

    Returns:
        (height, width), or None if one is absent, null or 0.

    Raises:
        DataError: If one is not a whole number of pixels.
    """
    sides = []
    for key in (height, width):
        side = record.get(key)
        if side is not None and not (
            isinstance(side, int | float)
            and type(side) is not bool
            and 0 <= side <= MAX_COORDINATE
            and side % 1 == 0
        ):
            shown = reprlib.repr(side)
            raise DataError(
                f"a whole number of pixels is expected as {key} of {what}, got {shown}", where=where
            )
        sides.append(int(side or 0))
    return (sides[0], sides[1]) if all(sides) else None


def required_text(value: object, what: str, where: Path) -> str:
    """Return a text that can be shown and stored.

    Raises:
        DataError: If it is not a text in valid Unicode; the error names `what`.
    """
    if isinstance(value, str) and is_utf8(value):
        return value
    raise DataError(f"a text is expected as {what}, got {reprlib.repr(value)}", where=where)


def optional_text(record: dict[str, Any], key: str, what: str, where: Path) -> str | None:
    """Return the text under a key, None if it is absent or null; a whole number becomes text.

    Raises:
        DataError: If it is neither.
    """
    value = record.get(key)
    if value is None or type(value) is int:
        return None if value is None else str(value)
    return required_text(value, f"{key} of {what}", where)


def json_text(path: Path) -> str:
    """Read the text of a JSON file.

    Raises:
        DataError: If it is not a file, is empty, or is not UTF-8; the error names the line.
    """
    if reason := unusable_reason(path):
        raise DataError(f"a JSON file is expected, but {reason}", where=path)
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            "JSON in UTF-8 is expected, got another encoding",
            where=path,
            line=line,
            remedy="Save the file as UTF-8.",
        ) from None


def json_object(
    text: str, what: str, where: Path, line: int, remedy: str | None = None
) -> dict[str, Any]:
    """Parse a JSON object in a line or a field of a file.

    Args:
        text: The text.
        what: What it is expected as, for messages.
        where: The file, for messages.
        line: Its line, for messages.
        remedy: What to do about an error.

    Raises:
        DataError: If it is no JSON object, holds NaN or Infinity, or has a key twice.
    """
    try:
        value = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError, DataError) as error:
        reason = getattr(error, "msg", None) or getattr(error, "message", None) or str(error)
        raise DataError(
            f"a JSON object is expected as {what}, but it has an error ({reason})",
            where=where,
            line=line,
            remedy=remedy,
        ) from None
    if not isinstance(value, dict):
        raise DataError(
            f"a JSON object is expected as {what}, got {ascii(value)[:100]}",
            where=where,
            line=line,
            remedy=remedy,
        )
    return value


@contextmanager
def json_errors(path: Path, text: str) -> Iterator[None]:
    """Turn any error while a text is parsed into DataError with this path."""
    try:
        yield
    except DataError as error:
        raise DataError(error.message, where=path, line=error.line, remedy=error.remedy) from None
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise DataError(
            f"JSON is expected, but it has an error ({reason}, column {error.colno:,})",
            where=path,
            line=error.lineno,
            remedy="If the file is cut short, copy or export it again.",
        ) from None
    except RecursionError:
        raise DataError("JSON is expected, this is nested too deeply", where=path) from None
    except MemoryError:
        raise DataError("the file does not fit into memory", where=path) from None
    except ValueError as error:
        for match in _TEXT_OR_CONSTANT.finditer(text):
            if not match[0].startswith('"'):
                line = text.count("\n", 0, match.start()) + 1
                raise DataError(
                    f"numbers are expected, got {match[0]}", where=path, line=line
                ) from None
        raise DataError(
            f"JSON is expected, but a number in it cannot be read ({error})", where=path
        ) from None


def refuse_constant(constant: str) -> None:
    """Refuse NaN and Infinity, which Python accepts but JSON does not have.

    To be passed to `json` as `parse_constant`.
    """
    raise ValueError(constant)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from its pairs, since `dict` would silently lose one of two equal keys.

    To be passed to `json` as `object_pairs_hook`.

    Raises:
        DataError: If a key is there twice.
    """
    record = dict(pairs)
    if len(record) < len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise DataError(
            f"each key of an object is expected once, found {reprlib.repr(repeated)} twice",
            remedy="Remove the wrong one.",
        )
    return record
