"""COCO instances: JSON with images, annotations (boxes, polygons or run lengths) and categories.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014. These layouts are read:

    instances.json, images/                                a file beside the images or their folder
    annotations/instances_train2017.json, train2017/, ...  as COCO is published, a file a split
    train/_annotations.coco.json, valid/..., test/...      as Roboflow exports it

The folder of the images is found by looking for some of them. Beyond the keys of COCO, an image
record may have "group" and "time".
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from foveate.annotations import Instances, boxes_of
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.instances import box_problems
from foveate.formats._shared.json_file import has_keys
from foveate.formats._shared.layout import NOT_UTF8, is_utf8, printable, unusable_reason
from foveate.formats._shared.paths import id_inside
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    count_problem,
    new_folder,
    refuse,
    safe_names,
    unsavable_images,
    unsupported_task,
    write_image,
)
from foveate.formats.coco.columns import KEYS
from foveate.formats.coco.layout import annotation_files, image_folder, note_unrecorded
from foveate.formats.coco.records import ImageRecord, parse
from foveate.formats.coco.writing import file_content, has_other_mask_size

NAME = "coco"
SUMMARY = (
    "COCO instances: one JSON file and images/, or annotations/instances_train.json and train/"
)
TASKS = ("detection", "instance")

_NO_SPLIT_FOLDER = "images"

_Entries = dict[str, tuple[Path, Path, SplitName | None, ImageRecord]]
"""By sample id: the annotation file, the image, the split and the record."""


def sniff(path: Path) -> bool:
    """Return whether a file in one of the usual places has the keys of COCO."""
    try:
        return any(has_keys(file, *KEYS) for file, _ in annotation_files(path)[0])
    except (DataError, OSError):
        return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per image record, its id being the path of the image.

    Classes in the order of category ids; with several files, those of the first file come first,
    and classes with the same name are the same. The task is "instance" if any annotation has a
    segmentation, else "detection". A single file is read without splits. Missing images are skipped
    and listed.

    Raises:
        DataError: If an annotation, which is named by its id, cannot be understood, or if an image
            has two records.
    """
    files, notes = annotation_files(path)
    classes: dict[str, int] = {}
    entries: _Entries = {}
    for file, split in files:
        known = len(classes)
        records, file_notes = parse(file, classes)
        notes += file_notes
        if known and len(classes) > known:
            notes.append(
                f"{printable(file.name)} has categories that earlier files lack; all are used"
            )
        _add_records(entries, records, file, split, path)
    samples, skipped, task = _samples(entries)
    if not samples:
        raise DataError(
            "images are expected, found none that can be used "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=files[0][0],
            remedy="Put the images beside the file, or in a folder images/ beside it.",
        )
    notes += note_unrecorded([image for _, image, *_ in entries.values()])
    name = path.stem if path.is_file() else path.name
    return Dataset(name, task, tuple(classes), samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Any], path: Path) -> None:
    """Write a folder with instances.json and images/.

    With splits, write annotations/instances_train.json, train/ and so on. Image files are copied,
    images in memory become PNG, masks become compressed run lengths.

    Raises:
        DataError: If there are difficult boxes, scores or class colours, or if no instance has a
            shape.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    problems = count_problem(
        "with difficult boxes",
        [sample for sample in dataset if boxes_of(sample.target).difficult.any()],
    )
    problems += count_problem(
        "with masks of another size than the image",
        [sample for sample in dataset if has_other_mask_size(sample)],
    )
    refuse(path, NAME, box_problems(dataset) + problems + unsavable_images(dataset))
    has_splits = any(sample.split for sample in dataset)
    folders = [sample.split or _NO_SPLIT_FOLDER for sample in dataset]
    names = safe_names(dataset, [(folder,) for folder in folders])
    with new_folder(dataset, path) as root:
        for folder in sorted(set(folders)):
            rows = [row for row, other in enumerate(folders) if other == folder]
            file = root / "instances.json"
            if has_splits:
                file = root / "annotations" / f"instances_{folder}.json"
            content = file_content(dataset, rows, names)
            file.parent.mkdir(exist_ok=True)
            file.write_text(
                json.dumps(content, ensure_ascii=False, allow_nan=False),
                encoding="utf-8",
                newline="\n",
            )
            for row in rows:
                write_image(dataset[row], root / folder / names[row])


def _add_records(
    entries: _Entries,
    records: list[ImageRecord],
    file: Path,
    split: SplitName | None,
    path: Path,
) -> None:
    """Add the records of one file; raise DataError if an image has two."""
    top, folder = image_folder(file, [record.written for record in records], path)
    for record in records:
        written = id_inside(folder, record.written, where=file, root=top)
        id = os.path.normpath(folder.relative_to(top) / written)
        if id in entries:
            raise DataError(
                f"one image record per image is expected, {id!r} has another one "
                f"in {entries[id][0].name}",
                where=file,
                remedy="Remove one of the two, and move its annotations to the other.",
            )
        entries[id] = (file, top / id, split, record)


def _samples(entries: _Entries) -> tuple[list[Sample[Any]], list[Skipped], str]:
    has_shapes = any(
        shape is not None for *_, record in entries.values() for shape in record.shapes
    )
    samples: list[Sample[Any]] = []
    skipped: list[Skipped] = []
    for id, (_, image, split, record) in entries.items():
        if reason := unusable_reason(image) if is_utf8(id) else NOT_UTF8:
            skipped.append(Skipped(printable(id), reason))
        else:
            target = Instances(record.boxes, record.shapes) if has_shapes else record.boxes
            samples.append(Sample(id, FileSource(image), target, record.group, split, record.time))
    return samples, skipped, "instance" if has_shapes else "detection"
