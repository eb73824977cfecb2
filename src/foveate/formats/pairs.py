"""Pictures and label pictures of the same names in two folders: images/1.jpg and masks/1.png, for each pixel its class.

The folders are called image, images, img, imgs or JPEGImages, and label, labels, mask, masks or SegmentationClass, in
whatever case. Parts may lie above them (train/images, train/masks) or below (images/train, masks/train). The label's
name may end with _mask, _label, _gt, _seg or _L. classes.csv beside the folders names the classes; see `_classtable`.
Without it the label pictures are looked through for the values they hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError
from foveate.formats._shared.class_table import ClassPixels, read_table, unnameable, write_table
from foveate.formats._shared.label_scan import look_through
from foveate.formats._shared.layout import part_of, visible
from foveate.formats._shared.stems import file_stems
from foveate.formats._shared.walk import holds_picture, make_images
from foveate.formats._shared.writing import (
    count,
    new_folder,
    part_for_some,
    refuse,
    told_besides,
    unlabelled,
    unpaintable,
    write_picture,
)

NAME = "pairs"
SUMMARY = "pictures and label pictures of the same names: images/1.jpg and masks/1.png, with or without classes.csv"
TASKS = ("semantic",)

_PICTURES = frozenset({"image", "images", "img", "imgs", "jpegimages"})
_LABELS = frozenset({"label", "labels", "mask", "masks", "segmentationclass"})
_SUFFIX = re.compile(r"[_-](masks?|labels?|gt|seg|l)$", re.IGNORECASE)
_VOID, _WIDE_VOID = 255, 65535  # what pixels without a class become at 8 and 16 bits

Key = tuple[SplitName | None, str]
"""What a picture and its label picture have in common: the part, and the name without ending."""

File = tuple[str, Path]
"""The path from the data's folder, and the file."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Two folders that belong together, and the part that they lie in."""

    split: SplitName | None
    images: Path
    labels: Path


def sniff(path: Path) -> bool:
    """Whether there are two folders so named, both with pictures."""
    try:
        return bool(_places(path))
    except DataError:  # there are more than two, which reading says
        return True
    except OSError:
        return False


def read(path: Path) -> Dataset[Mask]:
    """One sample a pair, in the order of the pictures' names; its id is the picture's path from here.

    Pictures are not decoded. Label pictures are, once and one at a time, to tell which classes are in each; what
    the class table does not name is read as K, one beyond the classes. Skipped and listed: a picture without a
    label picture, a label picture without a picture, and where the label picture cannot be read. Raises DataError
    if nothing is left, for a class table that cannot be understood, and for values that can't be classes.
    """
    places = _places(path) if path.is_dir() else []
    if not places:
        raise DataError(
            "a folder with pictures and one with label pictures are expected, such as images/ and masks/",
            where=path,
        )
    skipped: list[Skipped] = []
    photos, labels = (
        _files(path, places, "images", skipped),
        _files(path, places, "labels", skipped),
    )
    pairs = _paired(photos, labels, skipped)
    if not pairs:
        raise DataError(
            "pairs of pictures and label pictures are expected, found none with the same name"
            + "".join(f"; {one.id}: {one.reason}" for one in skipped[:1]),
            where=path,
            remedy="Name both alike: images/1.jpg and masks/1.png.",
        )
    looked = look_through([label for _, _, label in pairs], read_table(path), path)
    samples = []
    for (split, (id, photo), label), present in zip(pairs, looked.present, strict=True):
        if isinstance(present, BadImage):
            skipped.append(Skipped(id, f"{label.relative_to(path).as_posix()}: {present.message}"))
        else:
            target = Mask(ClassPixels(label, looked.table), label, present)
            samples.append(Sample(id, FileSource(photo), target, None, split))
    if not samples:
        raise DataError(
            f"label pictures that can be read are expected; {skipped[-1].reason}", where=path
        )
    table = looked.table
    return Dataset(
        path.name,
        TASKS[0],
        table.names,
        samples,
        tuple(skipped),
        path,
        notes=looked.notes,
        colours=table.colours,
    )


def write(dataset: Dataset[Mask], path: Path) -> None:
    """images/ and masks/, below a folder per part if parts are given, and classes.csv.

    Label pictures are PNG: with the classes' colours as a palette or grey, of 8 bits, or of 16 bits grey for more
    than 255 classes; the highest value stands for pixels without a class. Cannot hold groups and times, nor parts for some
    samples only, nor pixels of no class.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    samples = list(dataset)
    problems = told_besides(dataset, "group", "time")
    problems += part_for_some(dataset)
    problems += count(
        "with pixels of no class", [s for s in samples if not _fits(s, len(dataset.classes))]
    )
    problems += (
        [f"{len(dataset.classes):,} classes (1 to 65,535)"]
        if not 0 < len(dataset.classes) < 65536
        else []
    )
    refuse(path, NAME, problems + unnameable(dataset.classes) + unpaintable(dataset))
    void = _VOID if len(dataset.classes) <= _VOID else _WIDE_VOID
    places: list[tuple[str, ...]] = [
        (sample.split, "images") if sample.split else ("images",) for sample in samples
    ]
    with new_folder(dataset, path) as folder:
        for sample, place, (stem, ending) in zip(
            samples, places, file_stems(dataset, places), strict=True
        ):
            assert sample.target is not None
            write_picture(sample, folder.joinpath(*place, stem + ending))
            masks = folder.joinpath(*place[:-1], "masks")
            masks.mkdir(parents=True, exist_ok=True)
            _painted(sample.target.pixels.read(), void, dataset.colours).save(
                masks / f"{stem}.png", "PNG"
            )
        write_table(dataset, void, folder)


def _places(root: Path) -> list[_Place]:
    """Raises OSError, and DataError where it can't be told which folder is meant."""
    inside = [(None, root)] + [
        (split, Path(folder.path)) for folder in visible(root)[0] if (split := part_of(folder.name))
    ]
    return [_Place(split, *sides) for split, folder in inside if (sides := _sides(folder))]


def _sides(folder: Path) -> tuple[Path, Path] | None:
    """The folder of pictures and that of label pictures."""
    sides = []
    for words in (_PICTURES, _LABELS):
        named = [Path(below.path) for below in visible(folder)[0] if below.name.casefold() in words]
        found = [below for below in named if holds_picture(below)]
        if len(found) > 1:
            raise DataError(
                f"one folder is expected, found {' and '.join(one.name for one in found)}",
                where=folder,
            )
        sides += found
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _files(root: Path, places: list[_Place], side: str, skipped: list[Skipped]) -> dict[Key, File]:
    """The files of one side by what they share with the other."""
    files: dict[Key, File] = {}
    for place in places:
        folder: Path = getattr(place, side)
        for id, file in make_images(root, folder, skipped):
            inside = PurePosixPath(Path(file).relative_to(folder))
            split, parts = place.split, inside.parts
            if split is None and len(parts) > 1 and (below := part_of(parts[0])):
                split, parts = below, parts[1:]
            key = (split, str(PurePosixPath(*parts).with_suffix("")))
            first, _ = files.setdefault(key, (id, Path(file)))
            if first != id:
                skipped.append(Skipped(id, f"has the name of {first}"))
    return files


def _paired(
    photos: dict[Key, File], labels: dict[Key, File], skipped: list[Skipped]
) -> list[tuple[SplitName | None, File, Path]]:
    """(part, picture, label picture) of each pair; what has no partner is added to `skipped`."""
    partner = {key: labels.pop(key) for key in photos if key in labels}
    for (split, name), file in list(labels.items()):
        key = (split, _SUFFIX.sub("", name))
        if key in photos and key not in partner:
            partner[key] = file
            del labels[(split, name)]
    skipped += [
        Skipped(id, "no label picture has its name")
        for key, (id, _) in photos.items()
        if key not in partner
    ]
    skipped += [Skipped(id, "no picture has its name") for id, _ in labels.values()]
    return [(key[0], file, partner[key][1]) for key, file in photos.items() if key in partner]


def _fits(sample: Sample[Mask], classes: int) -> bool:
    """Whether every pixel has a class or is to be ignored."""
    assert sample.target is not None
    values = sample.target.pixels.read()
    return not values.size or bool(values.min() >= IGNORE and values.max() < classes)


def _painted(
    classes: NDArray[np.int32], void: int, colours: tuple[tuple[int, int, int], ...] | None
) -> PIL.Image.Image:
    """(H, W) classes as a label picture."""
    values = np.where(classes == IGNORE, void, classes)
    image = PIL.Image.fromarray(values.astype(np.uint8 if void == _VOID else np.uint16))
    if colours and void == _VOID:
        image.putpalette(_palette(colours))
    return image


def _palette(colours: tuple[tuple[int, int, int], ...]) -> list[int]:
    """256 colours, since of fewer Pillow makes a file with fewer bits; the last as Pascal VOC has it."""
    unused = [(0, 0, 0)] * (255 - len(colours))
    return [value for colour in (*colours, *unused, (224, 224, 192)) for value in colour]
