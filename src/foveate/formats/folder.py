"""A folder per class, with or without train, valid and test above it: cat/1.jpg or train/cat/1.jpg."""

from __future__ import annotations

from pathlib import Path

from foveate.annotations import Label
from foveate.data.dataset import Dataset, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats import labelme
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    PART_WORDS,
    Row,
    is_hidden,
    is_named_picture,
    is_utf8,
    labelled,
    part_of,
    printable,
    visible,
)
from foveate.formats._shared.walk import holds_picture, make_images
from foveate.formats._shared.writing import (
    listed,
    needs_classes,
    new_folder,
    part_for_some,
    refuse,
    safe_names,
    told_besides,
    unlabelled,
    unpaintable,
    write_classes,
    write_picture,
)

NAME = "folder"
SUMMARY = (
    "a folder per class (cat/1.jpg, dog/2.jpg), with or without train/, valid/ and test/ above them"
)
TASKS = ("classification",)

# Such names say what a folder holds, not which class; formats with other answers than a class have them.
_ANSWERS = frozenset(
    {
        "annotation",
        "annotations",
        "label",
        "labels",
        "mask",
        "masks",
        "segmentationclass",
        "segmentationobject",
    }
)
_NO_CLASSES = _ANSWERS | {
    "data",
    "image",
    "images",
    "img",
    "imgs",
    "jpegimages",
    "photos",
    "pictures",
}
_LOOKED_AT = 100  # folders in search of one that is none of a class


def sniff(path: Path) -> bool:
    """Whether there is a folder that holds pictures and could be a class."""
    try:
        # "train2017" is a part of COCO's, and nobody's class.
        folders = [
            inside
            for split, inside in _class_folders(path)
            if split or not part_of(inside.name.rstrip("-_0123456789"))
        ]
        # Of pictures with masks of their own one may lack them, and would look like a class.
        if any(
            (inside / "images").is_dir() and (inside / "masks").is_dir()
            for inside in folders[:_LOOKED_AT]
        ):
            return False
        # Outlines beside the pictures say more of them than their folder's name.
        return any(
            _could_be_class(inside) and holds_picture(inside) and not labelme.sniff(inside)
            for inside in folders
        )
    except OSError:
        return False


def read(path: Path) -> Dataset[Label]:
    """The pictures below each class folder, at any depth. Classes are sorted by name, or as in classes.txt.

    Sample ids are the files' paths from here. Only names are read: what is not a picture although it is
    called one comes to light when it is decoded. Raises DataError if there are no class folders, no
    pictures, or only one class.
    """
    if not path.is_dir():
        raise DataError("a folder with a folder per class is expected, this is a file", where=path)
    folders = _class_folders(path)
    if not folders:
        raise DataError(
            "class folders are expected, found none", where=path, remedy=f"Lay it out as {SUMMARY}."
        )
    _refuse_mixture(path, [folder.name for split, folder in folders if split is None])
    skipped = _outside(path, [folder for _, folder in folders])
    rows: list[Row] = []
    for split, folder in folders:
        inside = folder.relative_to(path).as_posix()
        if not is_utf8(inside):
            skipped.append(Skipped(printable(inside) + "/", NOT_UTF8))
            continue
        before = len(rows)
        for id, file in make_images(path, folder, skipped):
            rows.append(Row(id, FileSource(Path(file)), folder.name, None, split))
        if len(rows) == before:
            skipped.append(Skipped(inside + "/", "a class folder without pictures"))
    return labelled(rows, skipped, name=path.name, origin=path, beside=path)


def write(dataset: Dataset[Label], path: Path) -> None:
    """The pictures in a folder per class, below a folder per part if parts are given.

    Files are copied as they are, pictures in memory become PNG. Cannot hold groups, nor parts for some
    samples only, nor class names that no folder can have.
    """
    samples = list(dataset)
    with_part = [sample for sample in samples if sample.split is not None]
    refuse(path, NAME, unlabelled(dataset, TASKS))
    used = {dataset.classes[sample.target.index] for sample in samples if sample.target is not None}
    problems = told_besides(dataset, "group", "time")
    problems += part_for_some(dataset)
    problems += [f"the class name {name!r}" for name in sorted(used) if not _can_be_folder(name)]
    if not with_part and len(words := sorted(name for name in used if part_of(name))) > 1:
        problems.append(f"classes named like parts ({', '.join(words)})")
    problems += listed(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unpaintable(dataset))
    with new_folder(dataset, path) as folder:
        places: list[tuple[str, ...]] = []
        for sample in samples:
            assert sample.target is not None
            name = dataset.classes[sample.target.index]
            places.append((sample.split, name) if sample.split else (name,))
        for sample, place, file in zip(samples, places, safe_names(dataset, places), strict=True):
            write_picture(sample, folder.joinpath(*place, file))
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _class_folders(root: Path) -> list[tuple[SplitName | None, Path]]:
    """The folders that stand for classes, each with the part that it lies in. Raises OSError."""
    folders = [Path(folder.path) for folder in visible(root)[0]]
    splits = {folder: part_of(folder.name) for folder in folders}
    if folders and all(splits.values()):
        return [
            (splits[folder], Path(inside.path))
            for folder in folders
            for inside in visible(folder)[0]
        ]
    return [(None, folder) for folder in folders]


def _refuse_mixture(root: Path, classes: list[str]) -> None:
    """Raises DataError where classes are named like parts. One alone may be a class: the train on rails."""
    splits = [name for name in classes if part_of(name)]
    if len({part_of(name) for name in splits}) > 1:
        others = [name for name in classes if not part_of(name)][:5]
        raise DataError(
            printable(
                f"parts or classes are expected, found both ({', '.join(splits)}; {', '.join(others)})"
            ),
            where=root,
            remedy=f"Move all class folders into the parts; words for these are {', '.join(PART_WORDS)}.",
        )


def _outside(root: Path, class_folders: list[Path]) -> list[Skipped]:
    """Pictures that lie beside the class folders, and so have no class."""
    places = {root, *(folder.parent for folder in class_folders)}
    places.update(Path(folder.path) for folder in visible(root)[0] if part_of(folder.name))
    stray = []
    for place in sorted(places.difference(class_folders)):
        for entry in visible(place)[1]:
            if is_named_picture(entry.name):
                id = Path(entry.path).relative_to(root).as_posix()
                stray.append(Skipped(printable(id), "lies in no class folder"))
    return stray


def _could_be_class(folder: Path) -> bool:
    inside = {below.name.casefold() for below in visible(folder)[0]}
    return folder.name.casefold() not in _NO_CLASSES and not inside & _ANSWERS


def _can_be_folder(name: str) -> bool:
    fits = 0 < len(name.encode(errors="replace")) < 256 and "/" not in name and "\0" not in name
    return fits and is_utf8(name) and not is_hidden(name) and name != CLASSES_FILE
