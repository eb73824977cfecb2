"""Write a table of boxes with the columns of the TensorFlow Object Detection API."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Boxes, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.instances import annotated_size, box_problems
from foveate.formats._shared.writing import (
    count_problem,
    needs_classes,
    new_folder,
    refuse,
    safe_names,
    unlistable_names,
    unsavable_images,
    unsupported_task,
    write_classes,
    write_image,
)
from foveate.formats.box_table.rows import read_class

_COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")


def write(dataset: Dataset[Boxes], path: Path) -> None:
    """Write a folder with boxes.csv and images/.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If there are scores or class colours, a box of zeros, or only boxes that would be
            read as fractions; or if a class has a name that would be read as another one.
    """
    refuse(path, "csv-boxes", unsupported_task(dataset, (Boxes.task,)))
    problems = box_problems(dataset) + _problems(dataset) + unsavable_images(dataset)
    refuse(path, "csv-boxes", problems)
    names = safe_names(dataset, [("images",)] * len(dataset))
    fields = [
        field
        for field in ("group", "split", "time")
        if any(getattr(sample, field) for sample in dataset)
    ]
    flags = [
        flag
        for flag in ("crowd", "difficult")
        if any(getattr(boxes_of(sample.target), flag).any() for sample in dataset)
    ]
    with new_folder(dataset, path) as folder:
        with (folder / "boxes.csv").open("w", encoding="utf-8", newline="") as file:
            # Quotes keep the spaces at either end of a name.
            table = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            table.writerow([*_COLUMNS, *fields, *flags])
            for sample, name in zip(dataset, names, strict=True):
                rest = [getattr(sample, field) or "" for field in fields]
                for row in _rows(sample, dataset.classes, flags):
                    table.writerow([f"images/{name}", *row[:7], *rest, *row[7:]])
                write_image(sample, folder / "images" / name)
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _rows(sample: Sample[Any], classes: tuple[str, ...], flags: list[str]) -> list[list[Any]]:
    """Return width, height, class, corners and flags of each box; a row without a box for none."""
    boxes = boxes_of(sample.target)
    height, width = annotated_size(sample)
    if not len(boxes):
        return [[width, height, "", "", "", "", "", *[""] * len(flags)]]
    columns = [getattr(boxes, flag).astype(int).tolist() for flag in flags]
    return [
        [width, height, classes[k], *corners, *(column[row] for column in columns)]
        for row, (k, corners) in enumerate(
            zip(boxes.classes.tolist(), boxes.corners.tolist(), strict=True)
        )
    ]


def _problems(dataset: Dataset[Any]) -> list[str]:
    """List what would be read otherwise than it is written."""
    problems = unlistable_names(dataset.classes) if needs_classes(dataset) else []
    problems += [f"the class name {name!r}" for name in dataset.classes if read_class(name) != name]
    corners = [boxes_of(sample.target).corners for sample in dataset]
    zeros = [s for s, four in zip(dataset, corners, strict=True) if (four == 0).all(1).any()]
    problems += count_problem("with a box of zeros", zeros)
    all_corners = np.concatenate([*corners, np.empty((0, 4))])
    if not len(all_corners):
        problems.append("a dataset without a box")
    elif ((all_corners >= -0.01) & (all_corners <= 1.01)).all(1).mean() > 0.5:
        problems.append("boxes within the first pixel, which would be read as fractions")
    return problems
