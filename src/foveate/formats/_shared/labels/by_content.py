"""Find images and label images by the names of files and by their pixels, not by their folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.errors import DataError
from foveate.formats._shared.labels.candidates import MAX_SIDES, Candidates, find_candidates
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
)
from foveate.formats._shared.layout import printable, unusable_reason
from foveate.formats._shared.once import once

_ENOUGH = 0.5  # of the files that have a partner
_SAMPLED = 4  # files whose pixels are looked at to tell label images

_Sides = dict[str, list[LabelFile]]
"""The files that may be images or label images, by their folder or by their suffix."""


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
    candidates = find_candidates(root)
    found = _in_one_folder(root, candidates.files, objects) if candidates.marked else None
    if not found and (sides := _in_two_folders(candidates)):
        found = _of_sides(root, candidates.files, *sides, objects)
    return found and replace(found, skipped=[*candidates.skipped, *found.skipped])


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


@once
def _in_two_folders(candidates: Candidates) -> tuple[_Sides, list[tuple[str, str]]] | None:
    """Sort the files by their folders, if pixels or names tell which of them have label images.

    Returns:
        The files of each folder, and the pairs of a folder of images and one of label images.
    """
    for side_of in (_first_folder, _last_folder, _suffix):
        groups: dict[str, list[LabelFile]] = defaultdict(list)
        for file in candidates.files:
            groups[side_of(file)].append(file)
        if not 2 <= len(groups) <= MAX_SIDES:
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
            return sides, found
    return None


def _of_sides(
    root: Path,
    files: Sequence[LabelFile],
    sides: _Sides,
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
    sides: _Sides, likeness: dict[str, Likeness], first: str, second: str
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
    root: Path, sides: _Sides, found: list[tuple[str, str]], objects: bool
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
