"""Write samples as the content of a COCO instances file."""

from __future__ import annotations

from typing import Any

from foveate.annotations import Shape, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.instances import annotated_size, extra_fields, shapes_of
from foveate.ops import polygons, rle


def file_content(dataset: Dataset[Any], rows: list[int], names: list[str]) -> dict[str, Any]:
    """Return the content of a file for some samples of a dataset.

    Args:
        dataset: The dataset.
        rows: The samples.
        names: The image file name of every sample of the dataset.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row in rows:
        sample = dataset[row]
        height, width = size = annotated_size(sample)
        image = {"id": row + 1, "file_name": names[row], "width": width, "height": height}
        images.append({**image, **extra_fields(sample)})
        for annotation in to_annotations(sample.target, size):
            annotations.append({"id": len(annotations) + 1, "image_id": row + 1, **annotation})
    return {
        "info": {"description": dataset.name},
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": index + 1, "name": name} for index, name in enumerate(dataset.classes)
        ],
    }


def has_other_mask_size(sample: Sample[Any]) -> bool:
    """Return whether a mask has another size than the boxes record for the image."""
    size = boxes_of(sample.target).size
    return size is not None and any(
        shape and shape.size is not None and tuple(shape.size) != size
        for shape in shapes_of(sample.target)
    )


def to_annotations(target: Any, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the COCO annotations of one image, without ids.

    Args:
        target: Boxes or instances; predictions get a score each.
        size: Height and width of the image in pixels.

    Raises:
        FoveateError: If a mask has another size.
    """
    boxes, annotations = boxes_of(target), []
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
        annotation = {
            "category_id": category + 1,
            "bbox": [left, top, width, height],
            "area": area,
            "iscrowd": int(crowd),
        }
        if target is not boxes:
            annotation["segmentation"] = segmentation
        if boxes.scores is not None:
            annotation["score"] = round(float(boxes.scores[row]), 6)
        annotations.append(annotation)
    return annotations


def _segmentation(shape: Shape, size: tuple[int, int]) -> tuple[Any, float]:
    """Return a shape as COCO writes it, and its area in pixels."""
    if shape.outlines:
        area = sum(polygons.area(outline) for outline in shape.outlines)
        return [outline.ravel().tolist() for outline in shape.outlines], area
    runs = shape.to_rle(size)
    return {"size": list(size), "counts": rle.to_coco_string(runs)}, rle.area(runs)
