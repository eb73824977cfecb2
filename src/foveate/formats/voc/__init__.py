"""Pascal VOC: one XML file per image, in Annotations/ beside JPEGImages/, or beside the image.

M. Everingham et al.: The Pascal Visual Object Classes (VOC) Challenge, IJCV 2010, and its
development kit. Pixels are counted from 1 there, and a box includes its last ones: xmin = 1 and
xmax = 10 are the ten pixels at the left edge, 0 to 10 in foveate. Many tools count from 0 instead,
which shows where a box begins at 0. Folders may have any names.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from foveate.annotations import Boxes, boxes_of
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.files.file_tree import in_folder
from foveate.formats._shared.files.partners import sample_files
from foveate.formats._shared.files.stems import line_stems
from foveate.formats._shared.instances import box_problems
from foveate.formats._shared.layout import CLASSES_FILE, read_classes, unusable_reason
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    count_problem,
    needs_classes,
    new_folder,
    refuse,
    unlistable_names,
    unsavable_images,
    unsupported_fields,
    unsupported_task,
    write_classes,
    write_image,
)
from foveate.formats.voc.layout import find_files, splits_of, unread_images
from foveate.formats.voc.matching import match_images
from foveate.formats.voc.writing import can_be_text, to_xml
from foveate.formats.voc.xml import VocFile, is_annotation, parse
from foveate.wording import count_noun

NAME = "voc"
SUMMARY = "Pascal VOC: Annotations/*.xml beside JPEGImages/ (and ImageSets/Main/train.txt)"
TASKS = ("detection",)

_MAX_SNIFFED_FILES, _MAX_SNIFFED_OF_FOLDER = 50, 5  # more than one: the first may be damaged
_LIST_NAMES: dict[SplitName, str] = {"train": "train", "valid": "val", "test": "test"}

_Entries = dict[str, tuple[VocFile, SplitName | None]]
"""By sample id, which is the path of the image: the XML file and the split."""


def sniff(path: Path) -> bool:
    """Return whether XML files below the folder hold an <annotation>.

    A folder above several datasets that have ImageSets/ each is none itself.
    """
    return _sniffed(path) is not None


def describe(path: Path) -> str:
    """Return what `read` would read, for a question to the user."""
    return f"the boxes in XML files of Pascal VOC (such as {_sniffed(path)})"


def read(path: Path) -> Dataset[Boxes]:
    """Read the images that have an XML file, with their boxes.

    Classes are sorted by name, or as in classes.txt. The image of an XML file is the one that
    <filename> names, or else the one with the same name. Splits are those of folders called train,
    valid and test, or else of lists in ImageSets/Main. <difficult> is read; pose, truncated and
    parts of objects are not.

    Raises:
        DataError: If something cannot be understood; the error names the file and the line.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with XML files and images is expected, this is a file", where=path
        )
    files = find_files(path)
    voc_files = {xml_file: parse(path / xml_file) for xml_file in files.xml_files}
    notes: list[str] = []
    matched = match_images(path, voc_files, files.images, notes)
    splits = splits_of(path, files, matched, notes)
    skipped = [
        *files.skipped,
        *(
            Skipped(xml_file, _missing(voc_files[xml_file]))
            for xml_file in voc_files
            if xml_file not in matched
        ),
        *unread_images(path, files, matched.values()),
    ]
    entries: _Entries = {}
    for xml_file, id in matched.items():
        if reason := unusable_reason(path / id):
            skipped.append(Skipped(id, reason))
        else:
            entries[id] = (voc_files[xml_file], splits[xml_file])
    if not entries:
        raise DataError(
            "images with XML files are expected, found none "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    classes = _classes(path, entries)
    _refuse_fractions(entries)
    base = _base(entries, notes)
    left_out: Counter[str] = Counter()
    for voc_file, _ in entries.values():
        left_out.update(voc_file.left_out)
    notes += [f"{what} not read: {number:,}" for what, number in left_out.items()]
    indices = {name: index for index, name in enumerate(classes)}
    samples = [
        Sample(id, FileSource(path / id), _boxes(voc_file, indices, base), None, split)
        for id, (voc_file, split) in sorted(entries.items())
    ]
    return Dataset(
        path.name, "detection", classes, samples, tuple(skipped), path, notes=tuple(notes)
    )


def write(dataset: Dataset[Boxes], path: Path) -> None:
    """Write JPEGImages/, Annotations/, and ImageSets/Main/ if there are splits.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If there are groups, times or crowds, or boxes that begin left of or above their
            image: those that are moved to 0 would make the dataset look as if it were counted from
            0.
    """
    samples = list(dataset)
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    problems = box_problems(dataset) + unsupported_fields(dataset, "group", "time")
    problems += count_problem(
        "with a crowd", [sample for sample in samples if boxes_of(sample.target).crowd.any()]
    )
    before = [sample for sample in samples if (boxes_of(sample.target).corners[:, :2] < 0).any()]
    problems += count_problem("with a box that begins left of or above its image", before)
    problems += [f"the class name {name!r}" for name in dataset.classes if not can_be_text(name)]
    problems += unlistable_names(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unsavable_images(dataset))
    with new_folder(dataset, path) as folder:
        (folder / "Annotations").mkdir()
        names = line_stems(dataset)
        for sample, (stem, suffix) in zip(samples, names, strict=True):
            write_image(sample, folder / "JPEGImages" / (stem + suffix))
            _write_text(
                folder / "Annotations" / f"{stem}.xml", to_xml(sample, stem + suffix, dataset)
            )
        for split in SPLITS:
            inside = [
                stem
                for sample, (stem, _) in zip(samples, names, strict=True)
                if sample.split == split
            ]
            if inside:
                lists = folder / "ImageSets" / "Main"
                lists.mkdir(parents=True, exist_ok=True)
                _write_text(
                    lists / f"{_LIST_NAMES[split]}.txt", "".join(f"{stem}\n" for stem in inside)
                )
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _sniffed(path: Path) -> str | None:
    """Return an XML file below a folder that holds an <annotation>, or None."""
    if not path.is_dir():
        return None
    sampled = list(sample_files(path))
    with_sets = {
        folder.split("/")[0]
        for folder, _ in sampled
        if "imagesets" in folder.casefold().split("/")[1:]
    }
    if len(with_sets) > 1:
        return None
    files = (
        in_folder(folder, name)
        for folder, names in sampled
        for name in [name for name in names if name.lower().endswith(".xml")][
            :_MAX_SNIFFED_OF_FOLDER
        ]
    )
    found = islice(files, _MAX_SNIFFED_FILES)
    return next((file for file in found if is_annotation(path / file)), None)


def _missing(voc_file: VocFile) -> str:
    """Return why an XML file has no image."""
    written = voc_file.filename[0] if voc_file.filename else ""
    return f"its image {(written or voc_file.path.stem)[:100]!r} does not exist"


def _classes(root: Path, entries: _Entries) -> tuple[str, ...]:
    """Return the classes of classes.txt, or those that occur, sorted by name."""
    present = {instance.name for voc_file, _ in entries.values() for instance in voc_file.instances}
    classes = read_classes(root) or tuple(sorted(present))
    if present.difference(classes):
        for voc_file, _ in entries.values():
            for instance in voc_file.instances:
                if instance.name not in classes:
                    raise DataError(
                        f"one of the classes in {CLASSES_FILE} is expected, "
                        f"got {instance.name[:100]!r}",
                        where=voc_file.path,
                        line=instance.line,
                        remedy=f"Add it to {CLASSES_FILE}, or remove that file to have the "
                        "classes sorted by name.",
                    )
    if not classes:
        raise DataError(
            "an <object> in at least one file is expected, found none",
            where=root,
            remedy=f"List the classes in {CLASSES_FILE} if all images are really empty.",
        )
    return classes


def _refuse_fractions(entries: _Entries) -> None:
    """Raise DataError if all boxes are fractions of their images, as YOLO writes them."""
    files = [voc_file for voc_file, _ in entries.values() if voc_file.instances]
    corners = np.array([one.corners for voc_file in files for one in voc_file.instances])
    if (corners >= 0).all() and (corners <= 1).all() and (corners % 1 != 0).any():
        raise DataError(
            "corners in pixels are expected, all numbers here are from 0 to 1, so these are "
            "fractions of the images",
            where=files[0].path,
            line=files[0].instances[0].line,
            remedy="Multiply each x by the image's width and each y by its height.",
        )


def _base(entries: _Entries, notes: list[str]) -> int:
    """Return the number of the first pixel, 1 or 0, in the whole dataset.

    Tools that count from 0 clip boxes at 0. If a box begins below 0, nothing was clipped, and a box
    at 0 proves nothing.
    """
    starts = [
        (min(instance.corners[:2]), voc_file.path.name)
        for voc_file, _ in entries.values()
        for instance in voc_file.instances
    ]
    below = [name for first, name in starts if first < 0]
    zeros = [name for first, name in starts if 0 <= first < 1]
    if below:
        notes.append(
            f"pixels are read as counted from 1, as in Pascal VOC, although "
            f"{count_noun(len(below), 'box begins', 'boxes begin')} below 0 (such as in {below[0]})"
        )
    elif zeros:
        notes.append(
            f"pixels are read as counted from 0, not from 1 as in Pascal VOC: "
            f"{count_noun(len(zeros), 'box begins', 'boxes begin')} at 0 (such as in {zeros[0]})"
        )
    return 0 if zeros and not below else 1


def _boxes(voc_file: VocFile, indices: dict[str, int], base: int) -> Boxes:
    corners = np.array([instance.corners for instance in voc_file.instances], float).reshape(-1, 4)
    corners[:, :2] -= base
    classes = np.array([indices[instance.name] for instance in voc_file.instances], np.int64)
    return Boxes(
        corners,
        classes,
        difficult=np.array([instance.difficult for instance in voc_file.instances], bool),
        size=voc_file.size,
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
