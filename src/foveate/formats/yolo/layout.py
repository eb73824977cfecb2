"""Find the images of a YOLO dataset, and their splits.

They are given by the description (data.yaml, obj.data) under train, val and test, or else by lists
beside the data such as train.txt, or else by the names of the folders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import split_notes, split_of_folder, split_of_path
from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.files.written_names import check_written, path_parts
from foveate.formats._shared.layout import (
    NO_IMAGE_SUFFIX,
    has_image_suffix,
    is_utf8,
    printable,
    split_of,
    visible,
)
from foveate.formats.yolo.description import Description
from foveate.formats.yolo.names import NAME_FILES, is_name_file
from foveate.wording import count_noun

_MAX_BYTES = 100_000_000
_CVAT_FOLDER = "data/"


@dataclass(slots=True)
class YoloLayout:
    """The images of a dataset, by their paths relative to its folder.

    Attributes:
        splits: The split of each image, in order.
        folders: The folders of images, as an ordered set.
        lists: The text files that list images.
        other: The images that are in no split that is described, each with the reason.
        skipped: What was left out.
        notes: What had to be decided.
    """

    splits: dict[str, SplitName | None] = field(default_factory=dict)
    folders: dict[str, None] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    other: dict[str, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def default_folders(root: Path) -> list[str]:
    """Return the folders of images in the usual layouts, relative to the root; "" is the root.

    Raises:
        OSError: If the root cannot be opened.
    """
    names = [entry.name for entry in visible(root)[0]]
    folders = ["images"] if "images" in names else []
    for name in names:
        if split_of_folder(name):
            folders.append(f"{name}/images" if (root / name / "images").is_dir() else name)
    return folders or [""]


def find_images(root: Path, config: Description | None) -> YoloLayout:
    """Find the images of a dataset.

    Args:
        root: Its folder.
        config: The description of the dataset, or None.

    Raises:
        DataError: If the description cannot be followed, or if an image is in two splits.
    """
    layout = YoloLayout()
    finder = ImageFinder(root)
    keys = (
        [key for key in config.values if isinstance(key, str) and split_of(key)] if config else []
    )
    keys = [key for key in keys if config and config.values[key] is not None]
    lists = {} if keys else root_lists(root)
    if config and keys:
        for key in keys:
            _add_named(layout, finder, config, key)
        _add_others(layout, root, f"it is in no split that {config.path.name} names")
    elif lists:
        for name, split in lists.items():
            _add_list(layout, finder, name, split)
        _add_others(layout, root, f"it is not listed in {' or '.join(lists)}")
    else:
        _add_defaults(layout, root)
    layout.notes += finder.notes()
    return layout


def root_lists(root: Path) -> dict[str, SplitName]:
    """Return the files beside the data that list the images of a split, such as train.txt.

    Raises:
        OSError: If the root cannot be opened.
    """
    lists = {}
    for entry in visible(root)[1]:
        stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122  it is text
        split = split_of(stem)
        if suffix.lower() == ".txt" and split and entry.is_file():
            try:
                lines = read_text(Path(entry.path), _MAX_BYTES).split()
            except (DataError, OSError):
                continue
            if lines and 2 * sum(map(has_image_suffix, lines)) > len(lines):
                lists[entry.name] = split
    return lists


def _add_defaults(layout: YoloLayout, root: Path) -> None:
    """Add the images of the usual folders, with the splits that their folders tell."""
    folders = default_folders(root)
    for folder in folders:
        for id in _below(layout, root, folder):
            layout.splits[id] = split_of_path(id)
    if folders != [""] and not layout.splits:
        layout.skipped.clear()
        folders = [""]
        for id in _below(layout, root, ""):
            layout.splits[id] = split_of_path(id)
    if folders != [""]:
        named = " and ".join(f"{folder}/" for folder in folders)
        _add_others(layout, root, f"it does not lie in {named}, where the dataset's images are")
    layout.notes += split_notes(layout.splits)
    inside = sum(split is not None for split in layout.splits.values())
    if 0 < inside < len(layout.splits):
        first = next(id for id, split in layout.splits.items() if split is None)
        layout.notes.append(
            f"{count_noun(len(layout.splits) - inside, 'image')} in no folder named after a split, "
            f"while the other {inside:,} are in one (such as {first})"
        )


def _add_others(layout: YoloLayout, root: Path, reason: str) -> None:
    """List the images below the root that are not read."""
    known = layout.splits.keys() | {entry.id for entry in layout.skipped}
    layout.other.update({id: reason for id, _ in walk_images(root, root, []) if id not in known})


def _below(layout: YoloLayout, root: Path, folder: str) -> list[str]:
    """Return the images below a folder, and note it as one that has text files."""
    layout.folders[folder] = None
    skipped: list[Skipped] = []
    ids = [id for id, _ in walk_images(root, root / folder, skipped)]
    for entry in skipped:
        # Files of the dataset lie in its folder, and text files lie wherever images do.
        is_content = entry.id.endswith("/") or has_image_suffix(entry.id)
        is_metadata = entry.id.lower().endswith((".txt", *NAME_FILES)) or is_name_file(entry.id)
        if is_content or (folder and not is_metadata):
            layout.skipped.append(entry)
    return ids


def _add_named(layout: YoloLayout, finder: ImageFinder, config: Description, key: str) -> None:
    """Add what a description names for a split: a folder, a list of images, or several of these."""
    split = split_of(key)
    value = config.values[key]
    for written in value if isinstance(value, list) else [value]:
        if not isinstance(written, str) or not written.strip():
            shown = repr(written)[:100]
            raise config.error(
                key, f"a folder of images or a list of images is expected for {key}, got {shown}"
            )
        place = _place(layout, finder.root, config, key, written)
        if place is None:
            if split == "train":
                raise config.error(
                    key,
                    f"the folder or file {written[:200]!r} is expected below {finder.root.name}/, "
                    "it does not exist",
                    f"Put it into {finder.root.name}/, or move {config.path.name} to the folder "
                    "that holds it.",
                )
            layout.skipped.append(
                Skipped(
                    printable(written),
                    f"{config.path.name} names it for {key}, but it does not exist",
                )
            )
        elif (finder.root / place).is_dir():
            for id in _below(layout, finder.root, place):
                _assign(layout, id, split, config.path, config.lines.get(key))
        elif place.lower().endswith(".txt"):
            _add_list(layout, finder, place, split)
        else:
            raise config.error(
                key,
                f"a folder or a .txt file of images is expected for {key}, got {written[:200]!r}",
            )


def _place(
    layout: YoloLayout, root: Path, config: Description, key: str, written: str
) -> str | None:
    """Find what a description names, as a path relative to the root, or None.

    It may be relative to `path` or to the folder of the description. Otherwise it was written on
    another machine or for another folder, and the longest end of it that exists counts: Roboflow
    writes `../train/images` for `train/images`. Nothing outside the root is looked at.
    """
    base = config.values.get("path")
    if base is not None and not isinstance(base, str):
        raise config.error("path", f"a folder is expected for path, got {repr(base)[:100]}")
    if parts := path_parts(written):
        check_written(written, config.path, config.lines.get(key))
    written = _below_no_data_folder(root, written.replace("\\", "/").strip())
    literal = _from_root(root, os.path.join((base or "").replace("\\", "/"), written))  # noqa: PTH118  it is text
    roboflow = None if base else written.removeprefix("../")  # its usual form needs no note
    ends = ["/".join(parts[start:]) for start in range(len(parts))]
    for candidate in (literal, _from_root(root, written), *(_from_root(root, end) for end in ends)):
        if candidate is not None and os.path.exists(root / candidate):  # noqa: PTH110  Path's raises
            if candidate not in (literal, roboflow):
                kind = "/" if (root / candidate).is_dir() else ""
                layout.notes.append(
                    f"{config.path.name} names {written!r} for {key}, which does not exist; "
                    f"{candidate}{kind} beside it is read instead"
                )
            return candidate
    return None


def _below_no_data_folder(root: Path, written: str) -> str:
    """Return a path without the folder data/, which CVAT writes before all paths of an export."""
    rest = written.removeprefix(_CVAT_FOLDER)
    if rest == written or os.path.lexists(root / _CVAT_FOLDER):
        return written
    return rest if os.path.exists(root / rest) else written  # noqa: PTH110  Path's raises


def _from_root(root: Path, written: str) -> str | None:
    """Return a path relative to the root, "" for the root itself, None if it leaves the root."""
    if not written or "\0" in written or not is_utf8(written):
        return None
    place = os.path.normpath(root / written)
    if not Path(place).is_relative_to(root):
        return None
    return "" if Path(place) == root else Path(place).relative_to(root).as_posix()


def _add_list(
    layout: YoloLayout, finder: ImageFinder, list_file: str, split: SplitName | None
) -> None:
    """Add the images of a text file with one path per line, relative to the file or to the root."""
    path = finder.root / list_file
    layout.lists.add(list_file)
    for number, line in enumerate(read_text(path, _MAX_BYTES).split("\n"), 1):
        if not (written := line.strip()):
            continue
        if not has_image_suffix(written):
            layout.skipped.append(Skipped(printable(written), NO_IMAGE_SUFFIX))
            continue
        written = _below_no_data_folder(finder.root, written)
        id = finder.find(written, folder=path.parent, where=path, line=number)
        if reason := finder.problem(id):
            layout.skipped.append(Skipped(printable(id), f"{reason} ({path.name}, line {number})"))
        else:
            layout.folders[id.rpartition("/")[0]] = None
            _assign(layout, id, split, path, number)


def _assign(
    layout: YoloLayout, id: str, split: SplitName | None, where: Path, line: int | None
) -> None:
    """Assign an image to a split; raise DataError if it is in another one."""
    first = layout.splits.setdefault(id, split)
    if first != split:
        raise DataError(
            f"one split is expected for {id!r}, it is in {first} and in {split}",
            where=where,
            line=line,
            remedy="List each image in one split only: an image in two splits is a leak. To have "
            "the images split, name them for one split.",
        )
