"""One folder per class, with or without split folders above: cat/1.jpg or train/cat/1.jpg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from foveate.annotations import Label
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats import labelme
from foveate.formats._shared.files.image_sets import read_image_sets
from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.garbage import gc_paused
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    LabelRow,
    composed,
    has_image_suffix,
    is_hidden,
    is_utf8,
    labelled_dataset,
    printable,
    visible,
)
from foveate.formats._shared.recognition.folder_names import is_reserved
from foveate.formats._shared.tables.table_files import SPREADSHEETS, SUFFIXES
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
from foveate.formats.folder.doubts import first_doubt, listed
from foveate.formats.folder.layout import Folder, FolderLayout, find_layout
from foveate.wording import count_noun

NAME = "folder"
SUMMARY = "one folder per class (cat/1.jpg, dog/2.jpg), optionally below train/, valid/ and test/"
TASKS = ("classification",)

_MAX_SNIFFED_FOLDERS = 100  # keeps sniffing cheap
_MAX_LISTED_TABLES = 5


def sniff(path: Path) -> bool:
    """Return whether there are class folders, without a doubt whether they are the classes."""
    try:
        layout = find_layout(path)
        return _is_laid_out(layout) and first_doubt(layout) is None
    except (DataError, OSError):
        return False


def question(path: Path) -> DataError | None:
    """Return what the user has to answer before the folders can be taken for classes, or None."""
    try:
        layout = find_layout(path)
        doubt = first_doubt(layout) if _is_laid_out(layout) else None
    except DataError as error:
        return error
    except OSError:
        return None
    if doubt is None:
        return None
    return DataError(
        doubt.reason,
        where=path,
        remedy=f"{doubt.remedy} If these folders are the classes, list them in {CLASSES_FILE}, or "
        f"say so with --format {NAME}.",
    )


def missing(path: Path) -> str | None:
    """Return what keeps images from being labelled by folders, or None if there are no images."""
    try:
        outside = _outside(find_layout(path))
    except (DataError, OSError):
        return None
    if not outside:
        return None
    return f"images are found, such as {outside[0].id}, but not in folders named like their classes"


def describe(path: Path) -> str:
    """Return what would be read."""
    names = dict.fromkeys(one.name for one in find_layout(path).classes)
    return f"the classes {listed(names)} from the names of the folders"


@gc_paused()
def read(path: Path) -> Dataset[Label]:
    """Read the images below each class folder, at any depth.

    Sample ids are paths relative to `path`. Classes are sorted by name, or as in classes.txt. Only
    file names are read: a damaged image comes to light when it is decoded.

    Raises:
        DataError: If there are no class folders, no images, or only one class, or if the folders
            are those of images and annotations.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with one folder per class is expected, this is a file", where=path
        )
    layout = find_layout(path)
    if not layout.classes:
        raise DataError(
            "class folders are expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    skipped = _outside(layout)
    rows: list[LabelRow] = []
    deeper: list[str] = []
    for folder in layout.classes:
        inside = folder.path.relative_to(path).as_posix()
        if not is_utf8(inside):
            skipped.append(Skipped(printable(inside) + "/", NOT_UTF8))
            continue
        before = len(rows)
        for id, file in walk_images(path, folder.path, skipped):
            rows.append(LabelRow(id, FileSource(Path(file)), folder.name, None, folder.split))
            if not deeper and "/" in id[len(inside) + 1 :]:
                deeper.append(f"{id.rpartition('/')[0]}/")
        if len(rows) == before:
            skipped.append(Skipped(inside + "/", "the class folder has no images"))
    _refuse_annotations(path, {row.label for row in rows})
    rows, list_notes = _with_splits_of_lists(path, rows, skipped)
    notes = [*layout.notes, *list_notes, *_notes(rows, deeper), *_unread_tables(layout)]
    dataset = labelled_dataset(rows, skipped, name=path.name, origin=path, beside=path)
    return replace(dataset, notes=tuple(notes))


def write(dataset: Dataset[Label], path: Path) -> None:
    """Write the images into one folder per class, below one folder per split if there are splits.

    Image files are copied, images in memory become PNG.

    Raises:
        DataError: If there are groups or times, if only some samples have a split, or if a class
            name cannot be a folder.
    """
    samples = list(dataset)
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    used = {dataset.classes[sample.target.index] for sample in samples if sample.target is not None}
    problems = unsupported_fields(dataset, "group", "time")
    problems += partial_splits(dataset)
    problems += [f"the class name {name!r}" for name in sorted(used) if not _can_be_folder(name)]
    problems += unlistable_names(dataset.classes) if needs_classes(dataset) else []
    refuse(path, NAME, problems + unsavable_images(dataset))
    with new_folder(dataset, path) as folder:
        prefixes = [_folders_of(sample, dataset.classes) for sample in samples]
        for sample, prefix, name in zip(
            samples, prefixes, safe_names(dataset, prefixes), strict=True
        ):
            write_image(sample, folder.joinpath(*prefix, name))
        if needs_classes(dataset) or question(folder) is not None:
            refuse(path, NAME, unlistable_names(dataset.classes))
            write_classes(dataset, folder)


def _folders_of(sample: Sample[Label], classes: tuple[str, ...]) -> tuple[str, ...]:
    assert sample.target is not None  # refused before
    label = classes[sample.target.index]
    return (sample.split, label) if sample.split else (label,)


def _is_laid_out(layout: FolderLayout) -> bool:
    """Whether there are class folders with images, and not one folder that holds the others."""
    if layout.listed:
        return True
    filled = []
    for one in layout.classes[:_MAX_SNIFFED_FOLDERS]:
        folder = Folder.at(one.path)
        if folder.images or folder.inside:
            filled.append((one, folder))
    is_alone = len(filled) == 1 and not filled[0][0].split
    # Without images of its own it is looked into; beside images or a table it is no class.
    if is_alone and (not filled[0][1].images or _has_images_or_tables(layout.root)):
        return False
    # LabelMe files beside the images are the annotations then, not the folder names.
    return any(not labelme.sniff(one.path) for one, _ in filled)


def _has_images_or_tables(folder: Path) -> bool:
    names = [entry.name for entry in visible(folder)[1]]
    return any(has_image_suffix(name) or _is_table(name) for name in names)


def _is_table(name: str) -> bool:
    return name.lower().endswith((*SUFFIXES, *SPREADSHEETS))


def _refuse_annotations(path: Path, classes: set[str]) -> None:
    """Raise DataError if all class folders are named like those of images and annotations."""
    if classes and all(map(is_reserved, classes)):
        raise DataError(
            f"folders named like the classes are expected, found {listed(sorted(classes))}",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )


def _outside(layout: FolderLayout) -> list[Skipped]:
    """List the images that lie beside the class folders, and so have no class."""
    folders = {one.path for one in layout.classes}
    stray = []
    for folder in sorted(set(layout.between) - folders):
        for entry in visible(folder)[1]:
            if has_image_suffix(entry.name):
                id = Path(entry.path).relative_to(layout.root).as_posix()
                stray.append(Skipped(printable(id), "it lies in no class folder"))
    return stray


def _with_splits_of_lists(
    root: Path, rows: list[LabelRow], skipped: list[Skipped]
) -> tuple[list[LabelRow], list[str]]:
    """Return the rows with the splits of lists beside the class folders, where no folder tells any.

    A list is a file such as train.txt, with the paths of images; a label after them is not read.
    """
    if any(row.split for row in rows):
        return rows, []
    stems = {row.id: row.id.rpartition(".")[0] for row in rows}
    sets = read_image_sets(root, "Main", set(stems.values()))
    if not sets.splits:
        return rows, []
    skipped += sets.absent
    without = len(stems.keys() - {id for id, stem in stems.items() if stem in sets.splits})
    rest = f"; {count_noun(without, 'image')} in none of them" if without else ""
    return [replace(row, split=sets.splits.get(stems[row.id])) for row in rows], [
        f"the splits are those of the lists of images beside the class folders{rest}",
        *sets.notes,
    ]


def _unread_tables(layout: FolderLayout) -> list[str]:
    """Note the tables beside the class folders, which may say more of the images."""
    folders = set(layout.between) - {one.path for one in layout.classes}
    tables = [
        Path(entry.path).relative_to(layout.root).as_posix()
        for folder in sorted(folders)
        for entry in visible(folder)[1]
        if _is_table(entry.name)
    ]
    more = ", ..." if len(tables) > _MAX_LISTED_TABLES else ""
    listed = printable(", ".join(tables[:_MAX_LISTED_TABLES]))
    return [f"tables beside the class folders, not read: {listed}{more}"] if tables else []


def _notes(rows: list[LabelRow], deeper: list[str]) -> Iterator[str]:
    """Notes on a class called train, on images in deeper folders, on classes that lack a split."""
    classes = {
        split: {composed(row.label) for row in rows if row.split == split} for split in SPLITS
    }
    if "train" in {row.label.casefold() for row in rows} and not any(classes.values()):
        yield "train/ is read as a class, since other class folders lie beside it"
    if deeper:
        yield (
            "images in deeper folders are of the class of the topmost one "
            f"(such as {printable(deeper[0])})"
        )
    later = classes["valid"] | classes["test"]
    if classes["train"] and (unknown := sorted(later - classes["train"])):
        yield f"the train split has no image of {printable(', '.join(unknown[:5]))}"


def _can_be_folder(name: str) -> bool:
    is_file_name = (
        0 < len(name.encode(errors="replace")) < 256 and "/" not in name and "\0" not in name
    )
    return is_file_name and is_utf8(name) and not is_hidden(name) and name != CLASSES_FILE
