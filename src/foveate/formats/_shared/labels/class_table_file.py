"""Read the class tables of label images.

- classes.csv, or class_dict.csv as in CamVid, or _classes.csv as Roboflow exports it: the columns
  are value,name or name,r,g,b or all of them. A row named `ignore` gives the value of unlabelled
  pixels. Values apply to images in grey or with a palette, colours to images in RGB. Without a
  column of values, colours apply to all images.
- labelmap.txt as CVAT exports it (name:r,g,b::), and label_colors.txt as in CamVid (r g b name).
- id2label.json as for Hugging Face models: {"0": "name"}.
- classes.txt or codes.txt, a name in each line: see `ClassNames`.

Classes are in the order of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.annotations import IGNORE
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import read_json
from foveate.formats._shared.documents.text_file import read_bytes, read_text
from foveate.formats._shared.labels.class_table import ClassTable, ValueMap, is_ignored
from foveate.formats._shared.labels.images import colour_code
from foveate.formats._shared.tables.csv_table import cells, columns, rows_of

_CSV_FILES = ("classes.csv", "class_dict.csv", "_classes.csv")
_TEXT_FILES = ("labelmap.txt", "label_colors.txt")
_ID_FILE = "id2label.json"
TABLE_FILES = (*_CSV_FILES, *_TEXT_FILES, _ID_FILE)
NAME_FILES = ("classes.txt", "codes.txt", "class_names.txt", "label_names.txt")

_MAX_BYTES = 10_000_000
_RGB = ("red", "green", "blue")
_WORDS = {
    "value": ("value", "index", "id", "pixelvalue", "code"),
    "name": ("name", "class", "label", "classname", "category"),
    "red": ("red", "r"),
    "green": ("green", "g"),
    "blue": ("blue", "b"),
}
_LABELMAP = re.compile(r"(?P<name>.*?):(?P<r>\d+),(?P<g>\d+),(?P<b>\d+)(:.*)?")
_LABEL_COLOURS = re.compile(r"(?P<r>\d+)[\s,]+(?P<g>\d+)[\s,]+(?P<b>\d+)[\s,]+(?P<name>.*\S)")


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names without values, in the order of the values.

    Attributes:
        names: The names.
        file: The file that lists them.
    """

    names: tuple[str, ...]
    file: Path


def read_class_table(root: Path, folders: Sequence[Path] = ()) -> ClassTable | None:
    """Read the class table of a dataset.

    Args:
        root: The dataset's folder.
        folders: Further folders that may have it, if the first has none: those of the splits.

    Returns:
        The table, or None if there is none.

    Raises:
        DataError: If there are two tables, or if a row cannot be understood; the error names the
            line.
    """
    files: list[Path] = []
    for folder in (root, *folders):
        here = [folder / name for name in TABLE_FILES if (folder / name).is_file()]
        if len(here) > 1:
            raise DataError(
                f"one class table is expected, found {' and '.join(file.name for file in here)}",
                where=folder,
            )
        files += here
        if folder == root and files:
            break
    if not files:
        return None
    for other in files[1:]:
        if read_bytes(other, _MAX_BYTES) != read_bytes(files[0], _MAX_BYTES):
            raise DataError(
                "the same class table is expected for each split, this one differs from "
                f"{files[0].relative_to(root).as_posix()}",
                where=other,
            )
    table = files[0]
    if table.name in _CSV_FILES:
        return _read_csv(table)
    return _read_ids(table) if table.name == _ID_FILE else _read_lines(table)


def has_class_table(root: Path, folders: Sequence[Path] = ()) -> bool:
    """Return whether there is a class table where `read_class_table` looks for one."""
    return any((folder / name).is_file() for folder in (root, *folders) for name in TABLE_FILES)


def read_class_names(root: Path) -> ClassNames | None:
    """Read the names of classes that stand in a file without values.

    Raises:
        DataError: If a line is repeated, or if the file is not UTF-8.
    """
    for name in NAME_FILES:
        if (file := root / name).is_file():
            lines = [line.strip() for line in read_text(file, _MAX_BYTES).splitlines()]
            names = [line for line in lines if line]
            for number, line in enumerate(lines, 1):
                if line and line in lines[: number - 1]:
                    raise DataError(
                        f"each class is expected once, got {line!r} again", where=file, line=number
                    )
            return ClassNames(tuple(names), file) if names else None
    return None


def _read_lines(table: Path) -> ClassTable:
    """Read labelmap.txt or label_colors.txt."""
    pattern = _LABELMAP if table.name == _TEXT_FILES[0] else _LABEL_COLOURS
    form = "name:r,g,b::" if table.name == _TEXT_FILES[0] else "r g b name"
    names: dict[str, int] = {}
    colours: list[tuple[int, int, int]] = []
    by_colour: dict[int, int] = {}
    for line, content in enumerate(read_text(table, _MAX_BYTES).splitlines(), 1):
        if not content.strip() or content.lstrip().startswith("#"):
            continue
        match = pattern.fullmatch(content.strip())
        if match is None:
            raise DataError(
                f"{form} is expected in each line, got {content[:50]!r}", where=table, line=line
            )
        index = _index(match["name"], names, table, line)
        red, green, blue = (_number(match[band], 255, band, table, line) for band in "rgb")
        if colour_code(red, green, blue) in by_colour:
            raise DataError(
                f"each colour is expected once, got {red},{green},{blue} again",
                where=table,
                line=line,
            )
        by_colour[colour_code(red, green, blue)] = index
        colours += [(red, green, blue)] if index != IGNORE else []
    if not names:
        raise DataError("one class per line is expected, found none", where=table)
    return ClassTable(
        tuple(names),
        tuple(colours),
        None,
        ValueMap.from_mapping(by_colour, len(names), in_colour=True),
    )


def _read_ids(table: Path) -> ClassTable:
    """Read id2label.json."""
    content = read_json(table)
    if not isinstance(content, dict) or not content:
        raise DataError('an object of names is expected: {"0": "name"}', where=table)
    names: dict[str, int] = {}
    by_value: dict[int, int] = {}
    for value, name in content.items():
        if not isinstance(name, str):
            raise DataError(f"a name is expected for {value!r}, got {name!r}", where=table)
        by_value[_number(value, 65535, "value", table, None)] = _index(name, names, table, None)
    if not names:
        raise DataError("a name for each value is expected, found none", where=table)
    return ClassTable(tuple(names), None, ValueMap.from_mapping(by_value, len(names)), None)


def _read_csv(table: Path) -> ClassTable:
    lines = rows_of(table)
    _, header = next(lines)
    has_colours = any(column in columns(header, _WORDS, ("name",), table) for column in _RGB)
    indices = columns(header, _WORDS, ("name", *(_RGB if has_colours else ("value",))), table)
    names: dict[str, int] = {}
    colours: list[tuple[int, int, int]] = []
    by_value: dict[int, int] = {}
    by_colour: dict[int, int] = {}
    distinct_colours = True
    for line, fields in lines:
        row = cells(fields, header, indices, table, line)
        index = _index(row["name"], names, table, line)
        if "value" in row:
            value = _number(row["value"], 65535, "value", table, line)
            if value in by_value:
                raise DataError(
                    f"each value is expected once, got {value} again", where=table, line=line
                )
            by_value[value] = index
        # Unlabelled pixels need no colour.
        if has_colours and (index != IGNORE or any(row[column].strip() for column in _RGB)):
            red, green, blue = (_number(row[column], 255, column, table, line) for column in _RGB)
            if colour_code(red, green, blue) in by_colour and "value" not in row:
                raise DataError(
                    f"each colour is expected once, got {red},{green},{blue} again",
                    where=table,
                    line=line,
                )
            distinct_colours &= colour_code(red, green, blue) not in by_colour
            by_colour[colour_code(red, green, blue)] = index
            colours += [(red, green, blue)] if index != IGNORE else []
    if not names:
        raise DataError("one class per line is expected, found none", where=table)
    return ClassTable(
        tuple(names),
        tuple(colours) if has_colours else None,
        ValueMap.from_mapping(by_value, len(names)) if by_value else None,
        ValueMap.from_mapping(by_colour, len(names), in_colour=True)
        if by_colour and distinct_colours
        else None,
    )


def _index(name: str, names: dict[str, int], table: Path, line: int | None) -> int:
    """Return the class of a row, which is added to `names`."""
    if not name.strip():
        raise DataError("the name of a class is expected, got nothing", where=table, line=line)
    if is_ignored(name):
        return IGNORE
    if name in names:
        raise DataError(f"each class is expected once, got {name!r} again", where=table, line=line)
    return names.setdefault(name, len(names))


def _number(text: str, maximum: int, column: str, table: Path, line: int | None) -> int:
    """Parse a whole number from 0 to `maximum`."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= maximum):
        raise DataError(
            f"a whole number from 0 to {maximum} is expected as the {column}, got {text[:50]!r}",
            where=table,
            line=line,
        )
    return int(text)
