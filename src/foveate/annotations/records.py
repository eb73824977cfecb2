"""Targets as JSON values, in which unfinished work is kept, and back."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from foveate.annotations.annotation import Annotation
from foveate.annotations.boxes import Boxes
from foveate.annotations.instances import Instances
from foveate.annotations.label import Label
from foveate.annotations.mask import Mask
from foveate.annotations.shapes import RunLengths, Shape
from foveate.errors import FoveateError
from foveate.ops import rle
from foveate.ops.masks import smallest_dtype


def to_record(target: Annotation) -> dict[str, Any]:
    """A target of an image as JSON values, without scores. Outlines become run lengths.

    Args:
        target: A label, boxes, instances or a mask.
    """
    return {"task": target.task, **_WRITERS[target.task](target)}


def from_record(record: Any) -> Annotation:
    """The target in what `to_record` has made.

    Raises:
        ValueError: It is damaged.
    """
    try:
        return _READERS[record["task"]](record)
    except (LookupError, TypeError, ValueError, FoveateError, binascii.Error, zlib.error) as error:
        raise ValueError(f"a target is expected ({error})") from None


def _write_label(label: Label) -> dict[str, Any]:
    return {"class": label.index}


def _read_label(record: Mapping[str, Any]) -> Label:
    return Label(int(record["class"]))


def _write_boxes(boxes: Boxes) -> dict[str, Any]:
    size = None if boxes.size is None else list(boxes.size)
    return {"corners": boxes.corners.tolist(), "classes": boxes.classes.tolist(), "size": size}


def _read_boxes(record: Mapping[str, Any]) -> Boxes:
    size = None if record["size"] is None else _size(record)
    return Boxes(
        np.array(record["corners"], np.float64).reshape(-1, 4),
        np.array(record["classes"], np.int64),
        size=size,
    )


def _write_instances(instances: Instances) -> dict[str, Any]:
    size = instances.image_size
    masks = [
        None if shape is None else rle.to_coco_string(shape.to_rle(size))
        for shape in instances.shapes
    ]
    return {**_write_boxes(instances.boxes), "masks": masks}


def _read_instances(record: Mapping[str, Any]) -> Instances:
    size = _size(record)
    shapes: list[Shape | None] = [
        None if text is None else RunLengths(rle.from_coco_string(text, size), size)
        for text in record["masks"]
    ]
    return Instances(_read_boxes(record), tuple(shapes))


def _write_mask(mask: Mask) -> dict[str, Any]:
    values = smallest_dtype(mask.pixels.read())
    little = values.astype(values.dtype.newbyteorder("<"))
    packed = base64.b64encode(zlib.compress(little.tobytes(), 1)).decode("ascii")
    return {"size": list(values.shape), "bytes": values.dtype.itemsize, "pixels": packed}


def _read_mask(record: Mapping[str, Any]) -> Mask:
    height, width = _size(record)
    dtype: np.dtype[np.signedinteger[Any]] = np.dtype(f"<i{int(record['bytes'])}")
    packed = base64.b64decode(record["pixels"], validate=True)
    # No more is unpacked than the size says.
    data = zlib.decompressobj().decompress(packed, height * width * dtype.itemsize + 1)
    return Mask.from_array(np.frombuffer(data, dtype).reshape(height, width))


def _size(record: Mapping[str, Any]) -> tuple[int, int]:
    height, width = record["size"]
    return int(height), int(width)


_WRITERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    Label.task: _write_label,
    Boxes.task: _write_boxes,
    Instances.task: _write_instances,
    Mask.task: _write_mask,
}
_READERS: dict[str, Callable[[Mapping[str, Any]], Annotation]] = {
    Label.task: _read_label,
    Boxes.task: _read_boxes,
    Instances.task: _read_instances,
    Mask.task: _read_mask,
}
