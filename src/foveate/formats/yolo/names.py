"""Read the class names of a YOLO dataset: from its description, or from a file of names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.layout import is_utf8, visible
from foveate.formats.yolo.description import Description

NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
_OTHER_NAME_FILES = ("predefined_classes.txt", "class_names.txt", "names.txt", "labels.txt")
_NAMES_ENDING = ".names"
_MAX_BYTES = 1_000_000


def is_name_file(name: str) -> bool:
    """Return whether a file of this name lists class names, and no objects."""
    return name in NAME_FILES or name in _OTHER_NAME_FILES or name.endswith(_NAMES_ENDING)


def class_names(
    config: Description | None, folders: list[Path], notes: list[str]
) -> tuple[str, ...] | None:
    """Read the class names.

    Args:
        config: The description of the dataset, or None.
        folders: The folders that may hold a file of names.
        notes: A list that is added to if the names are read from an unusual file.

    Returns:
        The names, or None if there are none.

    Raises:
        DataError: If two files disagree.
    """
    sources: list[tuple[Path, tuple[str, ...]]] = []
    if config is not None and (names := _described(config, folders)) is not None:
        sources.append((config.path, names))
    sources += [
        (path, _listed(path))
        for path in (folder / name for folder in folders for name in NAME_FILES)
        if path.is_file()
    ]
    if not sources and (others := _other_files(folders)):
        sources = [(path, _listed(path)) for path in others]
        notes.append(f"class names are read from {others[0].name}")
    for path, names in sources[1:]:
        if names != sources[0][1]:
            raise DataError(
                f"the same class names in the same order as in {sources[0][0].name} are expected",
                where=path,
                remedy="Find out which file is right and remove the other: names in another order "
                "give wrong labels.",
            )
    return sources[0][1] if sources else None


def _other_files(folders: list[Path]) -> list[Path]:
    """Return the files that hold names in some tools, for folders without any of the usual."""
    return [
        Path(entry.path)
        for folder in folders
        if folder.is_dir()
        for entry in visible(folder)[1]
        if is_name_file(entry.name) and entry.is_file()
    ]


def _described(config: Description, folders: list[Path]) -> tuple[str, ...] | None:
    names: Any = config.values.get("names")
    if names is None:
        return None
    if isinstance(names, str):
        names = _named_file(config, names, folders)
    elif isinstance(names, dict):
        numbers = {_class_number(key): name for key, name in names.items()}
        if set(numbers) != set(range(len(names))):
            raise config.error(
                "names",
                f"numbers from 0 to {max(0, len(names) - 1)} are expected as keys of names",
            )
        names = [numbers[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise config.error(
            "names", "a list of class names is expected, such as `names: [cat, dog]`"
        )
    for name in names:
        if not isinstance(name, str) or not name or not is_utf8(name):
            shown = repr(name)[:100]
            raise config.error(
                "names",
                f"text is expected as a class name, got {shown}",
                "Put it in quotation marks.",
            )
    count = config.values.get("nc", len(names))
    if type(count) is not int or count != len(names):
        raise config.error(
            "nc", f"nc is expected to be {len(names)}, the number of names, got {repr(count)[:100]}"
        )
    if repeated := [name for name in names if names.count(name) > 1]:
        raise config.error(
            "names", f"each name is expected once, got {repeated[0][:100]!r} a second time"
        )
    return tuple(names)


def _class_number(key: object) -> object:
    """Return a key of names as a class number, where it is one: 0 for 0 and for '0'."""
    if isinstance(key, str) and key.isdecimal() and key.isascii() and len(key) < 10:
        return int(key)
    return key if type(key) is int else repr(key)


def _named_file(config: Description, written: str, folders: list[Path]) -> list[str]:
    """Read the file of names that a description names: darknet's `names = data/obj.names`.

    Its folder is often that of another machine, so the file is looked for by its last part.
    """
    name = PurePosixPath(written.replace("\\", "/")).name
    for folder in folders if "." in name else []:
        if (folder / name).is_file():
            return list(_listed(folder / name))
    raise config.error(
        "names",
        f"a list of class names is expected, such as `names: [cat, dog]`, or a file of names in "
        f"the dataset's folder, got {written[:100]!r}",
    )


def _listed(path: Path) -> tuple[str, ...]:
    """Read one name per line, without spaces at its ends."""
    lines = [line.strip() for line in read_text(path, _MAX_BYTES).rstrip().split("\n")]
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line or line in seen:
            problem = f"{line[:100]!r} a second time" if line else "an empty line"
            raise DataError(
                f"one class name per line is expected, got {problem}", where=path, line=number
            )
        seen.add(line)
    return tuple(lines)
