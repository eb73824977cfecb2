"""Find images and label images by the names of files and by their pixels, not by their folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations, islice
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.data.images import IMAGE_SUFFIXES
from foveate.errors import DataError
from foveate.formats._shared.files.file_tree import Tree, in_folder, list_tree
from foveate.formats._shared.labels.arrays import SEGMENTATION_SUFFIX, is_pickle
from foveate.formats._shared.labels.images import ARRAY_SUFFIX
from foveate.formats._shared.labels.likeness import (
    Likeness,
    in_colour,
    label_likeness,
    same_regions,
    same_sizes,
)
from foveate.formats._shared.labels.matching import LabelFile, PairSet, count_matches, match
from foveate.formats._shared.labels.words import (
    image_base,
    names_images,
    names_labels,
    names_objects,
    parse_stem,
    without_split,
)
from foveate.formats._shared.layout import NOT_UTF8, is_utf8, printable, split_of, unusable_reason

_ENOUGH = 0.5  # of the files that have a partner
_MAX_SIDES = 12  # folders that may be those of images or of label images
_SAMPLED = 4  # files whose pixels are looked at to tell label images
_GLANCED = 400  # names that are looked at before all are
_PICKLED = SEGMENTATION_SUFFIX + ARRAY_SUFFIX
_SUFFIXES = (*IMAGE_SUFFIXES, ARRAY_SUFFIX)


def pairs_by_content(root: Path, *, objects: bool) -> PairSet | None:
    """Find the images and label images of a folder.

    Args:
        root: The folder.
        objects: Whether label images are looked for that number objects, or such with classes.

    Returns:
        The pairs, or None if there is no evidence for any.

    Raises:
        DataError: If several folders or files may be meant.
        OSError: If the folder cannot be opened.
    """
    skipped: list[Skipped] = []
    tree = list_tree(root, skipped)
    if _is_per_object(tree):
        return None
    marked, few_sides = _has_marked(tree), len(_first_and_last(tree)) <= 2 * _MAX_SIDES
    if not (marked or few_sides):
        return None
    files = _label_files(root, tree, skipped)
    found = _in_one_folder(root, files, objects) if marked else None
    found = found or _in_two_folders(root, files, objects)
    return found and replace(found, skipped=skipped + found.skipped)


def _is_per_object(tree: Tree) -> bool:
    """Return whether there is a folder for each image, with a mask file for each object."""
    for folder, names in tree.items():
        above, slash, last = folder.rpartition("/")
        if slash and last == "images" and f"{above}/masks" in tree and not split_of(above):
            return sum(name.lower().endswith(_SUFFIXES) for name in names) <= 1
    return False


def _has_marked(tree: Tree) -> bool:
    """Return whether some names have the mark of a label image; only so many are looked at."""
    names = [name for files in tree.values() for name in files if name.lower().endswith(_SUFFIXES)]
    some = islice(names[:: max(1, len(names) // _GLANCED)], 2 * _GLANCED)
    # Of a few numbered label images for each image, at least every tenth file is one.
    return any(parse_stem(name.rpartition(".")[0]).mark for name in chain(some, names[:2]))


def _first_and_last(tree: Tree) -> set[str]:
    folders = [folder.split("/") for folder, names in tree.items() if names]
    return {one[0] for one in folders} | {one[-1] for one in folders}


def _label_files(root: Path, tree: Tree, skipped: list[Skipped]) -> list[LabelFile]:
    """Return the images and arrays of a tree, with their splits."""
    files = []
    pickled: bool | None = None  # what the first one is, the others are
    for folder, names in tree.items():
        parts = tuple(folder.split("/")) if folder else ()
        split = None
        for level, part in enumerate(parts):
            split, rest = without_split(part)
            if split:
                parts = (*parts[:level], *([rest] if rest else []), *parts[level + 1 :])
                break
        for name in names:
            if name.lower().endswith(_SUFFIXES):
                id = in_folder(folder, name)
                if name.lower().endswith(_PICKLED):
                    pickled = is_pickle(root / id) if pickled is None else pickled
                    if pickled:
                        skipped.append(Skipped(printable(id), "it is a pickle of Cellpose"))
                        continue
                if is_utf8(id):
                    stem = name[: name.rindex(".")]
                    files.append(LabelFile(id, f"{root}/{id}", split, parts, stem))
                else:
                    skipped.append(Skipped(printable(id), NOT_UTF8))
    return files


def _in_one_folder(root: Path, files: Sequence[LabelFile], objects: bool) -> PairSet | None:
    """Pair the files of which some have the mark of a label image in their names."""
    marked = [file for file in files if _is_marked(file)]
    others = [file for file in files if not _is_marked(file) and not _is_array(file)]
    if not marked or not others:
        return None
    if count_matches(others, marked) < _ENOUGH * len(others):
        return None
    if not label_likeness([file.path for file in _some(marked)]).likely:
        return None
    skipped: list[Skipped] = []
    pairs = match(
        _usable(others, skipped), _usable(marked, skipped), skipped, objects=objects, where=root
    )
    mark = parse_stem(marked[0].stem).mark or ""
    notes = [
        f"files with a mark such as {printable(mark)!r} in the name are the label images of the "
        f"files without it ({marked[0].id})"
    ]
    folders = sorted({"/".join(file.place) for file in others if file.place})
    if len(folders) > 1:
        notes.append(
            f"the folders {', '.join(f'{printable(one)}/' for one in folders[:3])}"
            f"{', ...' if len(folders) > 3 else ''} are read as neither classes nor groups"
        )
    says = True if names_objects(mark) else None
    return PairSet(pairs, skipped, notes, says, folders=_split_folders(root, files))


def _in_two_folders(root: Path, files: Sequence[LabelFile], objects: bool) -> PairSet | None:
    """Pair the files of two folders, if their pixels or names tell which has the label images."""
    for side_of in (_first_folder, _last_folder, _suffix):
        groups: dict[str, list[LabelFile]] = defaultdict(list)
        for file in files:
            groups[side_of(file)].append(file)
        if not 2 <= len(groups) <= _MAX_SIDES:
            continue
        likeness = {
            side: label_likeness([file.path for file in _some(group)])
            for side, group in groups.items()
        }
        if not any(one.likely for one in likeness.values()):
            continue
        sides = {side: _within(group, side_of) for side, group in groups.items()}
        found = [
            one
            for first, second in combinations(sides, 2)
            if (one := _ordered(sides, likeness, first, second)) is not None
        ]
        if found:
            return _of_sides(root, files, sides, found, objects)
    return None


def _of_sides(
    root: Path,
    files: Sequence[LabelFile],
    sides: dict[str, list[LabelFile]],
    found: list[tuple[str, str]],
    objects: bool,
) -> PairSet:
    """Return the pairs of two sides, and what the others are."""
    images, labels, others = _decide(root, sides, found, objects)
    skipped: list[Skipped] = []
    pairs = match(
        _usable(sides[images], skipped),
        _usable(sides[labels], skipped),
        skipped,
        objects=objects,
        where=root,
    )
    notes = [
        f"the files in {_shown(labels)} are the label images of those in {_shown(images)}: "
        "their names match, and they have few values in even regions"
    ]
    notes += [f"{_shown(one)} has the same regions, and is not read" for one in others]
    skipped += [
        Skipped(_shown(other), f"{len(group):,} other images")
        for other, group in sides.items()
        if other not in (images, labels, *others)
    ]
    says = True if names_objects(labels) else None
    return PairSet(pairs, skipped, notes, says, folders=_split_folders(root, files))


def _shown(side: str) -> str:
    return side if side.startswith("*") else f"{printable(side) or '.'}/"


def _first_folder(file: LabelFile) -> str:
    return file.place[0] if file.place else ""


def _last_folder(file: LabelFile) -> str:
    return file.place[-1] if file.place else ""


def _suffix(file: LabelFile) -> str:
    """Return what tells 1.jpg and 1.png in one folder apart."""
    return "*" + file.id[file.id.rindex(".") :].lower()


def _within(group: Sequence[LabelFile], side_of: Callable[[LabelFile], str]) -> list[LabelFile]:
    """Return the files of a side with the folders that they share with those of the other side."""
    if side_of is _suffix:
        return list(group)
    if side_of is _last_folder:
        return [replace(file, place=file.place[:-1]) for file in group]
    shared = _shared_folders([file.place for file in group])
    start = max(1, shared)
    return [replace(file, place=file.place[start:]) for file in group]


def _shared_folders(places: Sequence[tuple[str, ...]]) -> int:
    """Return how many of the first folders all files share."""
    first, last = min(places), max(places)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return shared


def _ordered(
    sides: dict[str, list[LabelFile]], likeness: dict[str, Likeness], first: str, second: str
) -> tuple[str, str] | None:
    """Return which of two sides has images and which has label images, None if they do not."""
    fewer = min(len(sides[first]), len(sides[second]))
    for images, labels in ((first, second), (second, first)):
        if not likeness[labels].likely or names_labels(images) > names_labels(labels):
            continue
        if all(_is_array(file) for file in sides[images]):
            continue
        if likeness[images].likely and not (
            names_labels(labels) > names_labels(images)
            or names_images(images) > names_images(labels)
            or likeness[images].values > 4 * likeness[labels].values
        ):
            continue
        if count_matches(sides[images], sides[labels]) < _ENOUGH * fewer:
            continue
        by_key = {(file.split, file.place, image_base(file.stem)): file for file in sides[images]}
        some = [
            (by_key[key].path, file.path)
            for file in _some(sides[labels])
            if (key := (file.split, file.place, parse_stem(file.stem).base)) in by_key
        ]
        if same_sizes(some) or names_labels(labels):
            return images, labels
    return None


def _decide(
    root: Path, sides: dict[str, list[LabelFile]], found: list[tuple[str, str]], objects: bool
) -> tuple[str, str, list[str]]:
    """Return the folder of images, that of label images, and others with the same regions.

    Raises:
        DataError: If several folders may be meant.
    """
    fitting = [one for one in found if names_objects(one[1]) == objects] or found
    images, labels = fitting[0]
    rest = [one for one in fitting[1:] if one != (images, labels)]
    if not rest:
        return images, labels, []
    if all(other == images for other, _ in rest):
        alike = [labels, *(other for _, other in rest)]
        if all(alike_regions(sides[labels], sides[other]) for other in alike[1:]):
            # The same in colour is for the eye, and the numbers are the labels.
            alike.sort(key=lambda side: in_colour(sides[side][0].path))
            return images, alike[0], alike[1:]
    names = sorted({name for pair in fitting for name in pair})
    raise DataError(
        "one folder of images and one of label images are expected, found several: "
        + ", ".join(f"{_shown(label)} fits {_shown(image)}" for image, label in fitting[:6]),
        where=root,
        remedy=f"Move what is not meant to be read out of the folder; of "
        f"{', '.join(map(_shown, names))} two belong together.",
    )


def may_be_labels(images: Sequence[LabelFile], files: Sequence[LabelFile]) -> bool:
    """Return whether files have the names of images and look like label images."""
    if count_matches(images, files) < _ENOUGH * min(len(images), len(files)) or not images:
        return False
    return label_likeness([file.path for file in _some(files)]).likely


def alike_regions(one: Sequence[LabelFile], other: Sequence[LabelFile]) -> bool:
    """Return whether two folders hold the same label images, in other values or colours."""
    by_key = {(file.split, file.place, parse_stem(file.stem).base): file for file in other}
    some = [
        (file.path, by_key[key].path)
        for file in _some(one)
        if (key := (file.split, file.place, parse_stem(file.stem).base)) in by_key
    ]
    return same_regions(some)


def _is_marked(file: LabelFile) -> bool:
    return _is_array(file) or parse_stem(file.stem).mark is not None


def _is_array(file: LabelFile) -> bool:
    return file.id.lower().endswith(ARRAY_SUFFIX)


def _some(files: Sequence[LabelFile]) -> list[LabelFile]:
    """Return a few files from all over a list."""
    return list(files[:: max(1, len(files) // _SAMPLED)])[:_SAMPLED]


def _usable(files: Sequence[LabelFile], skipped: list[Skipped]) -> Iterator[LabelFile]:
    for file in files:
        if reason := unusable_reason(file.path):
            skipped.append(Skipped(file.id, reason))
        else:
            yield file


def _split_folders(root: Path, files: Sequence[LabelFile]) -> tuple[Path, ...]:
    first = {file.id.split("/")[0] for file in files if file.split and "/" in file.id}
    return tuple(root / name for name in sorted(first))
