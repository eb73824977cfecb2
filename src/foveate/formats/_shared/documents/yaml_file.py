"""Read YAML mappings from strangers, with one clear error for invalid files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text

MAX_BYTES = 500_000  # takes seconds to read, and holds thousands of class names
_MAX_DEPTH = 10

_STARTS = (yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


@dataclass(frozen=True, slots=True)
class YamlMapping:
    """The content of a YAML file that holds keys and values.

    Attributes:
        path: The file.
        values: The value of each key.
        lines: The line of each outermost key, counted from 1.
    """

    path: Path
    values: dict[Any, Any]
    lines: dict[str, int]

    def error(self, key: str, message: str, remedy: str | None = None) -> DataError:
        """Return an error that names the line of a key."""
        return DataError(message, where=self.path, line=self.lines.get(key), remedy=remedy)


def read_yaml(path: Path) -> YamlMapping:
    """Read a YAML mapping.

    Anchors are refused, since a few lines of them can stand for billions of values and data needs
    none. Repeated keys are refused too: the library would silently use the last.

    Raises:
        DataError: If it is not such a file, has anchors, or is too large or too deep; the error
            names the line where it is known.
    """
    text = read_text(path, MAX_BYTES)
    try:
        lines = _checked(path, text)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark, position = getattr(error, "problem_mark", None), getattr(error, "position", None)
        line = None if position is None else text.count("\n", 0, position) + 1
        line = mark.line + 1 if mark else line
        problem = getattr(error, "problem", None) or "an invalid character"
        raise DataError(
            f"YAML is expected, but it has an error ({problem})",
            where=path,
            line=line,
        ) from None
    # Dates such as 2001-99-99 and numbers of thousands of digits raise Python's own errors.
    except (ValueError, ArithmeticError, TypeError, LookupError, AttributeError) as error:
        raise DataError(
            f"YAML is expected, but a value in it cannot be read ({error})", where=path
        ) from None
    if not isinstance(values, dict):
        raise DataError(
            "keys and values are expected, such as `names: [cat, dog]`", where=path, line=1
        )
    return YamlMapping(path, values, lines)


def _checked(path: Path, text: str) -> dict[str, int]:
    """Return the line of each outermost key, after a check for anchors, depth and repeated keys."""
    lines: dict[str, int] = {}
    keys: list[set[str] | None] = []  # of each open mapping; None for an open list
    at_key: list[bool] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DataError(
                "YAML without anchors (& and *) is expected, "
                "since a few of them can stand for billions of values",
                where=path,
                line=line,
            )
        if isinstance(event, _STARTS) and keys and (seen := keys[-1]) is not None:
            if at_key[-1] and isinstance(event, yaml.ScalarEvent):
                if event.value in seen:
                    raise DataError(
                        f"each key is expected once, got {event.value[:100]!r} a second time",
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
            if len(keys) > _MAX_DEPTH:
                raise DataError(
                    f"YAML of at most {_MAX_DEPTH} levels is expected", where=path, line=line
                )
        elif isinstance(event, _ENDS):
            keys.pop()
            at_key.pop()
    return lines
