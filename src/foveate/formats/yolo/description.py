"""Read the file that describes a YOLO dataset: data.yaml of Ultralytics, or obj.data of darknet.

Both give the class names, and under train, val (or valid) and test the images of each split.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.documents.yaml_file import MAX_BYTES, read_yaml
from foveate.formats._shared.layout import visible
from foveate.regular_file import open_regular
from foveate.wording import count_noun

YAML_ENDINGS = (".yaml", ".yml")
DARKNET_ENDING = ".data"
_PREFERRED = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_DARKNET_KEYS = (b"names", b"train", b"valid")
_MAX_SNIFFED_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Description:
    """What a description says.

    Attributes:
        path: The file.
        values: The value of each key; names of classes are texts, as they are written.
        lines: The line of each key, counted from 1.
        notes: What had to be decided.
    """

    path: Path
    values: dict[Any, Any]
    lines: dict[str, int]
    notes: list[str] = field(default_factory=list)

    def error(self, key: str, message: str, remedy: str | None = None) -> DataError:
        """Return an error that names the line of a key."""
        return DataError(message, where=self.path, line=self.lines.get(key), remedy=remedy)


def description_files(folder: Path) -> list[Path]:
    """Return the files of a folder that describe the dataset, usually one.

    Raises:
        OSError: If the folder or a file cannot be opened.
    """
    endings = (*YAML_ENDINGS, DARKNET_ENDING)
    entries = [entry for entry in visible(folder)[1] if entry.name.lower().endswith(endings)]
    files = [file for entry in entries if (file := Path(entry.path)).is_file()]
    yamls = [file for file in files if file.name.lower().endswith(YAML_ENDINGS)]
    found = [file for file in yamls if file.name in _PREFERRED or has_names(file)]
    return found or [file for file in files if is_darknet(file)]


def has_names(path: Path) -> bool:
    """Return whether a YAML file has a key `names`, without parsing it.

    Raises:
        OSError: If it cannot be opened.
    """
    with open_regular(path) as file:
        return any(
            line.startswith((b"names:", b"names :"))
            for line in file.read(_MAX_SNIFFED_BYTES).split(b"\n")
        )


def is_darknet(path: Path) -> bool:
    """Return whether a file is darknet's description: `names = ...` and `train = ...`.

    Raises:
        OSError: If it cannot be opened.
    """
    if not (path.name.lower().endswith(DARKNET_ENDING) and path.is_file()):
        return False
    with open_regular(path) as file:
        lines = file.read(_MAX_SNIFFED_BYTES).split(b"\n")
    keys = {line.partition(b"=")[0].strip().lower() for line in lines if b"=" in line}
    return b"names" in keys and bool(keys.intersection(_DARKNET_KEYS[1:]))


def read_description(path: Path) -> Description | None:
    """Read the file that describes the dataset.

    Args:
        path: The file or its folder.

    Returns:
        The description, or None if the folder has none.

    Raises:
        DataError: If the file cannot be understood, or if there are several.
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
        if not files:
            return None
        path = files[0]
    if is_darknet(path):
        return _read_darknet(path)
    if not path.name.lower().endswith(YAML_ENDINGS):
        raise DataError("a folder, or its data.yaml, is expected, this is another file", where=path)
    return _read_yaml(path)


def _read_yaml(path: Path) -> Description:
    """Read a YAML file, with the class names as they are written.

    YAML makes True of yes, and a number of 007; a class name is never anything but a text.
    """
    mapping = read_yaml(path)
    names = mapping.values.get("names")
    if not isinstance(names, list | dict):
        return Description(path, mapping.values, mapping.lines)
    values = list(names.values()) if isinstance(names, dict) else names
    odd = [
        number
        for number, value in enumerate(values)
        if value is not None and not isinstance(value, str | list | dict | tuple | set | bytes)
    ]
    if not odd:
        return Description(path, mapping.values, mapping.lines)
    written = yaml.load(read_text(path, MAX_BYTES), yaml.BaseLoader)["names"]
    texts = list(written.values()) if isinstance(written, dict) else written
    if len(texts) != len(values):  # a merge key, or two spellings of one number
        return Description(path, mapping.values, mapping.lines)
    read = [texts[number] if number in odd else value for number, value in enumerate(values)]
    named = dict(zip(names, read, strict=True)) if isinstance(names, dict) else read
    note = (
        f"{count_noun(len(odd), 'class name')} in {path.name} read as the text that is written, "
        f"not as YAML's number, date or boolean (such as {texts[odd[0]][:100]!r})"
    )
    return Description(path, {**mapping.values, "names": named}, mapping.lines, [note])


def _read_darknet(path: Path) -> Description:
    """Read lines such as `train = data/train.txt`; # begins a remark."""
    values: dict[Any, Any] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(path, _MAX_SNIFFED_BYTES).split("\n"), 1):
        text = line.partition("#")[0].strip()
        key, equals, value = (piece.strip() for piece in text.partition("="))
        if not text:
            continue
        if not equals or not key or key in values:
            problem = f"{key[:100]!r} a second time" if key in values else repr(text[:100])
            raise DataError(
                f"`key = value` with each key once is expected, got {problem}",
                where=path,
                line=number,
            )
        values[key], lines[key] = value, number
    count = values.pop("classes", "")
    if count.isdecimal() and len(count) < 10:
        values["nc"], lines["nc"] = int(count), lines["classes"]
    return Description(path, {k: v for k, v in values.items() if v != ""}, lines)
