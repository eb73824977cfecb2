"""A YAML file from strangers that should hold keys and values: one clear error for whatever does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foveate.errors import DataError
from foveate.formats._shared.beside import read_text

MOST_BYTES = 500_000  # which take seconds to read; thousands of class names fit in
_DEEPEST = 10

_STARTS = (yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


@dataclass(frozen=True, slots=True)
class Keys:
    """What the file holds, and on which line each of its outermost keys stands."""

    path: Path
    values: dict[Any, Any]
    lines: dict[str, int]

    def error(self, key: str, message: str, remedy: str | None = None) -> DataError:
        """An error that points to a key."""
        return DataError(message, where=self.path, line=self.lines.get(key), remedy=remedy)


def read_yaml(path: Path) -> Keys:
    """The keys and values. Raises DataError, with the line, if it is no such YAML, has anchors or is too large.

    Anchors let a few lines stand for billions; data needs none. A key that is there twice is refused too, as YAML has it,
    where the library would keep the last.
    """
    text = read_text(path, MOST_BYTES)
    try:
        lines = _checked(path, text)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark, position = getattr(error, "problem_mark", None), getattr(error, "position", None)
        line = (
            mark.line + 1
            if mark
            else None
            if position is None
            else text.count("\n", 0, position) + 1
        )
        problem = getattr(error, "problem", None) or "a character that is none"
        raise DataError(
            f"YAML is expected, but there is an error in it ({problem})",
            where=path,
            line=line,
        ) from None
    # A date such as 2001-99-99, a number of thousands of digits: the library lets pass what Python raises.
    except (ValueError, ArithmeticError, TypeError, LookupError, AttributeError) as error:
        raise DataError(
            f"YAML is expected, but a value in it cannot be read ({error})", where=path
        ) from None
    if not isinstance(values, dict):
        raise DataError(
            "keys and values are expected, such as `names: [cat, dog]`", where=path, line=1
        )
    return Keys(path, values, lines)


def _checked(path: Path, text: str) -> dict[str, int]:
    """The line of each outermost key. Raises DataError for anchors, depth, and a key that is there twice."""
    lines: dict[str, int] = {}
    keys: list[set[str] | None] = []  # of each open mapping; None for an open list
    at_key: list[bool] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DataError(
                "YAML without anchors (& and *) is expected: a few lines of them can stand for billions",
                where=path,
                line=line,
            )
        if isinstance(event, _STARTS) and keys and (seen := keys[-1]) is not None:
            if at_key[-1] and isinstance(event, yaml.ScalarEvent):
                if event.value in seen:
                    raise DataError(
                        f"a key is expected once, got {event.value[:100]!r} a second time",
                        where=path,
                        line=line,
                    )
                seen.add(event.value)
                if len(keys) == 1:
                    lines[event.value] = line
            at_key[-1] = not at_key[-1]
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            keys.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
            at_key.append(True)
            if len(keys) > _DEEPEST:
                raise DataError(f"YAML at most {_DEEPEST} deep is expected", where=path, line=line)
        elif isinstance(event, _ENDS):
            keys.pop()
            at_key.pop()
    return lines
