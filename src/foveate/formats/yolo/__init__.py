"""YOLO: one text file per image with normalised boxes or polygons, and data.yaml with class names.

J. Redmon's darknet (2013) introduced the boxes; Ultralytics added data.yaml and polygons. See
`layout` for where the files lie, and `lines` for their content. Coordinates in pixels need the size
of each image, so the header of each is read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from foveate.annotations import Boxes, Instances, Polygon, boxes_of
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource, size
from foveate.errors import BadImage, DataError
from foveate.formats._shared.layout import has_image_suffix
from foveate.formats._shared.sidecar import line_stems
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    new_folder,
    refuse,
    unsavable_images,
    unsupported_task,
    write_image,
)
from foveate.formats._shared.yaml_file import MAX_BYTES, YamlMapping
from foveate.formats.yolo import layout
from foveate.formats.yolo.lines import BOX, YoloLabels, looks_like_lines, parse
from foveate.formats.yolo.names import (
    NAME_FILES,
    YAML_ENDINGS,
    class_names,
    description_files,
    has_names,
    read_description,
)
from foveate.formats.yolo.writing import normalized_coordinates, unsupported_content
from foveate.wording import count_noun

NAME = "yolo"
SUMMARY = "YOLO: images/, labels/ with one text file per image, and data.yaml with the class names"
TASKS = ("detection", "instance")

_MAX_SNIFFED_TEXTS, _MAX_SNIFFED_ENTRIES = 50, 10_000  # keep sniffing cheap
_SPLIT_FOLDERS: dict[SplitName, str] = {"train": "train", "valid": "val", "test": "test"}


def sniff(path: Path) -> bool:
    """Return whether there is a YAML file with `names`, or text files with lines of numbers."""
    try:
        if path.is_file():
            return path.name.lower().endswith(YAML_ENDINGS) and has_names(path)
        if any(has_names(file) for file in description_files(path)):
            return True
        return any(_has_lines(path, folder) for folder in layout.default_folders(path))
    except OSError:
        return False


def read(path: Path) -> Dataset[Boxes] | Dataset[Instances]:
    """Read the images with their boxes, or with polygons if there is at least one.

    An image without a text file has no objects, as in YOLO.

    Args:
        path: The folder, or its data.yaml.

    Raises:
        DataError: If something cannot be understood, or if the class names are unknown; the error
            names the file and the line.
    """
    config = read_description(path)
    root = path if path.is_dir() else path.parent
    if config and "kpt_shape" in config.values:
        raise config.error("kpt_shape", "boxes or polygons are expected, these are key points")
    files = layout.find_images(root, config)
    _require_images(files.splits, files.skipped, root)
    classes = _classes(root, config)
    texts = layout.label_files(root, files)
    lines = {
        id: parse(root / label, len(classes))
        for id in files.splits
        if (label := layout.label_path(id)) in texts
    }
    if not lines:
        first = layout.label_path(next(iter(files.splits)))
        raise DataError(
            f"a text file for at least one image is expected (such as {first}), found none",
            where=root,
        )
    skipped = [
        *files.skipped,
        *(Skipped(id, "it is in no split that data.yaml names") for id in files.other),
    ]
    claimed = {layout.label_path(id) for id in (*files.splits, *(entry.id for entry in skipped))}
    skipped += [
        Skipped(text, "no image has the name of this text file") for text in sorted(texts - claimed)
    ]
    sizes = _sizes(root, list(files.splits), skipped)
    _require_images(sizes, skipped, root)
    notes = [*files.notes]
    if unlabelled := [id for id in sizes if id not in lines]:
        notes.append(
            f"{count_noun(len(unlabelled), 'image')} without a text file, read as images without "
            f"objects (such as {unlabelled[0]})"
        )
    polygons = sum(
        len(numbers) > BOX for id in sizes if id in lines for numbers in lines[id].coordinates
    )
    boxes = sum(
        len(numbers) == BOX for id in sizes if id in lines for numbers in lines[id].coordinates
    )
    if polygons and boxes:
        notes.append(
            f"{boxes:,} of {count_noun(polygons + boxes, 'object')} with a box only, "
            "without a polygon"
        )
    samples: list[Sample[Any]] = []
    for id, size_of_image in sizes.items():
        instances = _to_instances(lines.get(id, YoloLabels([], [])), size_of_image)
        target = instances if polygons else instances.boxes
        samples.append(Sample(id, FileSource(root / id), target, None, files.splits[id]))
    task = "instance" if polygons else "detection"
    return Dataset(root.name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Boxes] | Dataset[Instances], path: Path) -> None:
    """Write data.yaml, images/ and labels/, with one folder per split if there are splits.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If there are groups or times, if only some samples have a split, if there are
            crowds, difficult boxes, masks or polygons of several outlines, or if a box is not the
            bounds of its polygon.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    refuse(path, NAME, unsupported_content(dataset) + unsavable_images(dataset))
    samples: list[Sample[Any]] = list(dataset)
    coordinates, problems = normalized_coordinates(samples)
    splits = {
        split: _SPLIT_FOLDERS[split]
        for split in SPLITS
        if any(sample.split == split for sample in samples)
    }
    description = {
        **{word: f"images/{word}" for word in splits.values()},
        "nc": len(dataset.classes),
        "names": dict(enumerate(dataset.classes)),
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
    problems += (
        [f"class names of more than {MAX_BYTES:,} bytes"] if len(text.encode()) > MAX_BYTES else []
    )
    refuse(path, NAME, problems)
    folders = [(splits[sample.split],) if sample.split else () for sample in samples]
    stems = line_stems(dataset)
    with new_folder(dataset, path) as root:
        (root / "data.yaml").write_text(text, encoding="utf-8", newline="\n")
        for sample, numbers, folder, (stem, suffix) in zip(
            samples, coordinates, folders, stems, strict=True
        ):
            write_image(sample, root.joinpath("images", *folder, stem + suffix))
            label = root.joinpath("labels", *folder, f"{stem}.txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            rows = zip(boxes_of(sample.target).classes.tolist(), numbers, strict=True)
            lines = "".join(f"{' '.join(map(repr, (index, *values)))}\n" for index, values in rows)
            label.write_text(lines, encoding="utf-8", newline="\n")


def _has_lines(root: Path, folder: str) -> bool:
    """Return whether one of the first text files for a folder of images holds lines of numbers."""
    label_folder = root / layout.label_folder(folder)
    side_by_side = label_folder == root / folder
    entries = texts = 0
    for here, inner, files in os.walk(label_folder):
        inner.sort()
        stems = {Path(name).stem for name in files if has_image_suffix(name)}
        for name in sorted(files):
            # Beside the images there may also be tables of numbers.
            if (
                name.endswith(".txt")
                and name not in NAME_FILES
                and (not side_by_side or Path(name).stem in stems)
            ):
                texts += 1
                if looks_like_lines(Path(here, name)):
                    return True
        entries += len(files) + len(inner)
        if side_by_side or texts > _MAX_SNIFFED_TEXTS or entries > _MAX_SNIFFED_ENTRIES:
            return False
    return False


def _require_images(images: Any, skipped: Sequence[Skipped], root: Path) -> None:
    if not images:
        raise DataError(
            "images are expected, found none that can be used "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=root,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )


def _classes(root: Path, config: YamlMapping | None) -> tuple[str, ...]:
    usual = layout.default_folders(root)
    folders = dict.fromkeys(["", *usual, *map(layout.label_folder, usual)])
    classes = class_names(config, [root / folder for folder in folders])
    if classes is None:
        raise DataError(
            "the names of the classes are expected, found none",
            where=config.path if config else root,
            remedy="Add a data.yaml with the names in the order of their numbers: "
            "`names: [cat, dog]`.",
        )
    return classes


def _sizes(root: Path, ids: list[str], skipped: list[Skipped]) -> dict[str, tuple[int, int]]:
    """Return the height and width of each image; damaged images are added to `skipped`."""
    sizes: dict[str, tuple[int, int]] = {}
    for id in ids:
        try:
            sizes[id] = size(root / id)
        except BadImage as error:
            skipped.append(Skipped(id, error.message))
    return sizes


def _to_instances(lines: YoloLabels, size: tuple[int, int]) -> Instances:
    """Return the objects in pixels of an image of this size; shapes are None for plain boxes."""
    sides = np.array([size[1], size[0]], float)
    corners = np.zeros((len(lines.coordinates), 4))
    boxed = [row for row, numbers in enumerate(lines.coordinates) if len(numbers) == BOX]
    centre, half = np.split(
        np.array([lines.coordinates[row] for row in boxed]).reshape(-1, 4), 2, axis=1
    )
    half = half / 2
    corners[boxed] = np.concatenate([(centre - half) * sides, (centre + half) * sides], axis=1)
    shapes: list[Polygon | None] = [None] * len(corners)
    for row, numbers in enumerate(lines.coordinates):
        if len(numbers) > BOX:
            shapes[row] = polygon = Polygon((np.array(numbers).reshape(-1, 2) * sides,))
            corners[row] = polygon.bounds()
    boxes = Boxes(corners, np.array(lines.classes, np.int64), size=size)
    return Instances(boxes, tuple(shapes))
