"""Decide which attribute of VIA is the class, and what its values are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.layout import is_utf8, printable
from foveate.formats._shared.tables.csv_table import plain
from foveate.formats.via.files import Options

_CLASS_WORDS = frozenset({"class", "label", "category", "classname", "labels", "name", "type"})


def class_attribute(
    attributes: Sequence[dict[str, Any]], what: str, path: Path
) -> tuple[str | None, list[str]]:
    """Return the attribute that is the class, and notes; None if there are no attributes.

    It is the one that all have; of several such, the one with a name for classes.

    Args:
        attributes: The attributes of each region or image.
        what: What they belong to: "regions" or "images".
        path: The path of the data, for messages.

    Raises:
        DataError: If it is unclear which one it is.
    """
    used = {name: None for one in attributes for name, value in one.items() if is_set(value)}
    if not used:
        return None, []
    full = [name for name in used if all(is_set(one.get(name)) for one in attributes)]
    worded = [name for name in full or used if plain(name) in _CLASS_WORDS]
    chosen = worded if len(worded) == 1 else full if len(full) == 1 else list(used)
    if len(chosen) != 1:
        raise DataError(
            f"one attribute of the {what} is expected as the class, found {', '.join(chosen[:10])}",
            where=path,
            remedy="Rename the one that is the class to 'class' in VIA, and export again.",
        )
    others = [name for name in used if name != chosen[0]]
    notes = []
    if others:
        notes.append(
            f"the attribute {chosen[0]!r} of the {what} is read as the class; not read: "
            f"{printable(', '.join(others[:10]))}"
        )
    return chosen[0], notes


def is_set(value: object) -> bool:
    """Return whether an attribute has a value."""
    if isinstance(value, dict):
        return any(value.values())
    return value not in (None, "", [], False)


def class_of(
    value: object, attribute: str, options: Options, what: str, file: Path, line: int | None
) -> str:
    """Return the class that an attribute names: text, an option, or a single tick.

    Raises:
        DataError: If it names none, or several.
    """
    if isinstance(value, dict):
        ticked = [key for key, on in value.items() if on]
        if len(ticked) > 1:
            raise DataError(
                f"one class is expected as {attribute!r} of {what}, got {', '.join(ticked[:10])}",
                where=file,
                line=line,
                remedy="Keep one of them; foveate learns one class for each object.",
            )
        value = ticked[0] if ticked else None
    if type(value) in (int, float):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or not is_utf8(value):
        raise DataError(
            f"a class is expected as {attribute!r} of {what}, got {brief(value)}",
            where=file,
            line=line,
            remedy="Choose one in VIA, or remove the region.",
        )
    return options.get(attribute, {}).get(value, "").strip() or value
