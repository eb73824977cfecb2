"""COCO instances: JSON with images, annotations (boxes, polygons or run lengths) and categories.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014. These layouts are read:

    instances.json, images/                                a file beside the images or their folder
    annotations/instances_train2017.json, train2017/, ...  as COCO is published, a file a split
    train/_annotations.coco.json, valid/..., test/...      as Roboflow exports it
    images/, result.json                                   as Label Studio exports it

The files are known by their content, whatever they and their folders are called. The folder of the
images is found by looking for some of them, and each image as `ImageFinder` says. The split is that
in the name of the file, else of its folder, else of the folders of the images. Beyond the keys of
COCO, an image record may have "group" and "time", and annotations "ignore" for difficult objects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foveate.annotations import Instances, boxes_of
from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import has_keys
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import with_splits_of_paths
from foveate.formats._shared.files.walk import note_unlisted
from foveate.formats._shared.garbage import gc_paused
from foveate.formats._shared.instances import box_problems
from foveate.formats._shared.layout import composed, printable
from foveate.formats._shared.writing import (
    count_problem,
    new_folder,
    refuse,
    safe_names,
    unsavable_images,
    unsupported_task,
    write_image,
)
from foveate.formats.coco.classes import without_supercategory
from foveate.formats.coco.columns import KEYS
from foveate.formats.coco.layout import annotation_files, image_folder
from foveate.formats.coco.records import ImageRecord, ParsedFile, parse
from foveate.formats.coco.writing import file_content, has_other_mask_size

NAME = "coco"
SUMMARY = (
    "COCO instances: one JSON file and images/, or annotations/instances_train.json and train/"
)
TASKS = ("detection", "instance")

_NO_SPLIT_FOLDER = "images"

_Entries = dict[str, tuple[ParsedFile, ImageRecord]]
"""By sample id: the annotation file and the record."""


def sniff(path: Path) -> bool:
    """Return whether a file in one of the usual places has the keys of COCO."""
    try:
        return any(has_keys(file, *KEYS) for file, _ in annotation_files(path)[0])
    except (DataError, OSError):
        return False


def describe(path: Path) -> str:
    """Return what would be read at a path that is recognised."""
    files = [file for file, _ in annotation_files(path)[0]]
    listed = ", ".join(printable(file.name) for file in files[:3])
    return f"objects of COCO, from {listed}{', ...' if len(files) > 3 else ''}"


@gc_paused()
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
    parsed: list[ParsedFile] = []
    for file, split in files:
        known = set(map(composed, classes))
        content = parse(file, classes, split)
        notes += content.notes
        if parsed and not known.issuperset(map(composed, classes)):
            notes.append(
                f"{printable(file.name)} has categories that earlier files lack; all are used"
            )
        parsed.append(content)
    _require_one_dataset(parsed, path)
    finder, entries = _find_images(parsed, path)
    samples, skipped, task = _samples(entries, finder)
    if not samples:
        raise finder.none_usable(skipped, files[0][0])
    samples, split_notes = with_splits_of_paths(samples)
    class_names, samples, class_notes = without_supercategory(parsed, tuple(classes), samples)
    notes += [*finder.notes(), *split_notes, *class_notes]
    notes += note_unlisted(finder.root, entries, "an image record")
    name = path.stem if path.is_file() else path.name
    return Dataset(name, task, class_names, samples, tuple(skipped), path, notes=tuple(notes))


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


def _require_one_dataset(parsed: list[ParsedFile], path: Path) -> None:
    """Raise DataError if files of several folders, which are not splits, have other classes."""
    first = parsed[0]
    names = [set(map(composed, one.classes)) for one in parsed]
    for other, own in zip(parsed[1:], names[1:], strict=True):
        same_place = other.split or first.split or other.file.parent == first.file.parent
        if not same_place and own != names[0]:
            one, two = (
                printable(each.file.relative_to(path).as_posix()) for each in (first, other)
            )
            raise DataError(
                f"one dataset is expected, but {one} and {two} have different categories",
                where=path,
                remedy="Give one of the folders or files, or, if they belong together, list all "
                "categories in each of the files.",
            )


def _find_images(parsed: list[ParsedFile], path: Path) -> tuple[ImageFinder, _Entries]:
    """Find the image of each record; raise DataError if an image has two records."""
    entries: _Entries = {}
    finder: ImageFinder | None = None
    for content in parsed:
        file = content.file
        top, folder = image_folder(file, [record.written for record in content.records], path)
        finder = finder or ImageFinder(top)
        for record in content.records:
            id = finder.find(record.written, folder=folder, where=file)
            if id in entries:
                raise DataError(
                    f"one image record per image is expected, {id!r} has another one "
                    f"in {entries[id][0].file.name}",
                    where=file,
                    remedy="Remove one of the two, and move its annotations to the other; or give "
                    "the one file that is meant.",
                )
            entries[id] = (content, record)
    assert finder is not None
    return finder, entries


def _samples(
    entries: _Entries, finder: ImageFinder
) -> tuple[list[Sample[Any]], list[Skipped], str]:
    has_shapes = any(shape is not None for _, record in entries.values() for shape in record.shapes)
    samples: list[Sample[Any]] = []
    skipped: list[Skipped] = []
    for id, (content, record) in entries.items():
        if reason := finder.problem(id) or record.problem:
            skipped.append(Skipped(printable(id), reason))
        else:
            target = Instances(record.boxes, record.shapes) if has_shapes else record.boxes
            source = FileSource(finder.root / id)
            samples.append(Sample(id, source, target, record.group, content.split, record.time))
    return samples, skipped, "instance" if has_shapes else "detection"
