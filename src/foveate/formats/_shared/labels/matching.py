"""Images and their label images, matched by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.labels.class_table import ClassTable
from foveate.formats._shared.labels.words import (
    common_affixes,
    image_base,
    names_objects,
    parse_stem,
)
from foveate.formats._shared.layout import printable

# Cityscapes has the class and the number of an object in one value: neither is read from it.
_CLASS_AND_NUMBER = re.compile(r"instance_?ids")
_ENOUGH = 0.5  # of the images or label images, where the names have to be taken apart


@dataclass(frozen=True, slots=True)
class LabelFile:
    """An image or a label image.

    Attributes:
        id: The path relative to the dataset's folder.
        file: The file; a text, of which there are many.
        split: The split that a folder gives, or None.
        place: The folders that an image and its label image share.
        stem: The name without its suffix.
    """

    id: str
    file: str
    split: SplitName | None
    place: tuple[str, ...]
    stem: str

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.file)


@dataclass(frozen=True)
class PairSet:
    """The images of a dataset with their label images.

    Attributes:
        pairs: Each image with its label image.
        skipped: The files that are left out.
        notes: What was decided.
        objects: True or False if the names say that the label images number objects, or hold
            classes; None if they do not say.
        bands: Further files of images that have one for each band, by the id of the first.
        table: The class table that the layout has, or None.
        folders: The folders of the splits, which may hold a class table.
    """

    pairs: list[tuple[LabelFile, LabelFile]]
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    objects: bool | None = None
    bands: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    table: ClassTable | None = None
    folders: tuple[Path, ...] = ()


Key = tuple[SplitName | None, tuple[str, ...], str]
"""What an image and its label image share."""


def match(
    images: Iterable[LabelFile],
    labels: Iterable[LabelFile],
    skipped: list[Skipped],
    *,
    objects: bool,
    where: Path,
) -> list[tuple[LabelFile, LabelFile]]:
    """Return the pairs of an image and its label image, in the order of the images.

    The names are equal, or they are once the words are removed that mark label images ("_mask") and
    images ("_img"), or else once what all names share at their ends is removed.

    Args:
        images: The images.
        labels: The label images.
        skipped: A list that the files without a partner are added to.
        objects: Whether label images are looked for that number objects.
        where: The dataset's folder, for messages.

    Raises:
        DataError: If there are label images of several kinds for each image.
    """
    known = _unique(images, skipped)
    rest = _unique(labels, skipped)
    partner = {key: [rest.pop(key)] for key in known if key in rest}
    for image_name, label_name in _ways(list(known.values()), list(rest.values())):
        if not rest or len(partner) == len(known):
            break
        found = _by_name(known, rest, partner, image_name, label_name)
        if label_name is not _base and len(found) < _ENOUGH * min(len(known), len(rest)):
            continue
        for key, files in found.items():
            partner[key] = files
            for file in files:
                del rest[_key(file, file.stem)]
    chosen = _one_kind(partner, objects, where, skipped)
    pairs = []
    for key, image in known.items():
        several = chosen.get(key, [])
        if len(several) > 1:
            names = ", ".join(file.path.name for file in several[:3])
            skipped.append(Skipped(image.id, f"it has several label images: {names}"))
        elif several:
            pairs.append((image, several[0]))
        else:
            skipped.append(Skipped(image.id, "no label image has the same name"))
    skipped += [Skipped(file.id, "no image has the same name") for file in rest.values()]
    return pairs


def count_matches(images: Sequence[LabelFile], labels: Sequence[LabelFile]) -> int:
    """Return how many images have a label image, by the best of the rules of `match`."""
    known = {_key(file, file.stem) for file in images}
    best = sum(_key(file, file.stem) in known for file in labels)
    for image_name, label_name in _ways(images, labels):
        named = {_key(file, image_name(file.stem)) for file in images} | known
        best = max(best, len({_key(file, label_name(file.stem)) for file in labels} & named))
    return best


def _base(stem: str) -> str:
    return parse_stem(stem).base


Name = Callable[[str], str]


def _ways(images: Sequence[LabelFile], labels: Sequence[LabelFile]) -> list[tuple[Name, Name]]:
    """Return the ways to take names of images and of label images apart."""
    cuts = [_cut([file.stem for file in files]) for files in (images, labels)]
    return [(image_base, _base), (cuts[0], cuts[1])]


def _cut(stems: Sequence[str]) -> Name:
    head, tail = common_affixes(stems)
    return lambda stem: stem[head : len(stem) - tail]


def _key(file: LabelFile, name: str) -> Key:
    return file.split, file.place, name


def _unique(files: Iterable[LabelFile], skipped: list[Skipped]) -> dict[Key, LabelFile]:
    found: dict[Key, LabelFile] = {}
    for file in files:
        first = found.setdefault(_key(file, file.stem), file)
        if first is not file:
            skipped.append(Skipped(file.id, f"it has the same name as {first.id}"))
    return found


def _by_name(
    known: dict[Key, LabelFile],
    rest: dict[Key, LabelFile],
    partner: dict[Key, list[LabelFile]],
    image_name: Name,
    label_name: Name,
) -> dict[Key, list[LabelFile]]:
    """Return the label images of the images that have none yet."""
    targets: dict[Key, Key] = {}
    for key, image in known.items():
        if key not in partner:
            targets.setdefault(_key(image, image_name(image.stem)), key)
    for key in known:
        if key not in partner:  # an image of exactly this name comes first
            targets[key] = key
    found: dict[Key, list[LabelFile]] = defaultdict(list)
    for file in rest.values():
        target = targets.get(_key(file, label_name(file.stem)))
        if target is not None:
            found[target].append(file)
    return found


def _one_kind(
    partner: dict[Key, list[LabelFile]], objects: bool, where: Path, skipped: list[Skipped]
) -> dict[Key, list[LabelFile]]:
    """Return the label images of one kind, where the marks in their names tell several apart."""
    if not any(len({_kind(file) for file in files}) > 1 for files in partner.values() if files[1:]):
        return partner
    kinds: dict[str, list[LabelFile]] = defaultdict(list)
    for files in partner.values():
        for file in files:
            kinds[_kind(file)].append(file)
    known = [kind for kind in kinds if not _CLASS_AND_NUMBER.search(kind)] or list(kinds)
    fitting = [kind for kind in known if names_objects(kind) == objects] or known
    if len(fitting) > 1:
        raise DataError(
            "one label image is expected for each image, found files of several kinds",
            where=where,
            details=[
                f"{printable(kind)}: {len(kinds[kind]):,} files, such as {kinds[kind][0].id}"
                for kind in fitting
            ],
            remedy="Keep the files of one kind, and move the others out of this folder.",
        )
    skipped += [
        Skipped(file.id, f"the label images read are those with {fitting[0]} in the name")
        for kind, files in kinds.items()
        if kind not in fitting
        for file in files
    ]
    return {
        key: [file for file in files if _kind(file) in fitting] for key, files in partner.items()
    }


def _kind(file: LabelFile) -> str:
    mark = parse_stem(file.stem).mark or ""
    return re.sub(r"[_\- ]?\(?\d+\)?$", "", mark).casefold() or "no mark"
