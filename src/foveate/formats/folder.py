"""One folder per class, with or without split folders above: cat/1.jpg or train/cat/1.jpg."""

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
    SPLIT_WORDS,
    LabelRow,
    has_image_suffix,
    is_hidden,
    is_utf8,
    labelled_dataset,
    printable,
    split_of,
    visible,
)
from foveate.formats._shared.walk import contains_image, walk_images
from foveate.formats._shared.writing import (
    needs_classes,
    new_folder,
    partial_splits,
    refuse,
    safe_names,
    unlistable_names,
    unsavable_images,
    unsupported_fields,
    unsupported_task,
    write_classes,
    write_image,
)

NAME = "folder"
SUMMARY = "one folder per class (cat/1.jpg, dog/2.jpg), optionally below train/, valid/ and test/"
TASKS = ("classification",)

# Other formats keep their annotations in folders with these names.
_ANNOTATION_FOLDERS = frozenset(
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
_NOT_CLASSES = _ANNOTATION_FOLDERS | {
    "data",
    "image",
    "images",
    "img",
    "imgs",
    "jpegimages",
    "photos",
    "pictures",
}
_MAX_SNIFFED_FOLDERS = 100  # keeps sniffing cheap


def sniff(path: Path) -> bool:
    """Return whether there is a folder with images that could be a class."""
    try:
        # "train2017" is a split folder of COCO, not a class.
        folders = [
            inside
            for split, inside in _class_folders(path)
            if split or not split_of(inside.name.rstrip("-_0123456789"))
        ]
        # This is the format instance-masks; a folder without its masks would look like a class.
        if any(
            (inside / "images").is_dir() and (inside / "masks").is_dir()
            for inside in folders[:_MAX_SNIFFED_FOLDERS]
        ):
            return False
        # LabelMe files beside the images are the annotations then, not the folder names.
        return any(
            _could_be_class(inside) and contains_image(inside) and not labelme.sniff(inside)
            for inside in folders
        )
    except OSError:
        return False


def read(path: Path) -> Dataset[Label]:
    """Read the images below each class folder, at any depth.

    Sample ids are paths relative to `path`. Classes are sorted by name, or as in classes.txt. Only
    file names are read: a damaged image comes to light when it is decoded.

    Raises:
        DataError: If there are no class folders, no images, or only one class.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with one folder per class is expected, this is a file", where=path
        )
    folders = _class_folders(path)
    if not folders:
        raise DataError(
            "class folders are expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    _refuse_mixture(path, [folder.name for split, folder in folders if split is None])
    skipped = _outside(path, [folder for _, folder in folders])
    rows: list[LabelRow] = []
    for split, folder in folders:
        inside = folder.relative_to(path).as_posix()
        if not is_utf8(inside):
            skipped.append(Skipped(printable(inside) + "/", NOT_UTF8))
            continue
        before = len(rows)
        for id, file in walk_images(path, folder, skipped):
            rows.append(LabelRow(id, FileSource(Path(file)), folder.name, None, split))
        if len(rows) == before:
            skipped.append(Skipped(inside + "/", "the class folder has no images"))
    return labelled_dataset(rows, skipped, name=path.name, origin=path, beside=path)


def write(dataset: Dataset[Label], path: Path) -> None:
    """Write the images into one folder per class, below one folder per split if there are splits.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If there are groups or times, if only some samples have a split, or if a class
            name cannot be a folder.
    """
    samples = list(dataset)
    with_split = [sample for sample in samples if sample.split is not None]
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    used = {dataset.classes[sample.target.index] for sample in samples if sample.target is not None}
    problems = unsupported_fields(dataset, "group", "time")
    problems += partial_splits(dataset)
    problems += [f"the class name {name!r}" for name in sorted(used) if not _can_be_folder(name)]
    if not with_split and len(words := sorted(name for name in used if split_of(name))) > 1:
        problems.append(f"classes that are named like splits ({', '.join(words)})")
    problems += unlistable_names(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unsavable_images(dataset))
    with new_folder(dataset, path) as folder:
        prefixes: list[tuple[str, ...]] = []
        for sample in samples:
            assert sample.target is not None
            label = dataset.classes[sample.target.index]
            prefixes.append((sample.split, label) if sample.split else (label,))
        for sample, prefix, name in zip(
            samples, prefixes, safe_names(dataset, prefixes), strict=True
        ):
            write_image(sample, folder.joinpath(*prefix, name))
        if needs_classes(dataset):
            write_classes(dataset, folder)


def _class_folders(root: Path) -> list[tuple[SplitName | None, Path]]:
    """Return the class folders, each with the split that it lies in."""
    folders = [Path(folder.path) for folder in visible(root)[0]]
    splits = {folder: split_of(folder.name) for folder in folders}
    if folders and all(splits.values()):
        return [
            (splits[folder], Path(inside.path))
            for folder in folders
            for inside in visible(folder)[0]
        ]
    return [(None, folder) for folder in folders]


def _refuse_mixture(root: Path, classes: list[str]) -> None:
    """Raise DataError if several class folders are named like splits; one may be a real class."""
    splits = [name for name in classes if split_of(name)]
    if len({split_of(name) for name in splits}) > 1:
        others = [name for name in classes if not split_of(name)][:5]
        raise DataError(
            printable(
                "either split folders or class folders are expected, found both "
                f"({', '.join(splits)}; {', '.join(others)})"
            ),
            where=root,
            remedy="Move all class folders into split folders, which may be called "
            f"{', '.join(SPLIT_WORDS)}.",
        )


def _outside(root: Path, class_folders: list[Path]) -> list[Skipped]:
    """List the images that lie beside the class folders, and so have no class."""
    folders = {root, *(folder.parent for folder in class_folders)}
    folders.update(Path(folder.path) for folder in visible(root)[0] if split_of(folder.name))
    stray = []
    for folder in sorted(folders.difference(class_folders)):
        for entry in visible(folder)[1]:
            if has_image_suffix(entry.name):
                id = Path(entry.path).relative_to(root).as_posix()
                stray.append(Skipped(printable(id), "it lies in no class folder"))
    return stray


def _could_be_class(folder: Path) -> bool:
    inside = {below.name.casefold() for below in visible(folder)[0]}
    return folder.name.casefold() not in _NOT_CLASSES and not inside & _ANNOTATION_FOLDERS


def _can_be_folder(name: str) -> bool:
    is_file_name = (
        0 < len(name.encode(errors="replace")) < 256 and "/" not in name and "\0" not in name
    )
    return is_file_name and is_utf8(name) and not is_hidden(name) and name != CLASSES_FILE
