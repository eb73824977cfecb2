"""JSON of long lists, read one object after the other: those of a large file are never in memory together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.json_file import (
    explained,
    no_collection,
    refuse_constant,
    text_of,
    without_twins,
)

Taker = Callable[[dict[str, Any]], None]

_SPACE = re.compile(r"[ \t\n\r]*")
_SIGNS = {sign: re.compile(rf"[ \t\n\r]*{re.escape(sign)}[ \t\n\r]*") for sign in "{}[]:,"}
_DECODER = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=without_twins)
_scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]


def read_lists(path: Path, takers: Mapping[str, Taker]) -> None:
    """Reads an object of lists of objects. takers: by the list's key, what to give its objects to, in their order.

    Other keys are passed over. Raises DataError, with the line, for what is no JSON; if a key is missing, there twice, or
    holds something else; if an object has a key twice; and what a taker raises.
    """
    text = text_of(path)
    cursor = _Cursor(text)
    keys = ", ".join(takers)
    seen: set[str] = set()
    with no_collection(), explained(path, text):
        if not cursor.passes("{"):
            cursor.value()  # is it JSON at all?
            raise DataError(f"an object with {keys} is expected, got something else")
        more = not cursor.passes("}")
        while more:
            key = cursor.key()
            if key not in takers:
                cursor.value()
            elif key in seen:
                raise DataError(
                    f"the key {key!r} is expected once, it is there twice", line=cursor.line()
                )
            else:
                seen.add(key)
                _take_list(cursor, key, takers[key])
            more = cursor.goes_on("}")
        cursor.end()
    if missing := [repr(key) for key in takers if key not in seen]:
        raise DataError(
            f"an object with {keys} is expected, it has no {' and no '.join(missing)}", where=path
        )


def _take_list(cursor: _Cursor, key: str, take: Taker) -> None:
    if not cursor.passes("["):
        raise DataError(f"a list is expected under {key!r}", line=cursor.line())
    more = not cursor.passes("]")
    while more:
        record = cursor.value()
        start = cursor.start
        try:
            if type(record) is not dict:
                raise DataError(f"a list of objects is expected under {key!r}")
            take(record)
        except DataError as error:
            raise DataError(error.message, line=cursor.line(start), remedy=error.remedy) from None
        more = cursor.goes_on("]")


class _Cursor:
    """A place in a text. What is expected there and is not raises json's own error."""

    def __init__(self, text: str):
        self.text = text
        self.place = self.start = _SPACE.match(text).end()  # type: ignore[union-attr]

    def passes(self, sign: str) -> bool:
        """Whether this sign comes next; it is passed."""
        if found := _SIGNS[sign].match(self.text, self.place):
            self.place = found.end()
        return found is not None

    def goes_on(self, closing: str) -> bool:
        """Whether a comma comes next, and not the bracket that ends the list."""
        if self.passes(","):
            return True
        if self.passes(closing):
            return False
        raise json.JSONDecodeError(f"expecting ',' or '{closing}'", self.text, self.place)

    def value(self) -> Any:
        """The value that begins here. `start` is where that was."""
        self.start = self.place
        try:
            value, self.place = _scan(self.text, self.place)
        except StopIteration:
            raise json.JSONDecodeError("expecting a value", self.text, self.place) from None
        except DataError as error:
            raise DataError(error.message, line=self.line(), remedy=error.remedy) from None
        return value

    def key(self) -> str:
        """A key, with its colon."""
        key = self.value()
        if not isinstance(key, str) or not self.passes(":"):
            raise json.JSONDecodeError("expecting a key and ':'", self.text, self.start)
        return key

    def end(self) -> None:
        if self.place < len(self.text):
            raise json.JSONDecodeError("expecting nothing more", self.text, self.place)

    def line(self, place: int | None = None) -> int:
        """The line of a place, counted from 1; of this one with None."""
        return self.text.count("\n", 0, self.place if place is None else place) + 1
