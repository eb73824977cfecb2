"""COCO instances: JSON with images, annotations (boxes, outlines or run lengths, crowds) and categories.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014. As people have it:

    instances.json, images/                                     one file beside the pictures or a folder of them
    annotations/instances_train2017.json, train2017/, ...       as COCO is published: a part by the file's name
    train/_annotations.coco.json, valid/..., test/...           as Roboflow exports it

Where the pictures lie is found by looking for some of them. An image record may have the keys "group" and
"time" more than COCO's.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveate.annotations import Instances, boxes_of
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.instances import unwritable
from foveate.formats._shared.json_file import has_keys
from foveate.formats._shared.layout import (
    NOT_UTF8,
    PART_WORDS,
    is_named_picture,
    is_utf8,
    part_of,
    printable,
    unusable,
    visible,
)
from foveate.formats._shared.paths import inside, inside_id
from foveate.formats._shared.writing import (
    count,
    new_folder,
    refuse,
    safe_names,
    unlabelled,
    unpaintable,
    write_picture,
)
from foveate.formats.coco.records import KEYS, Record, parse
from foveate.formats.coco.writing import content, differing

NAME = "coco"
SUMMARY = "COCO instances: one JSON file and images/, or annotations/instances_train.json and train/, and so on"
TASKS = ("detection", "instance")

_NAMED = re.compile(r"instances.*\.json|.*\.coco\.json", re.IGNORECASE)
_MOST_FILES = 20  # of other names; where there are more, they are no COCO but one for each picture
_LOOKED_FOR = 50  # pictures, to find their folder
_HOLDERS = (
    "data",
    "image",
    "images",
    "img",
    "imgs",
    "jpegimages",
    "photos",
    "pictures",
)  # they may hold folders
_LABELS = (
    "annotation",
    "annotations",
    "json",
    "labels",
)  # folders of files with labels, beside those of pictures
_REST = "images"  # where pictures of no part are written


def sniff(path: Path) -> bool:
    """Whether there is a file with COCO's keys where one is expected."""
    try:
        return any(has_keys(file, *KEYS) for file, _ in _files(path)[0])
    except (DataError, OSError):
        return False


def read(path: Path) -> Dataset[Any]:
    """One sample an image record, its id being the file name behind its folder. Classes in the order of category ids;
    with several files, those of the first one first, and a class is the same where its name is.

    It is "instance" if any annotation has a segmentation, else "detection". A single file is read without parts.
    Pictures that are not there are skipped and listed. Raises DataError, with the annotation's id, for one that has no
    meaning, and for two records of one picture.
    """
    files, notes = _files(path)
    classes: dict[str, int] = {}
    found: dict[str, tuple[Path, Path, SplitName | None, Record]] = {}
    for file, split in files:
        known = len(classes)
        records, own_notes = parse(file, classes)
        notes += own_notes
        if known and len(classes) > known:
            name = printable(file.name)
            notes.append(
                f"{name} has categories that the files before it lack; all are taken together"
            )
        top, folder = _pictures_of(file, [record.written for record in records], path)
        for record in records:
            written = inside_id(folder, record.written, where=file, root=top)
            id = os.path.normpath(folder.relative_to(top) / written)
            if id in found:
                raise DataError(
                    f"one image record a picture is expected, {id!r} has another in {found[id][0].name}",
                    where=file,
                    remedy="Remove one of the two, and give its annotations to the other.",
                )
            found[id] = (file, top / id, split, record)
    instances = any(shape is not None for *_, record in found.values() for shape in record.shapes)
    samples: list[Sample[Any]] = []
    skipped: list[Skipped] = []
    for id, (_, image, split, record) in found.items():
        if reason := unusable(image) if is_utf8(id) else NOT_UTF8:
            skipped.append(Skipped(printable(id), reason))
        else:
            target = Instances(record.boxes, record.shapes) if instances else record.boxes
            samples.append(Sample(id, FileSource(image), target, record.group, split, record.time))
    if not samples:
        raise DataError(
            f"pictures are expected, found none that can be used ({len(skipped):,} skipped; "
            f"{skipped[0].id}: {skipped[0].reason})",
            where=files[0][0],
            remedy="Put the pictures beside the file, or in a folder images/ beside it.",
        )
    notes += _without_record([image for _, image, *_ in found.values()])
    name, task = (
        path.stem if path.is_file() else path.name,
        "instance" if instances else "detection",
    )
    return Dataset(name, task, tuple(classes), samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Any], path: Path) -> None:
    """A folder with instances.json and images/; with parts, annotations/instances_train.json, train/ and so on.

    Files are copied as they are, pictures in memory become PNG, masks become compressed run lengths. Cannot hold
    difficult boxes, scores, colours of classes, nor things of which none has a shape.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    problems = count(
        "with difficult boxes",
        [sample for sample in dataset if boxes_of(sample.target).difficult.any()],
    )
    problems += count(
        "with masks of another size than their picture", [one for one in dataset if differing(one)]
    )
    refuse(path, NAME, unwritable(dataset) + problems + unpaintable(dataset))
    parted = any(sample.split for sample in dataset)
    places = [sample.split or _REST for sample in dataset]
    names = safe_names(dataset, [(place,) for place in places])
    with new_folder(dataset, path) as folder:
        for place in sorted(set(places)):
            rows = [row for row, one in enumerate(places) if one == place]
            file = (
                folder / "annotations" / f"instances_{place}.json"
                if parted
                else folder / "instances.json"
            )
            text = json.dumps(content(dataset, rows, names), ensure_ascii=False, allow_nan=False)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
            for row in rows:
                write_picture(dataset[row], folder / place / names[row])


def _files(path: Path) -> tuple[list[tuple[Path, SplitName | None]], list[str]]:
    """The files with labels, each with its part, and notes on others beside them. Raises DataError if there are none."""
    if path.is_file():
        return [(path, None)], []
    folders = [Path(folder.path) for folder in visible(path)[0]]
    for place in [*(one for one in folders if one.name.casefold() == "annotations"), path]:
        jsons = _jsons(place)
        if chosen := _instances(jsons):
            others = ", ".join(printable(file.name) for file in jsons if file not in chosen)
            notes = [f"not read, as they are not called instances: {others}"] if others else []
            return [(file, _part_in(file.stem)) for file in chosen], notes
    splits = [
        (file, split)
        for one in folders
        if (split := part_of(one.name))
        for file in _instances(_jsons(one))
    ]
    if not splits:
        keys = ", ".join(KEYS)
        raise DataError(
            f"a JSON file with {keys} is expected, found none",
            where=path,
            remedy=f"Lay it out as {SUMMARY}.",
        )
    return list(splits), []


def _jsons(folder: Path) -> list[Path]:
    return [
        Path(entry.path) for entry in visible(folder)[1] if entry.name.lower().endswith(".json")
    ]


def _instances(jsons: list[Path]) -> list[Path]:
    """Those named as instances are, else those that look like them."""
    if named := [file for file in jsons if _NAMED.fullmatch(file.name)]:
        return named
    return [file for file in jsons if has_keys(file, *KEYS)] if len(jsons) <= _MOST_FILES else []


def _part_in(name: str) -> SplitName | None:
    """The part that a word in a name means, if one does: "instances_val2017" -> "valid"."""
    words = re.findall(r"[a-z]+", name.casefold())
    splits = {PART_WORDS[word] for word in words if word in PART_WORDS}
    return splits.pop() if len(splits) == 1 else None


def _pictures_of(file: Path, names: list[str], path: Path) -> tuple[Path, Path]:
    """The folder that ids begin from, and below it the one that a file's names begin from: where most of some of them are
    found, of the file's own part if there is one. Numbered pictures may be called the same in each part.
    """
    beside = (
        file.parent.name.casefold() in _LABELS
    )  # of a single file; what lies beside another folder is another set
    above = [file.parent.parent] if (beside if path.is_file() else file.parent != path) else []
    bases = [file.parent, *above]
    some = names[:: max(1, len(names) // _LOOKED_FOR)][:_LOOKED_FOR]
    split = _part_in(file.stem)
    best, best_fit = (path if path.is_dir() else file.parent, file.parent), (0, 0)
    for base, folder in _near(bases):
        top = path if path.is_dir() else base
        there = sum(_is_there(folder, name, file, top) for name in some)
        of_part = None if folder == file.parent else _part_in(folder.relative_to(base).as_posix())
        fit = (1 if of_part is None else 2 if of_part == split else 0, there)
        if there and fit > best_fit:
            best, best_fit = (top, folder), fit
    return best


def _near(bases: list[Path]) -> Iterator[tuple[Path, Path]]:
    """(base, folder) of the folders where pictures may lie, the nearest first, each once."""
    seen: set[Path] = set()
    for base in bases:
        below = _folders(base)
        holders = [one for one in below if one.name.casefold() in _HOLDERS or part_of(one.name)]
        for folder in [base, *below, *(inner for one in holders for inner in _folders(one))]:
            if folder not in seen:
                seen.add(folder)
                yield base, folder


def _folders(folder: Path) -> list[Path]:
    try:
        return [Path(one.path) for one in visible(folder)[0]]
    except OSError:  # no place to look, then
        return []


def _is_there(folder: Path, name: str, file: Path, top: Path) -> bool:
    try:
        return os.path.isfile(inside(folder, name, where=file, root=top))  # noqa: PTH113  Path's raises for long names
    except DataError:  # said when the name is read in earnest
        return False


def _without_record(images: list[Path]) -> list[str]:
    """A note on pictures in the same folders that no image record names."""
    names = defaultdict(set)
    for image in images:
        names[image.parent].add(image.name)
    others = [
        entry.name
        for folder in sorted(names)
        if os.path.isdir(folder)  # noqa: PTH112  Path's raises for long names
        for entry in visible(folder)[1]
        if is_named_picture(entry.name) and entry.name not in names[folder]
    ]
    example = f" (such as {printable(others[0])})" if others else ""
    return (
        [f"{len(others):,} pictures have no image record and are left out{example}"]
        if others
        else []
    )
