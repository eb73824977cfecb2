"""Read the results of one annotation of Label Studio: regions, choices and texts.

Coordinates are percents of the image's width and height.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np

from foveate.annotations import RunLengths
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import read_size, required_text
from foveate.formats._shared.drawn import DrawnImage, DrawnObject
from foveate.formats._shared.outlines import (
    CORNERS_OF_CIRCLE,
    ellipse,
    is_coordinate,
    rectangle,
    turned_rectangle,
)
from foveate.formats.label_studio.brush import decode
from foveate.ops import rle

ONE_CLASS = "object"
"""The class of regions without a label."""

_PLACES = frozenset({"x", "y", "points", "rle"})
_LABELS = (
    *("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels"),
    *("bitmasklabels", "vectorlabels", "labels"),
)


def add_results(
    image: DrawnImage, results: list[dict[str, Any]], what: str, left_out: Counter[str]
) -> str | None:
    """Add the results of one annotation to an image.

    Args:
        image: The image.
        results: The results; each has a value, and maybe an id, a type and the image's size.
        what: The annotation, for messages.
        left_out: A counter of what is not read.

    Returns:
        Why the image cannot be used, or None.

    Raises:
        DataError: If a result cannot be understood; the error names the annotation.
    """
    labelled = {
        str(one.get("id"))
        for one in results
        if _label_of(_value(one, what, image.where), what, image)
    }
    for one in results:
        value = _value(one, what, image.where)
        if one.get("image_rotation") or value.get("image_rotation"):
            return "it was turned in Label Studio, and its regions are of the turned image"
        label = _label_of(value, what, image)
        if not _PLACES & value.keys():
            _add_of_image(image, value, what, left_out)
        elif label is None and "id" in one and str(one["id"]) in labelled:
            continue  # the same region without its label
        elif "choices" in value or "text" in value:
            left_out["choices and texts of single regions, not read"] += 1
        elif region := _region(image, {**one, **value}, label, what, left_out):
            image.objects.append(region)
    return None


def _value(result: Any, what: str, where: Path) -> dict[str, Any]:
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(value, dict):
        raise DataError(f"results with a value are expected in {what}", where=where)
    return value


def _label_of(value: dict[str, Any], what: str, image: DrawnImage) -> str | None:
    """Return the class of a region, None without one."""
    for key in _LABELS:
        labels = value.get(key)
        if labels in (None, []):
            continue
        if not isinstance(labels, list) or len(labels) != 1:
            raise DataError(
                f"one label a region is expected as {key} in {what}, got {brief(labels)}",
                where=image.where,
            )
        return required_text(labels[0], f"{key} in {what}", image.where)
    return None


def _add_of_image(
    image: DrawnImage, value: dict[str, Any], what: str, left_out: Counter[str]
) -> None:
    """Add what is said of the whole image."""
    for key, texts in (("choices", image.labels), ("text", image.texts)):
        if key in value:
            entries = value[key] if isinstance(value[key], list) else [value[key]]
            texts += [required_text(one, f"{key} in {what}", image.where) for one in entries]
            return
    taxonomy = value.get("taxonomy")
    if isinstance(taxonomy, list) and all(isinstance(path, list) for path in taxonomy):
        names = [
            [required_text(n, f"taxonomy in {what}", image.where) for n in p] for p in taxonomy
        ]
        image.labels += [" / ".join(path) for path in names if path]
        return
    left_out[f"results with {', '.join(sorted(value)[:3]) or 'nothing'}, not read"] += 1


def _region(
    image: DrawnImage,
    region: dict[str, Any],
    label: str | None,
    what: str,
    left_out: Counter[str],
) -> DrawnObject | None:
    """Return the object of a region, None for points, which are counted."""
    size = read_size(region, "original_height", "original_width", what, image.where) or image.size
    if size is None:
        raise DataError(
            f"original_width and original_height are expected in {what}", where=image.where
        )
    image.size = size
    if label is None:
        left_out[f"regions without a label, read as {ONE_CLASS!r}"] += 1
        label = ONE_CLASS
    if "rle" in region:
        return DrawnObject(label, mask=_mask(region, size, what, image.where))
    across, down = size[1] / 100, size[0] / 100
    if "points" in region:
        points = region["points"]
        if not isinstance(points, list) or not all(
            isinstance(p, list) and len(p) == 2 and all(map(is_coordinate, p)) for p in points
        ):
            raise _bad("points", points, what, image.where)
        if len(points) < 3:
            left_out["polygons with fewer than three corners, left out"] += 1
            return None
        return DrawnObject(label, [np.array(points, np.float64) * (across, down)])
    x, y = (_number(region, key, what, image.where) for key in ("x", "y"))
    degrees = _number({"rotation": 0, **region}, "rotation", what, image.where)
    if "radiusX" in region:
        a, b = (_number(region, key, what, image.where) for key in ("radiusX", "radiusY"))
        left_out[f"ellipses, read as polygons of {CORNERS_OF_CIRCLE} corners"] += 1
        outline = ellipse(x * across, y * down, a * across, b * down, degrees)
        return DrawnObject(label, [outline])
    if "height" not in region:
        left_out["key points, left out"] += 1
        return None
    width, height = (_number(region, key, what, image.where) for key in ("width", "height"))
    corner = x * across, y * down
    outline = rectangle(*corner, corner[0] + width * across, corner[1] + height * down)
    outline = turned_rectangle(outline, corner, degrees)  # about the corner, not the centre
    return DrawnObject(label, [outline], is_box=True)


def _mask(region: dict[str, Any], size: tuple[int, int], what: str, where: Path) -> RunLengths:
    try:
        if not isinstance(region["rle"], list):
            raise TypeError("it is no list")
        data = bytes(region["rle"])
        return RunLengths(rle.encode(decode(data, size)), size)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"a mask of {size[1]} x {size[0]} pixels is expected as rle in {what} ({error})",
            where=where,
        ) from None


def _number(region: dict[str, Any], key: str, what: str, where: Path) -> float:
    value = region.get(key)
    if not is_coordinate(value):
        raise _bad(key, value, what, where)
    return float(value)  # type: ignore[arg-type]


def _bad(key: str, value: object, what: str, where: Path) -> DataError:
    return DataError(
        f"numbers up to 1,000,000,000 are expected as {key} in {what}, got {brief(value)}",
        where=where,
    )
