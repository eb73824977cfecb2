"""The class names of a set in YOLO's manner: from data.yaml, or from the file that darknet and its tools keep them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.beside import read_text
from foveate.formats._shared.layout import is_utf8, visible
from foveate.formats._shared.yaml_file import Keys, read_yaml

YAML_ENDINGS = (".yaml", ".yml")
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
_PREFERRED = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_BYTES = 1_000_000


def described_by(folder: Path) -> list[Path]:
    """The YAML files of a folder that describe the data, usually one. Raises OSError."""
    files = [
        Path(entry.path)
        for entry in visible(folder)[1]
        if entry.name.lower().endswith(YAML_ENDINGS)
    ]
    return [
        file for file in files if file.is_file() and (file.name in _PREFERRED or tells_names(file))
    ]


def tells_names(path: Path) -> bool:
    """Whether there is a key `names` in a YAML file, without reading it as YAML. Raises OSError."""
    with path.open("rb") as file:
        return any(
            line.startswith((b"names:", b"names :")) for line in file.read(1_000_000).split(b"\n")
        )


def class_names(config: Keys | None, folders: list[Path]) -> tuple[str, ...] | None:
    """The names by the description and by the files of names in these folders, or None if nothing tells them.

    Raises DataError if two of them disagree.
    """
    found: list[tuple[Path, tuple[str, ...]]] = []
    if config is not None and (names := _described(config)) is not None:
        found.append((config.path, names))
    for path in [folder / name for folder in folders for name in NAME_FILES]:
        if path.is_file():
            found.append((path, _listed(path)))
    for path, names in found[1:]:
        if names != found[0][1]:
            raise DataError(
                f"the same class names in the same order as in {found[0][0].name} are expected",
                where=path,
                remedy="Find out which file is right and remove the other: names in another order are wrong labels.",
            )
    return found[0][1] if found else None


def _described(config: Keys) -> tuple[str, ...] | None:
    given: Any = config.values.get("names")
    if given is None:
        return None
    if isinstance(given, dict):
        keys = [key for key in given if type(key) is int]
        if len(keys) < len(given) or sorted(keys) != list(range(len(keys))):
            raise config.error(
                "names",
                f"numbers from 0 to {max(0, len(given) - 1)} are expected as keys of the names",
            )
        given = [given[key] for key in sorted(keys)]
    if not isinstance(given, list) or not given:
        raise config.error(
            "names", "a list of class names is expected, such as `names: [cat, dog]`"
        )
    for name in given:
        if not isinstance(name, str) or not name or not is_utf8(name):
            shown = repr(name)[:100]
            raise config.error(
                "names",
                f"text is expected as the name of a class, got {shown}",
                "Put it in quotation marks.",
            )
    count = config.values.get("nc", len(given))
    if type(count) is not int or count != len(given):
        raise config.error(
            "nc", f"nc is expected to be {len(given)}, as there are names, got {repr(count)[:100]}"
        )
    if repeated := [name for name in given if given.count(name) > 1]:
        raise config.error(
            "names", f"names that differ are expected, got {repeated[0][:100]!r} a second time"
        )
    return tuple(given)


def _listed(path: Path) -> tuple[str, ...]:
    """One name a line, without spaces at its ends."""
    lines = [line.strip() for line in read_text(path, _MOST_BYTES).rstrip().split("\n")]
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line or line in seen:
            problem = f"{line[:100]!r} a second time" if line else "an empty line"
            raise DataError(
                f"one class name a line is expected, got {problem}", where=path, line=number
            )
        seen.add(line)
    return tuple(lines)


def read_description(path: Path) -> Keys | None:
    """What describes the data at a path, which is the YAML file or its folder. Raises DataError for a file that is none."""
    if path.is_dir():
        files = described_by(path)
        files = [file for file in files if file.name in _PREFERRED][:1] or files
        if len(files) > 1:
            raise DataError(
                f"one YAML file of class names is expected, found {files[0].name} and {files[1].name}",
                where=path,
                remedy="Give the file itself, or call it data.yaml.",
            )
        return read_yaml(files[0]) if files else None
    if not path.name.lower().endswith(YAML_ENDINGS):
        raise DataError("a folder, or its data.yaml, is expected, this is another file", where=path)
    return read_yaml(path)
