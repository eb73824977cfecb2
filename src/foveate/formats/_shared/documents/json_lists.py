"""Read JSON lists one object at a time, so that those of a large file need little memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import (
    json_errors,
    json_text,
    refuse_constant,
    unique_keys,
)
from foveate.formats._shared.garbage import gc_paused

Handler = Callable[[dict[str, Any]], None]

_SPACE = re.compile(r"[ \t\n\r]*")
_SIGNS = {sign: re.compile(rf"[ \t\n\r]*{re.escape(sign)}[ \t\n\r]*") for sign in "{}[]:,"}
_DECODER = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=unique_keys)
_scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]


def read_lists(path: Path, handlers: Mapping[str, Handler]) -> None:
    """Read an object of lists of objects, and pass each object to a handler.

    Other keys are skipped.

    Args:
        path: The file.
        handlers: For each key what to call with the objects of its list, in their order.

    Raises:
        DataError: If the file is not JSON; if a key is missing, repeated, or holds something else;
            if an object has a key twice; or if a handler raises it. The error names the line.
    """
    text = json_text(path)
    cursor = _Cursor(text)
    keys = ", ".join(handlers)
    seen: set[str] = set()
    with gc_paused(), json_errors(path, text):
        if not cursor.passes("{"):
            cursor.value()  # raises if this is not JSON
            raise DataError(f"an object with {keys} is expected, got something else")
        more = not cursor.passes("}")
        while more:
            key = cursor.key()
            if key not in handlers:
                cursor.value()
            elif key in seen:
                raise DataError(
                    f"the key {key!r} is expected once, found it twice", line=cursor.line()
                )
            else:
                seen.add(key)
                _take_list(cursor, key, handlers[key])
            more = cursor.goes_on("}")
        cursor.end()
    if missing := [repr(key) for key in handlers if key not in seen]:
        raise DataError(
            f"an object with {keys} is expected, it has no {' and no '.join(missing)}", where=path
        )


def _take_list(cursor: _Cursor, key: str, take: Handler) -> None:
    """Pass each object of a list to a handler."""
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
    """A position in a JSON text. Unexpected text raises json's own error."""

    def __init__(self, text: str):
        self.text = text
        self.position = self.start = _SPACE.match(text).end()  # type: ignore[union-attr]

    def passes(self, sign: str) -> bool:
        """Skip a sign if it comes next, and return whether it does."""
        if match := _SIGNS[sign].match(self.text, self.position):
            self.position = match.end()
        return match is not None

    def goes_on(self, closing: str) -> bool:
        """Return whether a comma comes next, rather than the bracket that ends the list."""
        if self.passes(","):
            return True
        if self.passes(closing):
            return False
        raise json.JSONDecodeError(f"expecting ',' or '{closing}'", self.text, self.position)

    def value(self) -> Any:
        """Parse the value that begins here; `start` is set to its position."""
        self.start = self.position
        try:
            value, self.position = _scan(self.text, self.position)
        except StopIteration:
            raise json.JSONDecodeError("expecting a value", self.text, self.position) from None
        except DataError as error:
            raise DataError(error.message, line=self.line(), remedy=error.remedy) from None
        return value

    def key(self) -> str:
        """Parse a key and its colon."""
        key = self.value()
        if not isinstance(key, str) or not self.passes(":"):
            raise json.JSONDecodeError("expecting a key and ':'", self.text, self.start)
        return key

    def end(self) -> None:
        """Require the end of the text."""
        if self.position < len(self.text):
            raise json.JSONDecodeError("expecting nothing more", self.text, self.position)

    def line(self, position: int | None = None) -> int:
        """Return the line of a position, counted from 1; of the current one by default."""
        return self.text.count("\n", 0, self.position if position is None else position) + 1
