"""Read the files of the VGG Image Annotator: JSON of versions 1, 2 and 3, and CSV."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import (
    has_keys,
    json_object,
    read_json,
    required_text,
)
from foveate.formats._shared.tables.csv_table import columns, first_rows, plain, rows_of
from foveate.formats._shared.tables.row_fields import fitted

Record = dict[str, Any]

_CSV = {
    "filename": ("filename", "#filename"),
    "shape": ("regionshapeattributes",),
    "region": ("regionattributes",),
    "file": ("fileattributes",),
}
# The shapes of VIA 3 by their numbers, with the keys of VIA 2 for their coordinates.
_SHAPES_3: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
    5: ("line", ()),
    6: ("polyline", ()),
    7: ("polygon", ()),
}
_IMAGE_3 = 2


@dataclass(slots=True)
class Region:
    """One region.

    Attributes:
        shape: The keys of its shape.
        attributes: Its attributes.
        what: What it is, for messages.
        line: Its line, None if unknown.
    """

    shape: Record
    attributes: Record
    what: str
    line: int | None = None


@dataclass(slots=True)
class ViaImage:
    """One image.

    Attributes:
        written: Its path as written.
        where: The file.
        regions: The regions.
        attributes: The attributes of the image.
        line: Its line, None if unknown.
    """

    written: str
    where: Path
    regions: list[Region] = field(default_factory=list)
    attributes: Record = field(default_factory=dict)
    line: int | None = None


Options = dict[str, dict[str, str]]
"""For each attribute the names of its options by their ids."""


def is_via(file: Path) -> bool:
    """Return whether a file has the keys, or the columns, of VIA.

    Raises:
        OSError: If it cannot be opened.
    """
    if file.name.lower().endswith(".csv"):
        rows = first_rows(file)
        names = {plain(cell) for cell in rows[0]} if rows else set()
        return {"regionshapeattributes", "regionattributes"} <= names
    return has_keys(file, "filename", "regions", "file_attributes") or has_keys(
        file, "project", "file", "metadata", "attribute", "view"
    )


def read_file(file: Path, left_out: Counter[str]) -> tuple[list[ViaImage], Options]:
    """Read the images of a file, and the options of its attributes.

    Args:
        file: The file.
        left_out: A counter of what is not read.

    Raises:
        DataError: If it cannot be understood.
    """
    if file.name.lower().endswith(".csv"):
        return _read_csv(file), {}
    content = _object(read_json(file), "the file", file)
    if "_via_img_metadata" in content:
        attributes = _object(content.get("_via_attributes", {}), "_via_attributes", file)
        records = _object(content["_via_img_metadata"], "_via_img_metadata", file)
        return _images(records, file), _options(attributes.get("region", {}))
    if "metadata" in content and "view" in content:
        return _read_third(content, file, left_out)
    return _images(content, file), {}


def _images(records: Record, file: Path) -> list[ViaImage]:
    images = []
    for key, value in records.items():
        record = _object(value, f"the entry {brief(key)}", file)
        name = required_text(record.get("filename"), f"filename of {brief(key)}", file)
        image = ViaImage(name, file)
        image.attributes = _object(
            record.get("file_attributes", {}), f"file_attributes of {name!r}", file
        )
        regions = record.get("regions", [])
        if isinstance(regions, dict):  # version 1
            regions = list(regions.values())
        if not isinstance(regions, list):
            raise DataError(f"a list is expected as regions of {name!r}", where=file)
        for number, region in enumerate(regions, 1):
            what = f"region {number} of {name!r}"
            region = _object(region, what, file)
            shape = _object(region.get("shape_attributes"), f"shape_attributes of {what}", file)
            own = _object(region.get("region_attributes", {}), f"region_attributes of {what}", file)
            image.regions.append(Region(shape, own, what))
        images.append(image)
    return images


def _options(attributes: object) -> Options:
    """Return the options of attributes of VIA 2, where there are any."""
    if not isinstance(attributes, dict):
        return {}
    return {
        name: {id: text for id, text in options.items() if isinstance(text, str)}
        for name, attribute in attributes.items()
        if isinstance(attribute, dict) and isinstance(options := attribute.get("options"), dict)
    }


def _read_csv(file: Path) -> list[ViaImage]:
    lines = rows_of(file)
    first, header = next(lines)
    indices = columns(header, _CSV, ("filename", "shape", "region"), file, first)
    images: dict[str, ViaImage] = {}
    for line, fields in fitted(list(lines), header, file):
        cells = {column: fields[index] for column, index in indices.items()}
        image = images.setdefault(cells["filename"], ViaImage(cells["filename"], file, line=line))
        image.attributes |= _cell(cells.get("file", ""), "file attributes", file, line)
        shape = _cell(cells["shape"], "region_shape_attributes", file, line)
        if shape:
            attributes = _cell(cells["region"], "region_attributes", file, line)
            image.regions.append(Region(shape, attributes, "the region", line))
    return list(images.values())


def _cell(text: str, what: str, file: Path, line: int) -> Record:
    """Return the JSON object in a field, {} if it is empty."""
    if not text.strip():
        return {}
    return json_object(text, what, file, line)


def _read_third(
    content: Record, file: Path, left_out: Counter[str]
) -> tuple[list[ViaImage], Options]:
    """Read version 3, in which regions point to views, and those to files."""
    sections = {key: _object(content.get(key), key, file) for key in ("file", "view", "metadata")}
    names: dict[str, str] = {}
    options: Options = {}
    for id, value in _object(content.get("attribute", {}), "attribute", file).items():
        attribute = _object(value, f"attribute {id}", file)
        names[id] = required_text(attribute.get("aname"), f"aname of attribute {id}", file)
        options |= _options({names[id]: attribute})
    images: dict[str, ViaImage] = {}
    for id, value in sections["file"].items():
        record = _object(value, f"file {id}", file)
        if record.get("type", _IMAGE_3) != _IMAGE_3:
            left_out["files that are no images, left out"] += 1
            continue
        images[id] = ViaImage(required_text(record.get("fname"), f"fname of file {id}", file), file)
    for id, value in sections["metadata"].items():
        record = _object(value, f"metadata {id}", file)
        view = _object(
            sections["view"].get(str(record.get("vid"))), f"the view of metadata {id}", file
        )
        fids = view.get("fid_list")
        own = images.get(str(fids[0])) if isinstance(fids, list) and len(fids) == 1 else None
        if own is None or record.get("z"):
            left_out["annotations of times or of several files, left out"] += 1
            continue
        values = _object(record.get("av", {}), f"av of metadata {id}", file)
        attributes = {names.get(key, key): value for key, value in values.items()}
        if record.get("xy"):
            shape = _third_shape(record["xy"], id, file)
            own.regions.append(Region(shape, attributes, f"metadata {id}"))
        else:
            own.attributes |= attributes
    return list(images.values()), options


def _third_shape(xy: object, id: str, file: Path) -> Record:
    number = xy[0] if isinstance(xy, list) else None
    if type(number) is not int or number not in _SHAPES_3:
        raise DataError(f"a shape from 1 to 7 is expected as xy of metadata {id}", where=file)
    assert isinstance(xy, list)
    name, keys = _SHAPES_3[number]
    if not keys:
        return {"name": name, "all_points_x": xy[1::2], "all_points_y": xy[2::2]}
    return {"name": name, **dict(zip(keys, xy[1:], strict=False))}


def _object(value: object, what: str, file: Path) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"an object is expected as {what}, got {brief(value)}", where=file)
    return value
