"""YOLO: a text file a picture, with boxes or outlines as shares of its sides, and data.yaml with the class names.

J. Redmon's darknet (2013) began with boxes; Ultralytics added data.yaml and outlines. See `_yolo_layout` for where files
lie, `_yolo_lines` for what is in them. Pixels need each picture's size, so the header of each is read.
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
from foveate.formats._shared.beside import line_stems
from foveate.formats._shared.layout import is_named_picture
from foveate.formats._shared.writing import (
    new_folder,
    refuse,
    unlabelled,
    unpaintable,
    write_picture,
)
from foveate.formats._shared.yaml_file import MOST_BYTES, Keys
from foveate.formats.yolo import layout as layout
from foveate.formats.yolo.lines import BOX, Lines, looks_like_lines, parse
from foveate.formats.yolo.names import (
    NAME_FILES,
    YAML_ENDINGS,
    class_names,
    described_by,
    read_description,
    tells_names,
)
from foveate.formats.yolo.writing import places_in, problems_of

NAME = "yolo"
SUMMARY = "images/ and labels/ with a text file a picture, as YOLO has them, and data.yaml with the class names"
TASKS = ("detection", "instance")

_TEXTS, _ENTRIES = 50, 10_000  # that are looked at, so that a guess stays cheap
_WORDS: dict[SplitName, str] = {"train": "train", "valid": "val", "test": "test"}


def sniff(path: Path) -> bool:
    """Whether there is a YAML file with `names`, or text files with lines of numbers where they are looked for."""
    try:
        if path.is_file():
            return path.name.lower().endswith(YAML_ENDINGS) and tells_names(path)
        if any(tells_names(file) for file in described_by(path)):
            return True
        return any(_has_lines(path, folder) for folder in layout.usual_folders(path))
    except OSError:
        return False


def read(path: Path) -> Dataset[Boxes] | Dataset[Instances]:
    """The pictures with their boxes, or with outlines if there is one at least; path: the folder, or its data.yaml.

    A picture without a text file is one without things in it, as YOLO has it. Raises DataError, with file and line, for
    what cannot be understood, and if nothing tells the names of the classes.
    """
    config = read_description(path)
    root = path if path.is_dir() else path.parent
    if config and "kpt_shape" in config.values:
        raise config.error("kpt_shape", "boxes or outlines are expected, these are key points")
    found = layout.find(root, config)
    _refuse_none(found.splits, found.skipped, root)
    classes = _classes(root, config)
    texts = layout.text_files(root, found)
    lines = {
        id: parse(root / label, len(classes))
        for id in found.splits
        if (label := layout.label_of(id)) in texts
    }
    if not lines:
        first = layout.label_of(next(iter(found.splits)))
        raise DataError(
            f"a text file beside some picture is expected (such as {first}), found none", where=root
        )
    skipped = [
        *found.skipped,
        *(Skipped(id, "data.yaml names no part that it is in") for id in found.other),
    ]
    claimed = {layout.label_of(id) for id in (*found.splits, *(one.id for one in skipped))}
    skipped += [
        Skipped(text, "no picture is called like this text file")
        for text in sorted(texts - claimed)
    ]
    sizes = _sizes(root, list(found.splits), skipped)
    _refuse_none(sizes, skipped, root)
    notes = [*found.notes]
    if bare := [id for id in sizes if id not in lines]:
        notes.append(
            f"{len(bare):,} pictures have no text file, so nothing is in them (such as {bare[0]})"
        )
    outlined = sum(len(place) > BOX for id in sizes if id in lines for place in lines[id].places)
    boxed = sum(len(place) == BOX for id in sizes if id in lines for place in lines[id].places)
    if outlined and boxed:
        notes.append(f"{boxed:,} of {outlined + boxed:,} things have a box only, no outline")
    samples: list[Sample[Any]] = []
    for id, measured in sizes.items():
        instances = _things(lines.get(id, Lines([], [])), measured)
        target = instances if outlined else instances.boxes
        samples.append(Sample(id, FileSource(root / id), target, None, found.splits[id]))
    task = "instance" if outlined else "detection"
    return Dataset(root.name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Boxes] | Dataset[Instances], path: Path) -> None:
    """data.yaml, images/ and labels/, with a folder a part if there are parts (which YOLO's own training demands).

    Files are copied as they are, pictures in memory become PNG. Cannot hold groups, parts for some samples only, crowds,
    difficult boxes, masks, outlines of several pieces, nor boxes that are not the bounds of their outline.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    refuse(path, NAME, problems_of(dataset) + unpaintable(dataset))
    samples: list[Sample[Any]] = list(dataset)
    places, problems = places_in(samples)
    splits = {
        split: _WORDS[split] for split in SPLITS if any(sample.split == split for sample in samples)
    }
    description = {
        **{word: f"images/{word}" for word in splits.values()},
        "nc": len(dataset.classes),
        "names": dict(enumerate(dataset.classes)),
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
    problems += (
        [f"class names of more than {MOST_BYTES:,} bytes"]
        if len(text.encode()) > MOST_BYTES
        else []
    )
    refuse(path, NAME, problems)
    folders = [(splits[sample.split],) if sample.split else () for sample in samples]
    stems = line_stems(dataset)
    with new_folder(dataset, path) as place:
        (place / "data.yaml").write_text(text, encoding="utf-8", newline="\n")
        for sample, each, folder, (stem, ending) in zip(
            samples, places, folders, stems, strict=True
        ):
            write_picture(sample, place.joinpath("images", *folder, stem + ending))
            label = place.joinpath("labels", *folder, f"{stem}.txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            rows = zip(boxes_of(sample.target).classes.tolist(), each, strict=True)
            lines = "".join(
                f"{' '.join(map(repr, (index, *numbers)))}\n" for index, numbers in rows
            )
            label.write_text(lines, encoding="utf-8", newline="\n")


def _has_lines(root: Path, folder: str) -> bool:
    """Whether a text file of a folder of pictures holds lines of numbers; one of the first, that is."""
    label_folder = root / layout.label_folder(folder)
    side_by_side = label_folder == root / folder
    entries = texts = 0
    for here, inner, files in os.walk(label_folder):
        inner.sort()
        stems = {Path(name).stem for name in files if is_named_picture(name)}
        for name in sorted(files):
            # Side by side, a table of numbers may lie there too.
            if (
                name.endswith(".txt")
                and name not in NAME_FILES
                and (not side_by_side or Path(name).stem in stems)
            ):
                texts += 1
                if looks_like_lines(Path(here, name)):
                    return True
        entries += len(files) + len(inner)
        if side_by_side or texts > _TEXTS or entries > _ENTRIES:
            return False
    return False


def _refuse_none(kept: Any, skipped: Sequence[Skipped], root: Path) -> None:
    if not kept:
        first = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
        raise DataError(
            f"pictures are expected, found none that can be used ({len(skipped):,} skipped{first})",
            where=root,
            remedy=f"Lay it out as {SUMMARY}.",
        )


def _classes(root: Path, config: Keys | None) -> tuple[str, ...]:
    usual = layout.usual_folders(root)
    folders = dict.fromkeys(["", *usual, *map(layout.label_folder, usual)])
    classes = class_names(config, [root / folder for folder in folders])
    if classes is None:
        raise DataError(
            "the names of the classes are expected, nothing tells them",
            where=config.path if config else root,
            remedy="Put a data.yaml there with the names in the order of their numbers: `names: [cat, dog]`.",
        )
    return classes


def _sizes(root: Path, ids: list[str], skipped: list[Skipped]) -> dict[str, tuple[int, int]]:
    """Height and width of each picture; those that have none are added to `skipped`."""
    sizes: dict[str, tuple[int, int]] = {}
    for id in ids:
        try:
            sizes[id] = size(root / id)
        except BadImage as error:
            skipped.append(Skipped(id, error.message))
    return sizes


def _things(lines: Lines, size: tuple[int, int]) -> Instances:
    """In pixels of a picture of this height and width; a thing with a box only has no shape."""
    sides = np.array([size[1], size[0]], float)
    corners = np.zeros((len(lines.places), 4))
    boxed = [row for row, place in enumerate(lines.places) if len(place) == BOX]
    middle, half = np.split(
        np.array([lines.places[row] for row in boxed]).reshape(-1, 4), 2, axis=1
    )
    half = half / 2
    corners[boxed] = np.concatenate([(middle - half) * sides, (middle + half) * sides], axis=1)
    shapes: list[Polygon | None] = [None] * len(corners)
    for row, place in enumerate(lines.places):
        if len(place) > BOX:
            shapes[row] = polygon = Polygon((np.array(place).reshape(-1, 2) * sides,))
            corners[row] = polygon.bounds()
    boxes = Boxes(corners, np.array(lines.classes, np.int64), size=size)
    return Instances(boxes, tuple(shapes))
