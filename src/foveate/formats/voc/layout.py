"""Find the files of a Pascal VOC dataset: XML files, images, and the lists of the splits.

They may lie in folders of any name, since an XML file says what it is. VOC has Annotations/ beside
JPEGImages/; other tools write annots/ beside images/, or an XML file beside each image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foveate.data.dataset import Skipped, SplitName
from foveate.formats._shared.files.file_tree import Tree, in_folder, list_tree
from foveate.formats._shared.files.image_sets import read_image_sets
from foveate.formats._shared.files.splits import split_notes, split_of_path
from foveate.formats._shared.layout import (
    NO_IMAGE_SUFFIX,
    NOT_UTF8,
    has_image_suffix,
    is_utf8,
    printable,
    unusable_reason,
)
from foveate.formats.voc.xml import is_annotation
from foveate.wording import count_noun

_SNIFFED_FILES = 5  # of each folder: more than one, since the first may be damaged


@dataclass(slots=True)
class VocFiles:
    """The files of a dataset, by their paths relative to its folder.

    Attributes:
        xml_files: The XML files.
        images: The images.
        tree: The files of each folder.
        skipped: What was left out.
    """

    xml_files: list[str]
    images: list[str]
    tree: Tree
    skipped: list[Skipped] = field(default_factory=list)


def find_files(root: Path) -> VocFiles:
    """Return the XML files and the images below a folder.

    XML files of other kinds lie in folders of their own; one among annotations is damaged.

    Raises:
        OSError: If the folder cannot be opened.
    """
    skipped: list[Skipped] = []
    tree = list_tree(root, skipped)
    holders = {
        folder: xml_files
        for folder, names in tree.items()
        if (
            xml_files := [
                in_folder(folder, name) for name in names if name.lower().endswith(".xml")
            ]
        )
    }
    read = {folder for folder, xml_files in holders.items() if _holds_annotations(root, xml_files)}
    files = VocFiles([], [], tree, skipped)
    for folder, names in holders.items():
        if folder not in read and read:
            skipped += [
                Skipped(printable(id), "an XML file without an <annotation>") for id in names
            ]
        else:
            files.xml_files += [id for id in names if is_utf8(id)]
            skipped += [Skipped(printable(id), NOT_UTF8) for id in names if not is_utf8(id)]
    for folder, names in tree.items():
        files.images += [
            in_folder(folder, name)
            for name in names
            if has_image_suffix(name) and is_utf8(folder + name)
        ]
    return files


def splits_of(
    root: Path, files: VocFiles, matched: Mapping[str, str], notes: list[str]
) -> dict[str, SplitName | None]:
    """Return the split of each XML file: its folder's or its image's, else that of a list.

    The lists are those of the nearest folder above the XML file that holds ImageSets/.

    Args:
        root: The dataset's folder.
        files: Its files; listed images that do not exist are added to what was left out.
        matched: The image of each XML file that has one.
        notes: A list of what had to be decided.

    Raises:
        DataError: If an image is in two lists.
    """
    splits = {
        xml_file: split_of_path(xml_file) or split_of_path(image)
        for xml_file, image in matched.items()
    }
    notes += split_notes(
        xml_file if split_of_path(xml_file) else image for xml_file, image in matched.items()
    )
    undecided: dict[str, list[str]] = {}
    for xml_file, split in splits.items():
        if split is None:
            undecided.setdefault(_set_root(xml_file, files.tree), []).append(xml_file)
    for folder, xml_files in undecided.items():
        inside = f"{folder}/" if folder else ""
        stems = {Path(id).stem for id in (*files.xml_files, *files.images) if id.startswith(inside)}
        sets = read_image_sets(root / folder, "Main", stems)
        files.skipped += sets.absent
        notes += sets.notes
        for xml_file in xml_files:
            image = Path(matched[xml_file]).stem
            splits[xml_file] = sets.splits.get(Path(xml_file).stem) or sets.splits.get(image)
    return splits


def unread_images(root: Path, files: VocFiles, used: Iterable[str]) -> list[Skipped]:
    """List the images that no XML file belongs to, and other files in folders of images.

    A folder without any image that is read is one entry.
    """
    read = set(used)
    holders = {id.rpartition("/")[0] for id in read}
    with_xml_files = {id.rpartition("/")[0] for id in files.xml_files}
    skipped: list[Skipped] = []
    for folder, names in files.tree.items():
        images = [name for name in names if has_image_suffix(name)]
        if images and folder not in holders and folder:
            reason = f"no XML file belongs to its {count_noun(len(images), 'image')}"
            skipped.append(Skipped(printable(folder) + "/", reason))
            continue
        for name in names if images else []:
            id = in_folder(folder, name)
            if not is_utf8(id):
                skipped.append(Skipped(printable(id), NOT_UTF8))
            elif has_image_suffix(name):
                if id not in read:
                    skipped.append(Skipped(id, unusable_reason(root / id) or "it has no XML file"))
            elif folder and folder not in with_xml_files:
                skipped.append(Skipped(id, NO_IMAGE_SUFFIX))
    return skipped


def _holds_annotations(root: Path, files: list[str]) -> bool:
    return any(is_annotation(root / id) for id in files[:_SNIFFED_FILES])


def _set_root(xml_file: str, tree: Mapping[str, Any]) -> str:
    """Return the nearest folder above an XML file that holds ImageSets/, else the root."""
    folder = xml_file.rpartition("/")[0]
    while folder:
        inside = f"{folder}/imagesets".casefold()
        if any(f"{other}/".casefold().startswith(f"{inside}/") for other in tree):
            return folder
        folder = folder.rpartition("/")[0]
    return ""
