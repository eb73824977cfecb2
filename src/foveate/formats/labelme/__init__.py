"""LabelMe: a JSON file beside each image, with the shapes drawn on it.

See github.com/wkentaro/labelme. Files may be in any folders; if all folders are called train, valid
or test, they are the splits:

    images/1.jpg, images/1.json, ...

Polygons with the same label and group_id are one object. The flags "crowd" and "difficult" of a
shape are read; so are the keys "group" and "time" of a file, which LabelMe preserves.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Boxes, Instances
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import has_keys
from foveate.formats._shared.files.file_tree import in_folder, list_tree
from foveate.formats._shared.files.partners import sample_files
from foveate.formats._shared.files.splits import splits_of_paths
from foveate.formats._shared.files.stems import file_stems
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    has_image_suffix,
    is_utf8,
    ordered_classes,
    printable,
)
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    needs_classes,
    new_folder,
    refuse,
    unsupported_task,
    write_classes,
    write_image,
)
from foveate.formats.labelme.files import LabelmeFile, LabelmeReader
from foveate.formats.labelme.writing import file_content, unsupported_content

NAME = "labelme"
SUMMARY = (
    "LabelMe: a JSON file beside each image (1.jpg, 1.json), also below train/, valid/ and test/"
)
TASKS = ("detection", "instance")

_MAX_SNIFFED_JSON = 20  # other JSON files


def sniff(path: Path) -> bool:
    """Return whether a JSON file below the folder has LabelMe's keys."""
    return _sniffed(path) is not None


def describe(path: Path) -> str:
    """Return what `read` would read, for a question to the user."""
    return f"the shapes in LabelMe's JSON files (such as {_sniffed(path)})"


def read(path: Path) -> Dataset[Any]:
    """Read one sample per JSON file, its id being the path of its image.

    Classes sorted by name, or as in classes.txt. The task is "instance" if there is any polygon or
    mask, else "detection". If an image is missing, the one embedded in the file is used, if there
    is one. Other missing images, images without a file and other JSON files are skipped and listed.

    Raises:
        DataError: If a file is damaged, or if two belong to one image; the error names the file.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with LabelMe files is expected, this is a file",
            where=path,
            remedy="Give its folder.",
        )
    skipped: list[Skipped] = []
    files = _list_files(path, skipped)
    reader = LabelmeReader(path, [id for id in files if has_image_suffix(id)], skipped)
    for id in files:
        if id.lower().endswith(".json"):
            reader.add(id)
    found = reader.found
    skipped_ids = {entry.id for entry in skipped}
    skipped += [
        Skipped(id, "it has no JSON file")
        for id in reader.images
        if id not in found and id not in skipped_ids
    ]
    present = {shape.label for content in found.values() for shape in content.shapes}
    classes = ordered_classes(present, path)
    if not found or not classes:
        what = "objects with a label" if found else "images with a LabelMe file"
        raise DataError(
            f"{what} are expected, found none ({len(skipped):,} skipped{first_reason(skipped)})",
            where=path,
            details=reader.all_notes(),
        )
    outlined = any(
        shape.outlines or shape.masks for content in found.values() for shape in content.shapes
    )
    indices = {name: index for index, name in enumerate(classes)}
    splits, notes = _splits(found)
    samples = []
    for (id, content), split in zip(found.items(), splits, strict=True):
        target = _to_target(content, indices, outlined)
        samples.append(Sample(id, content.source, target, content.group, split, content.time))
    task = "instance" if outlined else "detection"
    notes = [*reader.all_notes(), *notes]
    return Dataset(path.name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Any], path: Path) -> None:
    """Write images, each with its JSON file, in images/ or in one folder per split.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If only some samples have a split, if there are scores or class colours, if a box
            is not the bounds of its polygon or mask or is inverted, or if no instance has a shape.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    samples = list(dataset)
    refuse(path, NAME, unsupported_content(dataset))
    folders = [sample.split or "images" for sample in samples]
    with new_folder(dataset, path) as root:
        stems = file_stems(dataset, [(folder,) for folder in folders])
        for sample, folder, (stem, suffix) in zip(samples, folders, stems, strict=True):
            write_image(sample, root / folder / (stem + suffix))
            content = file_content(sample, dataset.classes, stem + suffix)
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
            (root / folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        if needs_classes(dataset):
            write_classes(dataset, root)


def _sniffed(path: Path) -> str | None:
    """Return a JSON file below a folder that has LabelMe's keys, or None."""
    if not path.is_dir():
        return None
    files = (
        in_folder(folder, name)
        for folder, names in sample_files(path)
        for name in names
        if name.lower().endswith(".json")
    )
    for file in islice(files, _MAX_SNIFFED_JSON):
        try:
            if any(has_keys(path / file, "shapes", key) for key in ("imagePath", "imageData")):
                return file
        except OSError:
            continue
    return None


def _list_files(root: Path, skipped: list[Skipped]) -> list[str]:
    """Return the JSON files and images below a folder; others are added to `skipped`."""
    found = []
    for folder, names in list_tree(root, skipped).items():
        for name in names:
            id = in_folder(folder, name)
            if id == CLASSES_FILE:
                continue
            if not is_utf8(id):
                skipped.append(Skipped(printable(id), NOT_UTF8))
            elif name.lower().endswith(".json") or has_image_suffix(name):
                found.append(id)
            else:
                skipped.append(Skipped(id, "it is neither an image nor a JSON file"))
    return found


def _splits(found: dict[str, LabelmeFile]) -> tuple[list[SplitName | None], list[str]]:
    """Return the split of each image by the folders of the JSON files, or else of the images.

    Returns:
        The splits, all None unless folders tell all, and a note on folders that are no splits.
    """
    splits, note = splits_of_paths(content.id for content in found.values())
    if any(splits):
        return splits, []  # the folders of the dataset say it, no text of a file
    by_image, _ = splits_of_paths(found)
    return (by_image, []) if any(by_image) else (splits, note)


def _to_target(content: LabelmeFile, indices: dict[str, int], outlined: bool) -> Boxes | Instances:
    shapes = tuple(shape.shape(content.mask_size) for shape in content.shapes)
    corners = [
        shape.bounds() if shape else drawn.box
        for shape, drawn in zip(shapes, content.shapes, strict=True)
    ]
    boxes = Boxes(
        np.array(corners, np.float64).reshape(-1, 4),
        np.array([indices[shape.label] for shape in content.shapes], np.int64),
        crowd=np.array([shape.crowd for shape in content.shapes], bool),
        difficult=np.array([shape.difficult for shape in content.shapes], bool),
        size=content.size,
    )
    return Instances(boxes, shapes) if outlined else boxes
