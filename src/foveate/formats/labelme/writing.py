"""Write samples as LabelMe files, and list what these cannot store."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Shape, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.instances import annotated_size, box_problems, extra_fields, shapes_of
from foveate.formats._shared.writing import (
    count_problem,
    needs_classes,
    partial_splits,
    unlistable_names,
    unsavable_images,
)

_BOUNDS_TOLERANCE = 1e-6  # pixels, for rounding


def unsupported_content(dataset: Dataset[Any]) -> list[str]:
    """List what the format cannot store."""
    samples = list(dataset)
    problems = partial_splits(dataset)
    problems += count_problem(
        "with masks of another size than the image's", [s for s in samples if _mask_differs(s)]
    )
    problems += count_problem(
        "with boxes that are not the bounds of their polygons or masks",
        [s for s in samples if _box_differs(s)],
    )
    inverted = [
        s
        for s in samples
        if (boxes_of(s.target).corners[:, :2] > boxes_of(s.target).corners[:, 2:]).any()
    ]
    problems += count_problem("with inverted boxes", inverted)
    problems += unlistable_names(dataset.classes) if needs_classes(dataset) else []
    return box_problems(dataset) + problems + unsavable_images(dataset)


def file_content(sample: Sample[Any], classes: tuple[str, ...], name: str) -> dict[str, Any]:
    """Return the content of the JSON file of a sample.

    Args:
        sample: The sample.
        classes: The class names.
        name: The file name of its image.
    """
    boxes = boxes_of(sample.target)
    size = annotated_size(sample)
    shapes: list[dict[str, Any]] = []
    for row, shape in enumerate(shapes_of(sample.target)):
        drawn = _drawn(shape, boxes.corners[row], size)
        flags = {name: True for name in ("crowd", "difficult") if getattr(boxes, name)[row]}
        shapes += [
            {
                "label": classes[boxes.classes[row]],
                "group_id": row + 1 if len(drawn) > 1 else None,
                "flags": flags,
                **record,
            }
            for record in drawn
        ]
    height, width = size
    content: dict[str, Any] = {
        "version": "5.0.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": name,
        "imageData": None,
    }
    return {**content, "imageHeight": height, "imageWidth": width, **extra_fields(sample)}


def _drawn(
    shape: Shape | None, corners: NDArray[np.float64], size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Return what is drawn for an object: its polygons, its mask, or its box."""
    if shape is None:
        return [{"shape_type": "rectangle", "points": corners.reshape(2, 2).tolist()}]
    if shape.outlines:
        return [{"shape_type": "polygon", "points": one.tolist()} for one in shape.outlines]
    rows, columns = np.divmod(shape.pixel_indices(size), size[1])
    top, left = int(rows.min()), int(columns.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), np.uint8)
    mask[rows - top, columns - left] = 1
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask).save(buffer, "PNG")
    points = [[left, top], [left + mask.shape[1] - 1, top + mask.shape[0] - 1]]
    encoded = b64encode(buffer.getvalue()).decode()
    return [{"shape_type": "mask", "points": points, "mask": encoded}]


def _mask_differs(sample: Sample[Any]) -> bool:
    """Return whether a mask has another size than the image."""
    masks = [shape for shape in shapes_of(sample.target) if shape and not shape.outlines]
    sizes = {shape.size or shape.native_mask().shape for shape in masks}
    return bool(sizes) and sizes != {annotated_size(sample)}


def _box_differs(sample: Sample[Any]) -> bool:
    """Return whether a box is not the bounds of its polygon or mask; an empty mask has none."""
    rows = zip(shapes_of(sample.target), boxes_of(sample.target).corners, strict=True)
    for shape, box in rows:
        if shape:
            left, top, right, bottom = bounds = shape.bounds()
            is_empty = not shape.outlines and (right <= left or bottom <= top)
            if is_empty or (np.abs(np.subtract(bounds, box)) > _BOUNDS_TOLERANCE).any():
                return True
    return False
