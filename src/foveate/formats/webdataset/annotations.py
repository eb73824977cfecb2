"""The answers that lie beside the pictures in a shard, as `webdataset` has them: files of a class, a caption, of JSON."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Captions, Label
from foveate.formats._shared.beside import LARGEST_NUMBER
from foveate.formats._shared.json_file import as_numbers, refuse_constant
from foveate.formats._shared.layout import is_utf8

Annotation = Label | Captions | Boxes

ENDINGS = {"classification": ("cls",), "text_to_image": ("txt", "json"), "detection": ("json",)}
"""The files that hold the answers of each task, the first before the second."""

_WORDINGS = ("captions", "caption", "text")
_FLAGS = ("crowd", "difficult")


def task_of(endings: Collection[str], first_json: bytes | None) -> str:
    """What shards with files of these endings are for. Raises ValueError, in words, if they hold no answers."""
    for task, (first, *_) in ENDINGS.items():
        if first in endings and first != "json":
            return task
    if first_json is None:
        raise ValueError(
            "files of .cls, .txt or .json are expected beside the pictures, found none"
        )
    record = _record(first_json)
    if "boxes" in record:
        return "detection"
    if any(key in record for key in _WORDINGS):
        return "text_to_image"
    raise ValueError(
        f"boxes or captions are expected in the .json files, the first has {', '.join(record)[:200]}"
    )


def read_annotation(task: str, files: Mapping[str, bytes]) -> Annotation | None:
    """What a sample's files say, its classes being the numbers as they stand there; None if they say nothing.

    files: the bytes by ending. Raises ValueError, in words, for what cannot be understood.
    """
    for ending in ENDINGS[task]:
        if ending in files:
            return _READERS[ending, task](files[ending])
    return None


def write_annotation(target: Annotation) -> tuple[str, bytes]:
    """The ending of the file that holds an answer, and its bytes."""
    match target:
        case Label():
            return "cls", str(target.index).encode()
        case Captions(texts=(text,)):
            return "txt", text.encode()
        case Captions():
            return "json", _bytes({"captions": target.texts})
        case Boxes():
            record: dict[str, Any] = {
                "boxes": target.corners.tolist(),
                "classes": target.classes.tolist(),
            }
            record |= {
                key: flags.tolist() for key in _FLAGS if (flags := getattr(target, key)).any()
            }
            return "json", _bytes(record | ({"size": target.size} if target.size else {}))


def _class(data: bytes) -> Label:
    text = data.strip()
    if not text.isdigit() or len(text) > 9:
        raise ValueError(f"the number of a class is expected, got {reprlib.repr(data)[1:]}")
    return Label(int(text))


def _caption(data: bytes) -> Captions:
    return Captions((_text(data),))


def _captions(data: bytes) -> Captions | None:
    record = _record(data)
    for key in _WORDINGS:
        if key in record:
            texts = record[key] if isinstance(record[key], list) else [record[key]]
            if not all(isinstance(text, str) and is_utf8(text) for text in texts):
                raise ValueError(
                    f"a text or a list of texts is expected as {key}, got {reprlib.repr(record[key])}"
                )
            return Captions(tuple(texts))
    return None


def _boxes(data: bytes) -> Boxes | None:
    record = _record(data)
    if "boxes" not in record:
        return None
    rows = record["boxes"]
    if not isinstance(rows, list) or any(
        not isinstance(row, list) or len(row) != 4 for row in rows
    ):
        raise ValueError("boxes of four numbers each are expected")
    corners = as_numbers([number for row in rows for number in row])
    if corners is None:
        raise ValueError("finite numbers are expected in the boxes, and none beyond 1,000,000,000")
    classes = record.get("classes")
    if not isinstance(classes, list) or not all(
        type(one) is int and 0 <= one <= LARGEST_NUMBER for one in classes
    ):
        raise ValueError("a list of the numbers of classes is expected as classes")
    for key in ("classes", *(key for key in _FLAGS if key in record)):
        if not isinstance(record[key], list) or len(record[key]) != len(rows):
            raise ValueError(f"as many {key} as boxes are expected")
    crowd, difficult = (_flags(record.get(key, [False] * len(rows)), key) for key in _FLAGS)
    return Boxes(
        corners.reshape(-1, 4),
        np.array(classes, np.int64),
        None,
        crowd,
        difficult,
        _size(record.get("size")),
    )


def _flags(values: list[Any], key: str) -> NDArray[np.bool_]:
    if not all(type(value) is bool for value in values):
        raise ValueError(f"true or false is expected as {key}")
    return np.array(values, bool)


def _size(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(type(side) is int for side in value)
    ):
        raise ValueError(f"height and width are expected as size, got {reprlib.repr(value)}")
    height, width = value
    if not (0 < height <= LARGEST_NUMBER and 0 < width <= LARGEST_NUMBER):
        raise ValueError(f"height and width are expected as size, got {reprlib.repr(value)}")
    return height, width


def _record(data: bytes) -> dict[str, Any]:
    text = _text(data)
    try:
        record = json.loads(text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON is expected, this is damaged ({error})") from None
    except RecursionError:
        raise ValueError("JSON is expected, this is nested too deep to be data") from None
    except ValueError as error:
        raise ValueError(f"JSON is expected, but a number in it cannot be read ({error})") from None
    if not isinstance(record, dict):
        raise ValueError(f"a JSON object is expected, got {reprlib.repr(record)}")
    return record


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("text in UTF-8 is expected") from None


def _bytes(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


_READERS: dict[tuple[str, str], Callable[[bytes], Annotation | None]] = {
    ("cls", "classification"): _class,
    ("txt", "text_to_image"): _caption,
    ("json", "text_to_image"): _captions,
    ("json", "detection"): _boxes,
}
