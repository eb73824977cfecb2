"""Read and write the annotations beside the images in a shard: classes, captions and JSON."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Captions, Label
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import (
    as_numbers,
    refuse_constant,
    unique_keys,
)
from foveate.formats._shared.layout import MAX_COORDINATE, is_utf8

Annotation = Label | Captions | Boxes

SUFFIXES = {Label.task: ("cls",), Captions.task: ("txt", "json"), Boxes.task: ("json",)}
"""The suffixes of the annotation files of each task; the first takes precedence."""

_CAPTION_KEYS = ("captions", "caption", "text")
_FLAGS = ("crowd", "difficult")


def task_of(suffixes: Collection[str], first_json: bytes | None) -> str:
    """Return the task of shards with these suffixes.

    Args:
        suffixes: The suffixes that occur.
        first_json: The content of the first JSON file, or None.

    Raises:
        ValueError: If the shards hold no annotations.
    """
    for task, (first, *_) in SUFFIXES.items():
        if first in suffixes and first != "json":
            return task
    if first_json is None:
        raise ValueError("files of .cls, .txt or .json are expected beside the images, found none")
    record = _record(first_json)
    if "boxes" in record:
        return "detection"
    if any(key in record for key in _CAPTION_KEYS):
        return "text_to_image"
    raise ValueError(
        "boxes or captions are expected in the .json files, "
        f"the first has {', '.join(record)[:200]}"
    )


def read_annotation(task: str, files: Mapping[str, bytes]) -> Annotation | None:
    """Read the annotation of a sample, with class numbers as stored.

    Args:
        task: The task.
        files: The bytes of the files by suffix.

    Returns:
        The annotation, or None if the files hold none.

    Raises:
        ValueError: If it cannot be understood.
    """
    for suffix in SUFFIXES[task]:
        if suffix in files:
            return _READERS[suffix, task](files[suffix])
    return None


def write_annotation(target: Annotation) -> tuple[str, bytes]:
    """Return the suffix of the file for an annotation, and its bytes."""
    return _WRITERS[target.task](target)


def _write_label(label: Label) -> tuple[str, bytes]:
    return "cls", str(label.index).encode()


def _write_captions(captions: Captions) -> tuple[str, bytes]:
    if len(captions.texts) == 1:
        return "txt", captions.texts[0].encode()
    return "json", _bytes({"captions": captions.texts})


def _write_boxes(boxes: Boxes) -> tuple[str, bytes]:
    record: dict[str, Any] = {
        "boxes": boxes.corners.tolist(),
        "classes": boxes.classes.tolist(),
    }
    record |= {key: flags.tolist() for key in _FLAGS if (flags := getattr(boxes, key)).any()}
    return "json", _bytes(record | ({"size": boxes.size} if boxes.size else {}))


_WRITERS: dict[str, Callable[[Any], tuple[str, bytes]]] = {
    Label.task: _write_label,
    Captions.task: _write_captions,
    Boxes.task: _write_boxes,
}


def _class(data: bytes) -> Label:
    text = data.strip()
    if not text.isdigit() or len(text) > 9:
        raise ValueError(f"the number of a class is expected, got {reprlib.repr(data)[1:]}")
    return Label(int(text))


def _caption(data: bytes) -> Captions:
    return Captions((_text(data),))


def _captions(data: bytes) -> Captions | None:
    record = _record(data)
    for key in _CAPTION_KEYS:
        if key in record:
            texts = record[key] if isinstance(record[key], list) else [record[key]]
            if not all(isinstance(text, str) and is_utf8(text) for text in texts):
                raise ValueError(
                    f"a text or a list of texts is expected as {key}, "
                    f"got {reprlib.repr(record[key])}"
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
        raise ValueError("finite numbers up to 1,000,000,000 are expected in the boxes")
    classes = record.get("classes")
    if not isinstance(classes, list) or not all(
        type(index) is int and 0 <= index <= MAX_COORDINATE for index in classes
    ):
        raise ValueError("a list of class numbers is expected as classes")
    for key in ("classes", *(key for key in _FLAGS if key in record)):
        if not isinstance(record[key], list) or len(record[key]) != len(rows):
            raise ValueError(f"as many entries in {key} as boxes are expected")
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
    if not (0 < height <= MAX_COORDINATE and 0 < width <= MAX_COORDINATE):
        raise ValueError(f"height and width are expected as size, got {reprlib.repr(value)}")
    return height, width


def _record(data: bytes) -> dict[str, Any]:
    text = _text(data)
    try:
        record = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique_keys)
    except DataError as error:  # a key that is there twice
        raise ValueError(error.message) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON is expected, but it has an error ({error})") from None
    except RecursionError:
        raise ValueError("JSON is expected, this is nested too deeply") from None
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
    ("cls", Label.task): _class,
    ("txt", Captions.task): _caption,
    ("json", Captions.task): _captions,
    ("json", Boxes.task): _boxes,
}
