"""Find the images and text files of a YOLO dataset.

The path of a text file is that of its image with the last folder called images replaced by labels,
if there is one: images/train/1.jpg and labels/train/1.txt, train/images/1.jpg and
train/labels/1.txt, 1.jpg and 1.txt. The images and their splits are given by data.yaml under train,
val and test, or else by the names of the folders.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import (
    NO_IMAGE_SUFFIX,
    has_image_suffix,
    is_hidden,
    is_utf8,
    printable,
    split_of,
    unusable_reason,
    visible,
)
from foveate.formats._shared.paths import id_inside
from foveate.formats._shared.sidecar import read_text
from foveate.formats._shared.walk import walk_images
from foveate.formats._shared.yaml_file import YamlMapping
from foveate.formats.yolo.names import NAME_FILES

_MAX_BYTES = 100_000_000
_DRIVE = re.compile("[A-Za-z]:/")


@dataclass(slots=True)
class YoloLayout:
    """The files of a dataset, by their paths relative to its folder.

    Attributes:
        splits: The split of each image, in order.
        labels: The folders below which text files are looked for, as an ordered set.
        lists: The text files that list images.
        other: The images that are in no split that data.yaml names.
        skipped: What was left out.
        notes: What had to be decided.
    """

    splits: dict[str, SplitName | None] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    other: list[str] = field(default_factory=list)
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
        if split_of(name):
            folders.append(f"{name}/images" if (root / name / "images").is_dir() else name)
    return folders or [""]


def label_path(id: str) -> str:
    """Return the path of an image's text file."""
    folder, _, name = id.rpartition("/")
    return os.path.join(label_folder(folder), f"{Path(name).stem}.txt")  # noqa: PTH118  faster than Path


def label_folder(folder: str) -> str:
    """Return the folder of the text files for a folder of images."""
    before, images, after = f"/{folder}/".rpartition("/images/")
    return f"{before}/labels/{after}".strip("/") if images else folder


def find_images(root: Path, config: YamlMapping | None) -> YoloLayout:
    """Find the images of a dataset.

    Args:
        root: Its folder.
        config: The content of data.yaml, or None.

    Raises:
        DataError: If data.yaml names something outside the folder, or if an image is in two splits.
    """
    layout = YoloLayout()
    defaults = default_folders(root)
    named = (
        [key for key in config.values if isinstance(key, str) and split_of(key)] if config else []
    )
    named = [key for key in named if config and config.values[key] is not None]
    if config and named:
        for key in named:
            _add_named(layout, root, config, key)
        for folder in defaults if defaults != [""] else []:
            layout.other += [
                id for id, _ in walk_images(root, root / folder, []) if id not in layout.splits
            ]
    else:
        for folder in defaults:
            for id in _below(layout, root, folder):
                layout.splits[id] = _split_by_folder(id)
    return layout


def label_files(root: Path, layout: YoloLayout) -> set[str]:
    """Return the text files in all folders where an image may have one.

    Raises:
        OSError: If a folder cannot be opened.
    """
    folders = set(layout.labels)
    for top in layout.labels:
        for folder, inner, files in os.walk(root / top):
            inner[:] = [name for name in inner if not is_hidden(name)]
            if any(file.lower().endswith(".txt") for file in files) and is_utf8(folder):
                folders.add(Path(folder).relative_to(root).as_posix())
    folders.update(label_path(id).rpartition("/")[0] for id in layout.splits)
    texts = set()
    for folder in folders:
        place = root / folder
        if place.is_dir():
            for entry in visible(place)[1]:
                if entry.name.endswith(".txt") and entry.name not in NAME_FILES:
                    texts.add(entry.name if folder in ("", ".") else f"{folder}/{entry.name}")
    return texts - layout.lists


def _split_by_folder(id: str) -> SplitName | None:
    """Return the split of the folder below images/, or of the outermost folder."""
    folders = id.split("/")[:-1]
    if folders and folders[0] == "images":
        folders.pop(0)
    return split_of(folders[0]) if folders else None


def _below(layout: YoloLayout, root: Path, folder: str) -> list[str]:
    """Return the images below a folder, and note it as one that has text files."""
    layout.labels[label_folder(folder)] = None
    skipped: list[Skipped] = []
    ids = [id for id, _ in walk_images(root, root / folder, skipped)]
    for entry in skipped:
        # Files of the dataset lie in its folder, and text files lie wherever images do.
        is_content = entry.id.endswith("/") or has_image_suffix(entry.id)
        is_metadata = entry.id.endswith((".txt", *NAME_FILES))
        if is_content or (folder and not is_metadata):
            layout.skipped.append(entry)
    return ids


def _add_named(layout: YoloLayout, root: Path, config: YamlMapping, key: str) -> None:
    """Add what data.yaml names for a split: a folder, a list of images, or several of these."""
    split = split_of(key)
    value = config.values[key]
    for written in value if isinstance(value, list) else [value]:
        if not isinstance(written, str) or not written.strip():
            shown = repr(written)[:100]
            raise config.error(
                key, f"a folder of images or a list of images is expected for {key}, got {shown}"
            )
        place = _place(layout, root, config, key, written)
        if place is None:
            if split == "train":
                raise config.error(
                    key,
                    f"the folder or file {written[:200]!r} is expected below {root.name}/, "
                    "it does not exist",
                )
            layout.skipped.append(
                Skipped(
                    printable(written),
                    f"{config.path.name} names it for {key}, but it does not exist",
                )
            )
        elif (root / place).is_dir():
            for id in _below(layout, root, place):
                _assign(layout, id, split, config.path, config.lines.get(key))
        elif place.lower().endswith(".txt"):
            _add_list(layout, root, place, split)
        else:
            raise config.error(
                key,
                f"a folder or a .txt file of images is expected for {key}, got {written[:200]!r}",
            )


def _place(
    layout: YoloLayout, root: Path, config: YamlMapping, key: str, written: str
) -> str | None:
    """Find what data.yaml names, as a path relative to the root, or None.

    It may be relative to `path` or to the folder of data.yaml. Roboflow writes `../train/images`
    for `train/images`. Nothing outside the root is looked at.
    """
    base = config.values.get("path")
    if base is not None and not isinstance(base, str):
        raise config.error("path", f"a folder is expected for path, got {repr(base)[:100]}")
    written = written.replace("\\", "/")
    literal = _from_root(root, os.path.join(base or "", written))  # noqa: PTH118  it is text
    shorter = written.removeprefix("../")
    if shorter != written and not split_of(shorter.split("/")[0]):
        shorter = written
    candidates = [literal, _from_root(root, written), _from_root(root, shorter)]
    for candidate in candidates:
        if candidate is not None and (root / candidate).exists():
            if candidate != literal:
                layout.notes.append(
                    f"{config.path.name} names {written!r} for {key}, which does not exist; "
                    f"{candidate}/ beside it is read instead"
                )
            return candidate
    if candidates == [None] * 3:
        id_inside(
            root, written, where=config.path, line=config.lines.get(key)
        )  # raises an error that says what is wrong
    return None


def _from_root(root: Path, written: str) -> str | None:
    """Return a path relative to the root, "" for the root itself, None if it leaves the root."""
    if not written or "\0" in written or not is_utf8(written) or _DRIVE.match(written):
        return None
    place = os.path.normpath(root / written)
    if not Path(place).is_relative_to(root):
        return None
    return "" if Path(place) == root else Path(place).relative_to(root).as_posix()


def _add_list(layout: YoloLayout, root: Path, list_file: str, split: SplitName | None) -> None:
    """Add the images of a text file with one path per line, relative to the file or to the root."""
    path = root / list_file
    layout.lists.add(list_file)
    for number, line in enumerate(read_text(path, _MAX_BYTES).split("\n"), 1):
        if not (written := line.strip()):
            continue
        id = _from_root(root, written)
        if id is None or not (root / id).exists():
            id = id_inside(path.parent, written, where=path, line=number, root=root)
            id = os.path.normpath(Path(list_file).parent / id)
        if not has_image_suffix(id):
            layout.skipped.append(Skipped(id, NO_IMAGE_SUFFIX))
        elif reason := unusable_reason(root / id):
            layout.skipped.append(Skipped(id, f"{reason} ({path.name}, line {number})"))
        else:
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
            remedy="List each image in one split only: an image in two splits is a leak.",
        )
