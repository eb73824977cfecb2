"""Reasons why folders may not be the classes, for the user to answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from foveate.data.dataset import SplitName
from foveate.formats._shared.files.splits import split_in_name
from foveate.formats._shared.layout import printable, split_of
from foveate.formats._shared.recognition.folder_names import CONTENT_WORDS, is_reserved
from foveate.formats.folder.layout import ClassFolder, Folder, FolderLayout

_MAX_FOLDERS = 100  # looked into: keeps sniffing cheap
_MAX_LISTED = 4
_MIN_EQUAL_NAMES = 3
_MIN_SHARED = 0.8  # of the names of images
_MAX_GAPS = 1.25  # numbers of images that only count, per image: a few were removed

_BEGINS_RESERVED = re.compile(f"(?:{CONTENT_WORDS})s(?:[^a-z].*)?", re.IGNORECASE)
_OF_IMAGES = re.compile("(?:data|image|img|jpeg|photo|picture)", re.IGNORECASE)

_COPY = re.compile(
    r"(.+?)(?: ?\(\d+\)|[ _-]+(?:copy|kopie|copie|copia)(?: ?\(?\d+\)?)?)", re.IGNORECASE
)
_VIEW = re.compile(
    r"(?:\w+[ _-])?"
    "(?:after|back|before|cam(?:era)?|channel|clean|colou?r|day|depth|front|gr[ae]y|hr|infrared|"
    "input|ir|left|lr|night|nir|noisy|od|optical|os|output|rgb|right|sar|sharp|source|t1|t2|target|"
    "thermal|view|visible)"
    "(?:[ _-]?(?:eye|image|view|side))?s?[ _-]?[0-9]*",
    re.IGNORECASE,
)
"""Folders of views of the same objects, or of an image and what it is to become."""
# The last, and the first number in a name, which may hold a line break.
_COUNTERS = re.compile(r"(?s)(.*?)(\d+)(\D*)"), re.compile(r"(?s)(\D*)(\d+)(.*)")
"""Names whose last number counts, as in "photo2 (12)" of Windows, or whose first does."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason why folders may not be the classes.

    Attributes:
        reason: What was found.
        remedy: What to do if they are not.
    """

    reason: str
    remedy: str


def first_doubt(layout: FolderLayout) -> Doubt | None:
    """Return the first reason why the folders of a layout may not be the classes, or None.

    Raises:
        OSError: If a folder cannot be opened.
    """
    if layout.listed:
        return None
    found = [(one, Folder.at(one.path)) for one in layout.classes[:_MAX_FOLDERS]]
    filled = [(one, folder) for one, folder in found if folder.images or folder.inside]
    groups: defaultdict[SplitName | None, dict[str, Folder]] = defaultdict(dict)
    for one, folder in filled:
        groups[one.split][one.name] = folder
    return next(_doubts([one for one, _ in filled], list(groups.values())), None)


def _doubts(classes: list[ClassFolder], groups: list[dict[str, Folder]]) -> Iterator[Doubt]:
    names = list(dict.fromkeys(one.name for one in classes))
    yield from doubts_of_names(names, with_splits=any(one.split for one in classes))
    for folders in groups:
        yield from _split_beside_classes(folders)
        yield from _folders_inside(folders)
        yield from _equal_names(folders)


def doubts_of_names(names: Iterable[str], *, with_splits: bool) -> Iterator[Doubt]:
    """Yield the reasons why folders of these names may not be classes."""
    names = list(names)
    if not names:
        return
    reserved = [name for name in names if is_reserved(name)]
    if len(names) > 1 and all(map(_BEGINS_RESERVED.fullmatch, names)):
        reserved = names
    if reserved and not _speak_of(names, reserved):
        yield Doubt(
            f"{listed(reserved)} {'is' if len(reserved) == 1 else 'are'} named like folders of "
            "images or annotations, not like classes",
            "Name each folder like its class, and move away what is no class.",
        )
    splits = [name for name in names if split_of(name)]
    if all(map(split_in_name, names)):
        splits = names
    if not with_splits and any(name.strip().casefold() != "train" for name in splits):
        yield Doubt(
            f"{listed(splits)} {'is' if len(splits) == 1 else 'are'} named like splits, but "
            + ("class folders lie beside" if len(splits) < len(names) else "hold no class folders"),
            "If these are splits, call them train/, valid/ and test/, each with the class folders.",
        )
    folded = {name.casefold(): name for name in names}
    for name in names:
        match = _COPY.fullmatch(name)
        if match and match[1].casefold() in folded:
            yield Doubt(
                f"{listed([name])} may be a copy of {listed([folded[match[1].casefold()]])} or a "
                "class of its own",
                "If they are one class, move the images into one folder.",
            )


def listed(names: Iterable[str]) -> str:
    """Write the first names of folders, as "a/, b/ and c/"."""
    names = [f"{printable(name)}/" for name in names]
    if len(names) > _MAX_LISTED:
        return f"{', '.join(names[:_MAX_LISTED])}, ..."
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _speak_of(names: list[str], reserved: list[str]) -> bool:
    """Whether other classes deny or vary these names, which then are classes: mask and no_mask."""
    others = [name for name in names if name not in reserved]
    words = {word for name in others for word in re.findall("[a-z]+", name.casefold())}
    return all(name.casefold() in words for name in reserved)


def _split_beside_classes(folders: dict[str, Folder]) -> Iterator[Doubt]:
    for name, folder in folders.items():
        if split_of(name) and len(folder.inside) > 1 and not folder.images and len(folders) > 1:
            yield Doubt(
                f"{listed([name])} is named like a split and holds folders "
                f"({listed(one.name for one in folder.inside)}), but other folders lie beside it",
                "If it is a split, move away what lies beside it.",
            )


def _folders_inside(folders: dict[str, Folder]) -> Iterator[Doubt]:
    """Folders in class folders that may be the classes, or no images of the class."""
    inside = {name: [one.name for one in folder.inside] for name, folder in folders.items()}
    for name, inner in inside.items():
        if splits := [one for one in inner if split_of(one)]:
            yield Doubt(
                f"{listed([name])} holds {listed(splits)}, named like a split",
                "If it is a dataset of its own, give its folder. If it is a class, let every class "
                "have such folders, with images only.",
            )
        reserved = [one for one in inner if is_reserved(one)]
        if reserved and (len(inner) > 1 or not _OF_IMAGES.match(reserved[0])):
            yield Doubt(
                f"{listed([name])} holds {listed(reserved)}, named like a folder of images or "
                "annotations",
                "Lay out the images of each class, and nothing else, in one folder.",
            )
        if same := [one for one in inner if one in folders and one != name]:
            yield Doubt(
                f"{listed([name])} holds {listed(same)}, named like what lies beside it",
                f"Move these images into the folders of the classes, or move {listed([name])} "
                "away.",
            )
    if not any(folder.images for folder in folders.values()):
        yield from _lower_classes(inside)


def _lower_classes(inside: dict[str, list[str]]) -> Iterator[Doubt]:
    """Folders without images of their own, so that those below them may be the classes."""
    counts = Counter(one for inner in inside.values() for one in set(inner))
    shared = sorted(one for one, count in counts.items() if count > 1)
    if shared and any(len(inner) > 1 for inner in inside.values()):
        holders = listed(name for name, inner in inside.items() if shared[0] in inner)
        yield Doubt(
            f"{holders} hold the same folders ({listed(shared)}), so these may be the classes",
            f"If {listed(shared)} are the classes, merge what lies above them; or call it train/, "
            "valid/ and test/ if it is the splits.",
        )
    elif len(inside) > 1 and all(len(inner) > 1 for inner in inside.values()):
        name, inner = next(iter(inside.items()))
        yield Doubt(
            f"the classes may be {listed(inside)}, or what lies in them ({listed(inner)} in "
            f"{listed([name])})",
            "If those inside are the classes, move them up by one folder, or give one of the "
            "folders above them.",
        )


def _equal_names(folders: dict[str, Folder]) -> Iterator[Doubt]:
    """Folders with images of the same names, which may show the same objects."""
    names = [frozenset(folder.images) for folder in folders.values()]
    if len(names) < 2:
        return
    shared, every = frozenset.intersection(*names), frozenset.union(*names)
    if len(shared) < max(_MIN_EQUAL_NAMES, _MIN_SHARED * len(every)):
        return
    if all(map(_VIEW.fullmatch, folders)) or not _count(shared):
        yield Doubt(
            f"{listed(folders)} hold images of the same names (such as {printable(min(shared))}), "
            "so they may be views of the same objects",
            "If they are not the classes, lay the images out in one folder a class.",
        )


def _count(names: Collection[str]) -> bool:
    """Whether names only count, so that it means nothing if they are equal."""
    return any(_counts_by(counter, names) for counter in _COUNTERS)


def _counts_by(counter: re.Pattern[str], names: Collection[str]) -> bool:
    """Whether names differ by a number only, and few numbers are left out."""
    matches = [match for match in map(counter.fullmatch, names) if match]
    numbers = sorted(int(match[2]) for match in matches)
    return (
        len(matches) == len(names)
        and len({(match[1], match[3]) for match in matches}) == 1
        and numbers[-1] - numbers[0] < _MAX_GAPS * len(numbers)
    )
