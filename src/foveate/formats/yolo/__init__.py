"""YOLO: one text file per image with normalised boxes or polygons, and data.yaml with class names.

J. Redmon's darknet (2013) introduced the boxes; Ultralytics added data.yaml and polygons. See
`layout` and `labels` for where the files lie, `lines` and `reading` for their content. Coordinates
in pixels need the size of each image, so the header of each is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from foveate.annotations import Boxes, Instances, Polygon, boxes_of
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource, size
from foveate.errors import BadImage, DataError
from foveate.formats._shared.documents.yaml_file import MAX_BYTES
from foveate.formats._shared.files.splits import split_notes, split_of_path
from foveate.formats._shared.files.stems import line_stems
from foveate.formats._shared.layout import visible
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    new_folder,
    refuse,
    unsavable_images,
    unsupported_task,
    write_image,
)
from foveate.formats.yolo.box_order import other_orders
from foveate.formats.yolo.description import Description, description_files, read_description
from foveate.formats.yolo.keypoints import may_be_keypoints
from foveate.formats.yolo.labels import drop_unannotated, label_files, label_folder, label_path
from foveate.formats.yolo.layout import default_folders, find_images
from foveate.formats.yolo.lines import BOX, YoloLabels, parse
from foveate.formats.yolo.names import class_names
from foveate.formats.yolo.reading import interpret, keypoint_numbers
from foveate.formats.yolo.recognition import is_yolo, missing
from foveate.formats.yolo.writing import normalized_coordinates, unsupported_content
from foveate.wording import count_noun

__all__ = ["NAME", "SUMMARY", "TASKS", "describe", "missing", "read", "read_task", "sniff", "write"]

NAME = "yolo"
SUMMARY = "YOLO: images/, labels/ with one text file per image, and data.yaml with the class names"
TASKS = ("detection", "instance")

_NAME_FOLDERS = ("data", "cfg")  # darknet's
_SPLIT_FOLDERS: dict[SplitName, str] = {"train": "train", "valid": "val", "test": "test"}


def sniff(path: Path) -> bool:
    """Return whether there is a description with `names`, or text files with lines of numbers.

    A text file counts if it lies in labels/, or if an image has its stem. A folder above several
    datasets, or above one that has a description, is none itself.
    """
    try:
        return is_yolo(path)
    except OSError:
        return False


def describe(path: Path) -> str:
    """Return what `read` would read, for a question to the user."""
    described = path.is_file() or description_files(path)
    by = "a description with class names" if described else "text files with lines of numbers"
    return f"the boxes or polygons of YOLO, by {by}"


def read(path: Path) -> Dataset[Boxes] | Dataset[Instances]:
    """Read the images with their boxes, or with polygons if there is at least one.

    An image without a text file has no objects, as in YOLO. Boxes with keypoints are read as boxes,
    oriented boxes as polygons; see `reading` for how they are recognised.

    Args:
        path: The folder, or its data.yaml or obj.data.

    Raises:
        DataError: If something cannot be understood, or if the class names are unknown; the error
            names the file and the line.
    """
    return read_task(path, None)


def read_task(path: Path, task: str | None) -> Dataset[Boxes] | Dataset[Instances]:
    """Read as `read` does; the task decides between polygons and boxes where nothing else does.

    Args:
        path: The folder, or its data.yaml or obj.data.
        task: The task that the data is for, or None.

    Raises:
        DataError: As `read` does.
    """
    config = read_description(path)
    root = path if path.is_dir() else path.parent
    files = find_images(root, config)
    _require_images(files.splits, files.skipped, root)
    texts, unused = label_files(root, files)
    drop_unannotated(files, texts)
    notes = [*(config.notes if config else ()), *files.notes]
    if texts and not any(files.splits.values()):
        _take_splits(files.splits, texts, notes)
    classes = _classes(root, config, texts, notes)
    numbers = keypoint_numbers(config)
    lines = {id: parse(root / text, len(classes), numbers) for id, text in texts.items()}
    if not lines:
        first = label_path(next(iter(files.splits)))
        raise DataError(
            f"a text file for at least one image is expected (such as {first}), found none",
            where=root,
        )
    skipped = [
        *files.skipped,
        *(Skipped(id, reason) for id, reason in files.other.items()),
        *(Skipped(text, "no image has the name of this text file") for text in sorted(unused)),
    ]
    sizes = _sizes(root, list(files.splits), skipped)
    _require_images(sizes, skipped, root)
    if unlabelled := [id for id in sizes if id not in lines]:
        notes.append(
            f"{count_noun(len(unlabelled), 'image')} without a text file, read as images without "
            f"objects (such as {unlabelled[0]})"
        )
    lines = {id: one for id, one in lines.items() if id in sizes}
    places = {id: root / text for id, text in texts.items()}
    lines, decided = interpret(lines, sizes, places, config, task)
    notes += decided
    lengths = [len(numbers) for one in lines.values() for numbers in one.coordinates]
    polygons, boxes = sum(length > BOX for length in lengths), lengths.count(BOX)
    if polygons and boxes:
        notes.append(
            f"{boxes:,} of {count_noun(polygons + boxes, 'object')} with a box only, "
            "without a polygon"
        )
    samples: list[Sample[Any]] = []
    for id, size_of_image in sizes.items():
        instances = _to_instances(lines.get(id, YoloLabels()), size_of_image)
        target = instances if polygons else instances.boxes
        samples.append(Sample(id, FileSource(root / id), target, None, files.splits[id]))
    name = "instance" if polygons else "detection"
    return Dataset(root.name, name, classes, samples, tuple(skipped), path, notes=tuple(notes))


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
    if dataset.task == Boxes.task and other_orders(coordinates)[0]:
        problems.append(
            "boxes that leave or fill their images, so that they would be read in another order"
        )
    splits = {
        split: _SPLIT_FOLDERS[split]
        for split in SPLITS
        if any(sample.split == split for sample in samples)
    }
    description: dict[str, Any] = {
        **{word: f"images/{word}" for word in splits.values()},
        "nc": len(dataset.classes),
        "names": dict(enumerate(dataset.classes)),
    }
    if dataset.task == Instances.task and may_be_keypoints(coordinates):
        description["task"] = "segment"
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


def _require_images(images: Any, skipped: Sequence[Skipped], root: Path) -> None:
    if not images:
        raise DataError(
            "images are expected, found none that can be used "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=root,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )


def _take_splits(
    splits: dict[str, SplitName | None], texts: dict[str, str], notes: list[str]
) -> None:
    """Give images without splits those of their text files: labels/train/1.txt."""
    found = {id: split_of_path(text) for id, text in texts.items()}
    if found.keys() == splits.keys() and all(found.values()):
        splits.update(found)
        notes.append("the splits are those of the text files' folders")
        notes += split_notes(texts.values())


def _classes(
    root: Path, config: Description | None, texts: dict[str, str], notes: list[str]
) -> tuple[str, ...]:
    """Read the class names, from the description or from a file near the images or text files."""
    holders = dict.fromkeys(id.rpartition("/")[0] for id in (*texts, *texts.values()))
    above = [str(folder) for place in holders for folder in PurePosixPath(place).parents]
    places = [*default_folders(root), *holders, *(folder for folder in above if folder != ".")]
    inner = [folder.name for folder in visible(root)[0] if folder.name in _NAME_FOLDERS]
    folders = dict.fromkeys(["", *inner, *places, *map(label_folder, places)])
    classes = class_names(config, [root / folder for folder in folders], notes)
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
