"""The VGG Image Annotator: its projects and exports, JSON of versions 1 to 3 or CSV.

Rectangles, polygons, circles and ellipses are objects; without regions, an attribute of the files
is the label of the image. `files` reads the files, `attributes` decides which attribute is the
class. See www.robots.ox.ac.uk/~vgg/software/via.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np

from foveate.annotations import Boxes, Instances, Label
from foveate.data.dataset import Dataset
from foveate.errors import DataError
from foveate.formats._shared.drawn import (
    DrawnImage,
    DrawnObject,
    Export,
    counted,
    dataset_of,
    require_files,
)
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.layout import split_of, visible
from foveate.formats._shared.outlines import CORNERS_OF_CIRCLE, ellipse, is_coordinate, rectangle
from foveate.formats.via.attributes import class_attribute, class_of, is_set
from foveate.formats.via.files import Options, Region, ViaImage, is_via, read_file

NAME = "via"
SUMMARY = "VGG Image Annotator: its JSON or CSV with the images beside it or below its folder"
TASKS = (Boxes.task, Instances.task, Label.task)

ONE_CLASS = "object"
"""The class of regions without attributes."""

_SUFFIXES = (".json", ".csv")
_MAX_FILES = 20
_LEFT_OUT = ("point", "polyline", "line")
# VIA fills these in by itself.
_OWN_ATTRIBUTES = frozenset({"public_domain", "image_url", "caption"})


def sniff(path: Path) -> bool:
    """Return whether a file has the keys or the columns of VIA."""
    try:
        return bool(_files(path))
    except OSError:
        return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per image, its id being the path of the image.

    Classes are sorted by name, or as in classes.txt. The task is "instance" if anything but
    rectangles is drawn, else "detection"; "classification" without regions. Missing images are
    skipped and listed.

    Raises:
        DataError: If a file cannot be understood, or if it is unclear which attribute is the class.
    """
    return read_task(path, None)


def read_task(path: Path, task: str | None) -> Dataset[Any]:
    """Read the annotations for one task; see `read`."""
    files = _files(path)
    require_files(files, "a file of the VGG Image Annotator", path, SUMMARY)
    finder = ImageFinder(path if path.is_dir() else path.parent)
    left_out: Counter[str] = Counter()
    images: dict[str, tuple[ViaImage, DrawnImage]] = {}
    options: Options = {}
    for file in files:
        contents, own = read_file(file, left_out)
        options |= own
        split = split_of(file.parent.name) if file.parent != path else None
        for content in contents:
            id = finder.find(content.written, folder=file.parent, where=file, line=content.line)
            if id in images:
                raise DataError(
                    f"each image is expected once, {id!r} is in {images[id][0].where.name}, too",
                    where=file,
                    line=content.line,
                )
            images[id] = (content, DrawnImage(id, file, content.line, split=split))
    notes = _add_objects(list(images.values()), options, path, left_out)
    notes += counted(left_out)
    drawn = [image for _, image in images.values()]
    if not drawn:
        raise DataError("images are expected, found none", where=files[0])
    return dataset_of(Export(drawn, notes=tuple(notes)), finder, path, task)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.name.lower().endswith(_SUFFIXES) and is_via(path) else []
    folders, files = visible(path)
    found = [Path(file.path) for file in files if file.name.lower().endswith(_SUFFIXES)]
    for folder in folders[:_MAX_FILES]:
        if split_of(folder.name):  # such as train/via_region_data.json
            found += [
                Path(file.path)
                for file in visible(folder.path)[1]
                if file.name.lower().endswith(_SUFFIXES)
            ]
    return [file for file in found if is_via(file)] if len(found) <= _MAX_FILES else []


def _add_objects(
    images: list[tuple[ViaImage, DrawnImage]], options: Options, path: Path, left_out: Counter[str]
) -> list[str]:
    """Add the objects, or without any the labels, to the images; return notes."""
    regions = [region.attributes for content, _ in images for region in content.regions]
    if not regions:
        return _add_labels(images, options, path)
    attribute, notes = class_attribute(regions, "regions", path)
    if attribute is None:
        notes.append(f"the regions have no attributes: all are of one class, {ONE_CLASS!r}")
    for content, image in images:
        for region in content.regions:
            label = ONE_CLASS
            if attribute is not None:
                value = region.attributes.get(attribute)
                label = class_of(value, attribute, options, region.what, content.where, region.line)
            if one := _object(label, region, content.where, left_out):
                image.objects.append(one)
    return notes


def _add_labels(
    images: list[tuple[ViaImage, DrawnImage]], options: Options, path: Path
) -> list[str]:
    own = [
        {name: value for name, value in content.attributes.items() if name not in _OWN_ATTRIBUTES}
        for content, _ in images
    ]
    labelled = [attributes for attributes in own if any(map(is_set, attributes.values()))]
    attribute, notes = class_attribute(labelled, "images", path)
    if attribute is None:
        return notes
    for (content, image), attributes in zip(images, own, strict=True):
        if is_set(value := attributes.get(attribute)):
            what = repr(content.written)
            image.labels.append(
                class_of(value, attribute, options, what, content.where, content.line)
            )
    return notes


def _object(label: str, region: Region, file: Path, left_out: Counter[str]) -> DrawnObject | None:
    """Return the object of a region, None for one without an area, which is counted."""
    name = region.shape.get("name")
    if name == "rect":
        x, y, width, height = _numbers(region, ("x", "y", "width", "height"), file)
        return DrawnObject(label, [rectangle(x, y, x + width, y + height)], is_box=True)
    if name == "circle":
        x, y, radius = _numbers(region, ("cx", "cy", "r"), file)
        left_out[f"circles, read as polygons of {CORNERS_OF_CIRCLE} corners"] += 1
        return DrawnObject(label, [ellipse(x, y, radius, radius)])
    if name == "ellipse":
        x, y, across, down = _numbers(region, ("cx", "cy", "rx", "ry"), file)
        theta = region.shape.get("theta", 0)
        if not is_coordinate(theta):
            raise _bad(region, "a number is expected as theta", file)
        left_out[f"ellipses, read as polygons of {CORNERS_OF_CIRCLE} corners"] += 1
        return DrawnObject(label, [ellipse(x, y, across, down, float(np.rad2deg(theta)))])
    if name == "polygon":
        xs, ys = (region.shape.get(key) for key in ("all_points_x", "all_points_y"))
        if not (
            isinstance(xs, list)
            and isinstance(ys, list)
            and len(xs) == len(ys)
            and all(map(is_coordinate, [*xs, *ys]))
        ):
            raise _bad(region, "as many x as y are expected as all_points_x and all_points_y", file)
        if len(xs) < 3:
            left_out["polygons with fewer than three corners, left out"] += 1
            return None
        return DrawnObject(label, [np.array([xs, ys], np.float64).T])
    if name in _LEFT_OUT:
        left_out[f"shapes of type {name}, left out"] += 1
        return None
    raise _bad(region, f"a known shape is expected, got {brief(name)}", file)


def _numbers(region: Region, keys: tuple[str, ...], file: Path) -> list[float]:
    values = [region.shape.get(key) for key in keys]
    if not all(map(is_coordinate, values)):
        raise _bad(region, f"numbers are expected as {', '.join(keys)}, got {brief(values)}", file)
    return [float(value) for value in values if value is not None]


def _bad(region: Region, message: str, file: Path) -> DataError:
    return DataError(f"{region.what}: {message}", where=file, line=region.line)
