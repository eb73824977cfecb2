"""JSON from strangers: one clear error for whatever is none (RFC 8259, UTF-8), and numbers that make sense."""

from __future__ import annotations

import gc
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
from foveate.formats._shared.beside import LARGEST_NUMBER
from foveate.formats._shared.layout import is_utf8, unusable

_CHUNK = 1 << 20  # bytes
_OVERLAP = 200  # bytes of the chunk before, for a key that lies across two
# Possessive, since Python would remember each step through a text, which may be a picture of millions of letters.
_TEXT_OR_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?Infinity|NaN', re.DOTALL)


def read_json(path: Path) -> Any:
    """What the file holds. Raises DataError, with the line, if it is no JSON, or holds NaN or Infinity, or a key twice."""
    text = text_of(path)
    with no_collection(), explained(path, text):
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=without_twins)


def has_keys(path: Path, *keys: str) -> bool:
    """Whether a file looks like a JSON object with these keys (at any depth). Nothing is parsed, so that a huge file
    of another kind is no trouble. Raises OSError.
    """
    if unusable(path):
        return False
    missing = [re.compile(rb'"%b"\s*:' % key.encode()) for key in keys]
    tail = b""
    with path.open("rb") as file:
        start = file.read(_OVERLAP).removeprefix(b"\xef\xbb\xbf").lstrip()
        if start and not start.startswith(b"{"):
            return False
        file.seek(0)
        while missing and (chunk := file.read(_CHUNK)):
            text = tail + chunk
            missing = [key for key in missing if not key.search(text)]
            tail = text[-_OVERLAP:]
    return not missing


def are_numbers(values: object) -> TypeGuard[list[float]]:
    """Whether these are a list of numbers; true and false, which Python takes for 1 and 0, are none."""
    return isinstance(values, list) and set(map(type, values)) <= {int, float}


def as_numbers(values: object) -> NDArray[np.float64] | None:
    """A list of numbers as (N,) float64, or None if it is no such list or a number has no meaning as a place."""
    if not are_numbers(values):
        return None
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return numbers if not len(senseless(numbers)) else None


def senseless(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """The indices of those in (N,) that are not finite or that no picture can have."""
    return np.flatnonzero(~(np.abs(numbers) <= LARGEST_NUMBER))  # so written, NaN is among them


def size_in(
    record: dict[str, Any], height: str, width: str, what: str, where: Path
) -> tuple[int, int] | None:
    """A picture's height and width under these keys, or None where one is absent, null or 0.

    Raises DataError, naming `what`, for what is no size.
    """
    sides = []
    for key in (height, width):
        side = record.get(key)
        if side is not None and not (
            isinstance(side, int | float)
            and type(side) is not bool
            and 0 <= side <= LARGEST_NUMBER
            and side % 1 == 0
        ):
            shown = reprlib.repr(side)
            raise DataError(
                f"a whole number of pixels is expected as {key} of {what}, got {shown}", where=where
            )
        sides.append(int(side or 0))
    return (sides[0], sides[1]) if all(sides) else None


def text_in(value: object, what: str, where: Path) -> str:
    """A text that can be shown and stored. Raises DataError, naming `what`, for anything else."""
    if isinstance(value, str) and is_utf8(value):
        return value
    raise DataError(f"a text is expected as {what}, got {reprlib.repr(value)}", where=where)


def optional_text(record: dict[str, Any], key: str, what: str, where: Path) -> str | None:
    """The text under a key, a whole number as text, None where it is absent or null. Raises DataError for others."""
    value = record.get(key)
    if value is None or type(value) is int:
        return None if value is None else str(value)
    return text_in(value, f"{key} of {what}", where)


def text_of(path: Path) -> str:
    """The text of a file. Raises DataError, with the line, if it is no file, empty, or not in UTF-8."""
    if reason := unusable(path):
        raise DataError(f"a JSON file is expected, but {reason}", where=path)
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            "JSON in UTF-8 is expected, got other bytes",
            where=path,
            line=line,
            remedy="Save the file as UTF-8.",
        ) from None


@contextmanager
def explained(path: Path, text: str) -> Iterator[None]:
    """Turns whatever goes wrong while a text is parsed into a DataError with this path."""
    try:
        yield
    except DataError as error:
        raise DataError(error.message, where=path, line=error.line, remedy=error.remedy) from None
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise DataError(
            f"JSON is expected, but there is an error in it ({reason}, column {error.colno:,})",
            where=path,
            line=error.lineno,
            remedy="If the file is cut short, copy or export it again.",
        ) from None
    except RecursionError:
        raise DataError(
            "JSON is expected, this is nested too deep to be data", where=path
        ) from None
    except MemoryError:
        raise DataError("the file holds more than fits into memory", where=path) from None
    except ValueError as error:
        for found in _TEXT_OR_CONSTANT.finditer(text):
            if not found[0].startswith('"'):
                line = text.count("\n", 0, found.start()) + 1
                raise DataError(
                    f"numbers are expected, got {found[0]}", where=path, line=line
                ) from None
        raise DataError(
            f"JSON is expected, but a number in it cannot be read ({error})", where=path
        ) from None


def refuse_constant(constant: str) -> None:
    """For json's `parse_constant`: NaN and Infinity, which Python would take, are no JSON."""
    raise ValueError(constant)


def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json's `object_pairs_hook`: an object. Raises DataError for a key that is there twice, since one of its two
    values would be lost.
    """
    record = dict(pairs)
    if len(record) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise DataError(
            f"each key of an object is expected once, {reprlib.repr(twice)} is there twice",
            remedy="Remove the wrong one of the two.",
        )
    return record


@contextmanager
def no_collection() -> Iterator[None]:
    """Data has no cycles, so Python's collector would walk through millions of lists again and again and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
