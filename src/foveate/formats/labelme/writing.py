"""Write samples as LabelMe files, and list what these cannot store."""

from __future__ import annotations

from typing import Any

from foveate.annotations import boxes_of
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
    with_masks = [s for s in samples if any(x and not x.outlines for x in shapes_of(s.target))]
    problems += count_problem("with masks instead of polygons", with_masks)
    problems += count_problem(
        "with boxes that are not the bounds of their polygons",
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
    shapes: list[dict[str, Any]] = []
    for row, shape in enumerate(shapes_of(sample.target)):
        outlines = [outline.tolist() for outline in shape.outlines] if shape else []
        flags = {name: True for name in ("crowd", "difficult") if getattr(boxes, name)[row]}
        for points in outlines or [boxes.corners[row].reshape(2, 2).tolist()]:
            shapes.append(
                {
                    "label": classes[boxes.classes[row]],
                    "points": points,
                    "group_id": row + 1 if len(outlines) > 1 else None,
                    "shape_type": "polygon" if outlines else "rectangle",
                    "flags": flags,
                }
            )
    height, width = annotated_size(sample)
    content: dict[str, Any] = {
        "version": "5.0.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": name,
        "imageData": None,
    }
    return {**content, "imageHeight": height, "imageWidth": width, **extra_fields(sample)}


def _box_differs(sample: Sample[Any]) -> bool:
    """Return whether a box is not the bounds of its polygon."""
    rows = zip(shapes_of(sample.target), boxes_of(sample.target).corners, strict=True)
    return any(
        shape and shape.outlines and (abs(shape.bounds() - box) > _BOUNDS_TOLERANCE).any()
        for shape, box in rows
    )
