"""Samples as the content of one file of COCO instances."""

from __future__ import annotations

from typing import Any

from foveate.annotations import Polygon, RunLengths, Shape, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.instances import picture_size, shapes_of, told_of
from foveate.ops import polygons, rle


def content(dataset: Dataset[Any], rows: list[int], names: list[str]) -> dict[str, Any]:
    """What a file says of the samples in these rows. names: of their pictures, for all rows; ids are counted from 1."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row in rows:
        sample = dataset[row]
        height, width = size = picture_size(sample)
        image = {"id": row + 1, "file_name": names[row], "width": width, "height": height}
        images.append({**image, **told_of(sample)})
        for instance in instances(sample.target, size):
            annotations.append({"id": len(annotations) + 1, "image_id": row + 1, **instance})
    return {
        "info": {"description": dataset.name},
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": index + 1, "name": name} for index, name in enumerate(dataset.classes)
        ],
    }


def differing(sample: Sample[Any]) -> bool:
    """Whether run lengths are of another size than the picture is said to have."""
    size = boxes_of(sample.target).size
    return size is not None and any(
        isinstance(x, RunLengths) and tuple(x.size) != size for x in shapes_of(sample.target)
    )


def instances(target: Any, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The annotations of one picture with boxes or outlined things, without ids; of answers each with its score. size: of the
    picture.
    """
    boxes, told = boxes_of(target), []
    columns = (
        boxes.corners.tolist(),
        boxes.classes.tolist(),
        boxes.crowd.tolist(),
        shapes_of(target),
    )
    for row, ((left, top, right, bottom), category, crowd, shape) in enumerate(
        zip(*columns, strict=True)
    ):
        width, height = right - left, bottom - top
        segmentation, area = _segmentation(shape, size) if shape else ([], abs(width * height))
        instance = {
            "category_id": category + 1,
            "bbox": [left, top, width, height],
            "area": area,
            "iscrowd": int(crowd),
        }
        if target is not boxes:
            instance["segmentation"] = segmentation
        if boxes.scores is not None:
            instance["score"] = round(float(boxes.scores[row]), 6)
        told.append(instance)
    return told


def _segmentation(shape: Shape, size: tuple[int, int]) -> tuple[Any, float]:
    """A shape as COCO writes it, and its area in pixels. Raises FoveateError for a mask of another size."""
    if isinstance(shape, Polygon):
        area = sum(polygons.area(outline) for outline in shape.outlines)
        return [outline.ravel().tolist() for outline in shape.outlines], area
    runs = (
        shape.counts if isinstance(shape, RunLengths) else rle.of_places(shape.places(size), size)
    )
    return {"size": list(size), "counts": rle.to_text(runs)}, rle.area(runs)
