"""Recognise layouts of well-known datasets that are not read, to say what works instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.files.partners import sample_files, stem_of
from foveate.formats._shared.layout import has_image_suffix, printable, visible
from foveate.regular_file import open_regular

_MAX_START = 2_000  # bytes
_MAX_LINES = 3
_MAX_TEXTS = 5
_NUMBER = r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_TABLE = "write a CSV file with one row an object and the columns filename,class,xmin,ymin,"


@dataclass(frozen=True, slots=True)
class _Layout:
    """A layout that is not read.

    Attributes:
        name: What it is.
        files: The files and folders, relative to its folder, that tell it.
        remedy: What is read instead.
    """

    name: str
    files: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class _Lines:
    """Text files of objects that are not read, one for each image.

    Attributes:
        name: What they are.
        line: One of their lines.
        remedy: What is read instead.
    """

    name: str
    line: re.Pattern[str]
    remedy: str


_LAYOUTS = (
    _Layout(
        "the layout of CUB-200-2011",
        ("images", "images.txt", "image_class_labels.txt"),
        "Give its folder images/, whose folders are the classes. Its own split is in "
        "train_test_split.txt; to have that, write a CSV file with the columns path,label,split.",
    ),
    _Layout(
        "the layout of Tiny ImageNet",
        ("train", "wnids.txt", "val/val_annotations.txt"),
        "Give its folder train/, whose folders are the classes. To have val/ too, move each of its "
        "images into a folder named like its class in val_annotations.txt (val/n01443537/1.JPEG), "
        "and test/, which has no labels, to another place.",
    ),
)
_TEXTS = (
    _Lines(
        "KITTI",
        re.compile(rf"[A-Za-z_]+(?: {_NUMBER}){{14,15}}"),
        "Convert it to COCO with Datumaro (datum convert -if kitti -i FOLDER -f coco -o NEW -- "
        f"--save-media) and give NEW, or {_TABLE}xmax,ymax (the words 1 and 5 to 8 of each line).",
    ),
    _Lines(
        "DOTA",
        re.compile(rf"imagesource:.*|gsd:.*|(?:{_NUMBER} ){{8}}\S*[A-Za-z]\S*(?: \d+)?"),
        "Write YOLO's oriented boxes: in labels/ beside images/, lines of the number of the class "
        "and the eight numbers divided by the width and the height of the image, and the names of "
        "the classes in a data.yaml; they are read as polygons.",
    ),
    _Lines(
        "VisDrone",
        re.compile(r"-?\d+(?:,-?\d+){7},?"),
        f"Convert it: {_TABLE}w,h (the numbers of each line are left, top, width, height, score, "
        "class, ...); leave out the classes 0 (ignored regions) and 11 (others).",
    ),
)


def error_for(path: Path) -> DataError | None:
    """Return the error for a layout that is known but not read, None if none is recognised.

    Args:
        path: A folder or a file.
    """
    if not path.is_dir():
        return None
    try:
        return next(_errors(path), None)
    except OSError:
        return None


def _errors(path: Path) -> Iterator[DataError]:
    for layout in _LAYOUTS:
        if all((path / file).exists() for file in layout.files):
            yield _error(layout.name, path, layout.remedy)
    sampled = list(sample_files(path))
    yield from _texts_of_images(path, sampled)
    yield from _bare_xml_files(path, sampled)
    yield from _lists_with_labels(path)
    yield from _masks_of_classes(path, sampled)


def _texts_of_images(path: Path, sampled: list[tuple[str, list[str]]]) -> Iterator[DataError]:
    stems = {stem_of(name) for _, names in sampled for name in names if has_image_suffix(name)}
    texts = (
        path / folder / name
        for folder, names in sampled
        for name in names
        if name.lower().endswith(".txt") and stem_of(name) in stems
    )
    for text in islice(texts, _MAX_TEXTS):
        lines = _first_lines(text)
        for known in _TEXTS:
            if lines and all(known.line.fullmatch(line) for line in lines):
                yield _error(f"the text format of {known.name}", text, known.remedy)


def _bare_xml_files(path: Path, sampled: list[tuple[str, list[str]]]) -> Iterator[DataError]:
    """XML files without a suffix, as in Stanford Dogs and ImageNet's boxes."""
    bare = (path / folder / name for folder, names in sampled for name in names if "." not in name)
    for file in islice(bare, _MAX_TEXTS):
        if _start(file).lstrip("\ufeff \r\n\t").startswith(("<annotation>", "<?xml")):
            yield _error(
                "XML in files without a suffix, as in Stanford Dogs",
                file,
                "Add .xml to the names of these files to have the boxes, or give the folder of the "
                "images alone if its folders are the classes.",
            )


def _lists_with_labels(path: Path) -> Iterator[DataError]:
    """Lists of images with a label after a blank, as in Caffe."""
    for entry in visible(path)[1]:
        lines = _first_lines(Path(entry.path)) if entry.name.lower().endswith(".txt") else []
        parts = [line.rpartition(" ") for line in lines]
        if parts and all(has_image_suffix(before.strip()) and label for before, _, label in parts):
            name = printable(entry.name)
            yield _error(
                "a list of images with a blank before the label, as in Caffe",
                Path(entry.path),
                f"Write a comma instead, and call it .csv: sed -E 's/ +([^ ]+)$/,\\1/' {name} > "
                f"{name[: -len('.txt')]}.csv",
            )


def _masks_of_classes(path: Path, sampled: list[tuple[str, list[str]]]) -> Iterator[DataError]:
    """One mask for each image and class: masks/cat/1.png, masks/dog/1.png."""
    stems = {
        folder: {stem_of(name) for name in names if has_image_suffix(name)}
        for folder, names in sampled
    }
    for top in ("masks", "mask", "labels", "annotations"):
        inner = {
            folder: names
            for folder, names in stems.items()
            if folder.casefold().startswith(f"{top}/") and folder.count("/") == 1 and names
        }
        outside = {stem for folder, names in stems.items() if folder not in inner for stem in names}
        paired = [
            folder for folder, names in inner.items() if 2 * len(names & outside) > len(names)
        ]
        if len(paired) > 1 and len(paired) == len(inner):
            first, second = paired[:2]
            yield _error(
                f"a mask for each class and image ({printable(first)}/ and {printable(second)}/)",
                path,
                "Merge them into one label image for each image, in masks/ beside images/: 0 where "
                "no mask is, 1 where the first is, 2 where the second is, and so on, with a file "
                "classes.csv with the lines value,name. If each mask is one object: "
                "1/images/1.png beside 1/masks/cat.png, one folder an image.",
            )


def _first_lines(file: Path) -> list[str]:
    """Return the first lines of a file that are not empty."""
    whole, _, last = _start(file).rpartition("\n")
    lines = [line.strip() for line in (whole or last).split("\n")]
    return [line for line in lines if line][:_MAX_LINES]


def _start(file: Path) -> str:
    with open_regular(file) as opened:
        return opened.read(_MAX_START).decode(errors="replace")


def _error(name: str, where: Path, remedy: str) -> DataError:
    return DataError(f"this is {name}, which foveate does not read", where=where, remedy=remedy)
