"""Find the folders of the classes, and the splits above or below them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.files.splits import split_in_name
from foveate.formats._shared.files.walk import contains_image
from foveate.formats._shared.layout import (
    SPLIT_WORDS,
    composed,
    has_image_suffix,
    printable,
    read_classes,
    split_of,
    visible,
)
from foveate.formats._shared.once import once

_TO_PREDICT = re.compile("pred(?:ict(?:ions?)?)?|unlabell?ed|submission", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder holds.

    Attributes:
        path: The folder.
        images: The names of the images in it, not below it, without their suffixes.
        inside: The folders in it that hold images, at any depth.
    """

    path: Path
    images: list[str]
    inside: list[Path]

    @staticmethod
    @once
    def at(path: Path) -> Folder:
        """List a folder.

        Raises:
            OSError: If it cannot be opened.
        """
        folders, files = visible(path)
        images = [one.name.rpartition(".")[0] for one in files if has_image_suffix(one.name)]
        return Folder(
            path, images, [Path(one.path) for one in folders if contains_image(Path(one.path))]
        )


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder whose images are of one class.

    Attributes:
        path: The folder.
        name: The name of the class.
        split: The split that the folders above or below tell, or None.
    """

    path: Path
    name: str
    split: SplitName | None = None


@dataclass(slots=True)
class FolderLayout:
    """The folders of a dataset.

    Attributes:
        root: Its folder.
        classes: The folders of the classes, also those without images.
        between: The folders above the class folders, in which images have no class.
        notes: What was decided.
        listed: Whether classes.txt lists the class folders, so that there is no doubt.
    """

    root: Path
    classes: list[ClassFolder] = field(default_factory=list)
    between: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    listed: bool = False


def find_layout(root: Path) -> FolderLayout:
    """Find the class folders: below split folders, above them, or without splits.

    Raises:
        DataError: If folders of splits and of classes lie side by side, or if classes.txt cannot be
            read.
        OSError: If a folder cannot be opened.
    """
    folders = [Path(entry.path) for entry in visible(root)[0]]
    by_class = FolderLayout(root, [ClassFolder(folder, folder.name) for folder in folders], [root])
    names = {composed(name) for name in read_classes(root) or ()}
    if _lists(names, by_class):
        return replace(by_class, listed=True)
    filled = [folder for folder in folders if contains_image(folder)]
    layout = _with_splits(root, filled or folders) or by_class
    return replace(layout, listed=_lists(names, layout))


def _lists(names: set[str], layout: FolderLayout) -> bool:
    """Whether the names of classes.txt include all class folders with images."""
    return bool(names and layout.classes) and all(
        composed(one.name) in names or not contains_image(one.path) for one in layout.classes
    )


def _with_splits(root: Path, filled: list[Path]) -> FolderLayout | None:
    unlabelled = [inner for folder in filled for inner in _unlabelled(folder)]
    labelled = [folder for folder in filled if folder not in unlabelled]
    splits = {folder: split_of(folder.name) for folder in labelled}
    if splits and all(splits.values()):
        return _below_splits(root, splits, unlabelled)
    named = {folder: split_in_name(folder.name) for folder in labelled}
    if all(named.values()) and len(set(named.values())) > 1 and _only_folders(labelled):
        layout = _below_splits(root, named, unlabelled)
        each = ", ".join(f"{folder.name}/ is {split}" for folder, split in named.items())
        layout.notes.append(printable(f"a word in the name of each folder tells its split: {each}"))
        return layout
    _refuse_mixture(root, filled)
    return _above_splits(root, filled)


def _unlabelled(folder: Path) -> list[Path]:
    """Return a folder of images to predict, with the one that repeats it: seg_pred/seg_pred/1.jpg.

    Its name says so, or names a split and more (test-others). Otherwise return none.
    """
    is_named = any(map(_TO_PREDICT.fullmatch, re.findall("[a-z]+", folder.name, re.IGNORECASE)))
    found = Folder.at(folder)
    if found.images and not found.inside:
        is_more = split_in_name(folder.name) and not split_of(folder.name)
        return [folder] if is_named or is_more else []
    if not is_named or found.images or [one.name for one in found.inside] != [folder.name]:
        return []
    return [folder, *_unlabelled(found.inside[0])]


def _below_splits(
    root: Path, splits: dict[Path, SplitName | None], unlabelled: list[Path]
) -> FolderLayout:
    layout = FolderLayout(root, between=[root, *unlabelled])
    for folder, split in splits.items():
        inner = _samesplit_inside(folder, split)
        layout.between += dict.fromkeys((folder, inner))
        for entry in visible(inner)[0]:
            layout.classes.append(ClassFolder(Path(entry.path), entry.name, split))
    return layout


def _samesplit_inside(folder: Path, split: SplitName | None) -> Path:
    """Look through a folder that repeats its split, as archives do: test/test/cat."""
    found = Folder.at(folder)
    if len(found.inside) == 1 and not found.images and split_in_name(found.inside[0].name) == split:
        return found.inside[0]
    return folder


def _above_splits(root: Path, filled: list[Path]) -> FolderLayout | None:
    """The layout with the splits below the classes, cat/train/1.jpg; None if it is another."""
    if len(filled) < 2:
        return None
    layout = FolderLayout(root, between=[root, *filled])
    for folder in filled:
        found = Folder.at(folder)
        inside = [Folder.at(one) for one in found.inside]
        splits = [split_of(one.path.name) for one in inside if one.images]
        if found.images or not inside or len(splits) < len(inside) or not all(splits):
            return None
        for one in inside:
            layout.classes.append(ClassFolder(one.path, folder.name, split_of(one.path.name)))
    first = layout.classes[0].path.relative_to(root).as_posix()
    layout.notes.append(f"the folders in the class folders are splits: {printable(first)}/")
    return layout


def _only_folders(folders: list[Path]) -> bool:
    """Whether each of these folders holds folders with images and no image itself."""
    found = [Folder.at(folder) for folder in folders]
    return all(one.inside and not one.images for one in found)


def _refuse_mixture(root: Path, filled: list[Path]) -> None:
    """Raise DataError if several class folders are named like splits; one may be a real class."""
    splits = [folder.name for folder in filled if split_of(folder.name)]
    if len(set(map(split_of, splits))) > 1:
        others = [folder.name for folder in filled if not split_of(folder.name)][:5]
        raise DataError(
            printable(
                "either split folders or class folders are expected, found both "
                f"({', '.join(splits)}; {', '.join(others)})"
            ),
            where=root,
            remedy="Move all class folders into split folders, which may be called "
            f"{', '.join(SPLIT_WORDS)}; move what is neither away.",
        )
