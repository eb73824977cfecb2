"""Read the class names of a YOLO dataset: from data.yaml, or from a file of names as in darknet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.layout import is_utf8, visible
from foveate.formats._shared.sidecar import read_text
from foveate.formats._shared.yaml_file import YamlMapping, read_yaml
from foveate.regular_file import open_regular

YAML_ENDINGS = (".yaml", ".yml")
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
_PREFERRED = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MAX_BYTES = 1_000_000


def description_files(folder: Path) -> list[Path]:
    """Return the YAML files of a folder that describe the dataset, usually one.

    Raises:
        OSError: If the folder or a file cannot be opened.
    """
    files = [
        Path(entry.path)
        for entry in visible(folder)[1]
        if entry.name.lower().endswith(YAML_ENDINGS)
    ]
    return [
        file for file in files if file.is_file() and (file.name in _PREFERRED or has_names(file))
    ]


def has_names(path: Path) -> bool:
    """Return whether a YAML file has a key `names`, without parsing it.

    Raises:
        OSError: If it cannot be opened.
    """
    with open_regular(path) as file:
        return any(
            line.startswith((b"names:", b"names :")) for line in file.read(1_000_000).split(b"\n")
        )


def class_names(config: YamlMapping | None, folders: list[Path]) -> tuple[str, ...] | None:
    """Read the class names.

    Args:
        config: The description of the dataset, or None.
        folders: The folders that may hold a file of names.

    Returns:
        The names, or None if there are none.

    Raises:
        DataError: If two files disagree.
    """
    sources: list[tuple[Path, tuple[str, ...]]] = []
    if config is not None and (names := _described(config)) is not None:
        sources.append((config.path, names))
    for path in [folder / name for folder in folders for name in NAME_FILES]:
        if path.is_file():
            sources.append((path, _listed(path)))
    for path, names in sources[1:]:
        if names != sources[0][1]:
            raise DataError(
                f"the same class names in the same order as in {sources[0][0].name} are expected",
                where=path,
                remedy="Find out which file is right and remove the other: names in another order "
                "give wrong labels.",
            )
    return sources[0][1] if sources else None


def _described(config: YamlMapping) -> tuple[str, ...] | None:
    names: Any = config.values.get("names")
    if names is None:
        return None
    if isinstance(names, dict):
        keys = [key for key in names if type(key) is int]
        if len(keys) < len(names) or sorted(keys) != list(range(len(keys))):
            raise config.error(
                "names",
                f"numbers from 0 to {max(0, len(names) - 1)} are expected as keys of names",
            )
        names = [names[key] for key in sorted(keys)]
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


def read_description(path: Path) -> YamlMapping | None:
    """Read the YAML file that describes the dataset.

    Args:
        path: The file or its folder.

    Returns:
        The description, or None if the folder has none.

    Raises:
        DataError: If the file is not YAML, or if there are several.
    """
    if path.is_dir():
        files = description_files(path)
        files = [file for file in files if file.name in _PREFERRED][:1] or files
        if len(files) > 1:
            raise DataError(
                "one YAML file of class names is expected, "
                f"found {files[0].name} and {files[1].name}",
                where=path,
                remedy="Give the file itself, or rename it to data.yaml.",
            )
        return read_yaml(files[0]) if files else None
    if not path.name.lower().endswith(YAML_ENDINGS):
        raise DataError("a folder, or its data.yaml, is expected, this is another file", where=path)
    return read_yaml(path)
