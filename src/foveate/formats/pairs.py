"""Images and label images with the same names: images/1.jpg and masks/1.png, a class per pixel.

The folders are called image, images, img, imgs or JPEGImages, and label, labels, mask, masks or
SegmentationClass, in upper or lower case. Split folders may lie above them (train/images,
train/masks) or below (images/train, masks/train). A label image may have the suffix _mask, _label,
_gt, _seg or _L. classes.csv beside the folders names the classes, see `class_table`; without it the
values that occur in the label images become classes.
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
from foveate.formats._shared.class_table import (
    ClassPixels,
    unwritable_names,
    write_class_table,
)
from foveate.formats._shared.class_table_file import read_class_names, read_class_table
from foveate.formats._shared.label_scan import scan_labels
from foveate.formats._shared.layout import split_of, visible
from foveate.formats._shared.stems import file_stems
from foveate.formats._shared.walk import contains_image, walk_images
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    count_problem,
    new_folder,
    partial_splits,
    refuse,
    unsavable_images,
    unsupported_fields,
    unsupported_task,
    write_image,
)

NAME = "pairs"
SUMMARY = "images and label images with the same names: images/1.jpg, masks/1.png (and classes.csv)"
TASKS = ("semantic",)

_IMAGES = frozenset({"image", "images", "img", "imgs", "jpegimages"})
_LABELS = frozenset({"label", "labels", "mask", "masks", "segmentationclass"})
_SUFFIX = re.compile(r"[_-](masks?|labels?|gt|seg|l)$", re.IGNORECASE)
_VOID, _WIDE_VOID = 255, 65535  # mark pixels without a class at 8 and 16 bits

Key = tuple[SplitName | None, str]
"""What an image and its label image share: the split, and the name without suffix."""

File = tuple[str, Path]
"""The path relative to the dataset's folder, and the file."""


@dataclass(frozen=True, slots=True)
class _FolderPair:
    """Two folders that belong together.

    Attributes:
        split: The split that they lie in, or None.
        images: The folder of images.
        labels: The folder of label images.
    """

    split: SplitName | None
    images: Path
    labels: Path


def sniff(path: Path) -> bool:
    """Return whether there are two folders with these names, both with images."""
    try:
        return bool(_folder_pairs(path))
    except DataError:  # there are more than two, and reading says so
        return True
    except OSError:
        return False


def read(path: Path) -> Dataset[Mask]:
    """Read one sample per pair, in the order of the image names.

    Sample ids are paths relative to `path`. Images are not decoded; label images are, one at a
    time, to find the classes in each. Values that are not in the class table are read as K, one
    beyond the classes. Images without a label image, label images without an image and damaged
    label images are skipped and listed.

    Raises:
        DataError: If nothing is left, if the class table cannot be understood, or if the values
            cannot be classes.
    """
    places = _folder_pairs(path) if path.is_dir() else []
    if not places:
        raise DataError(
            "a folder of images and one of label images are expected, such as images/ and masks/",
            where=path,
        )
    skipped: list[Skipped] = []
    images, labels = (
        _files(path, places, "images", skipped),
        _files(path, places, "labels", skipped),
    )
    pairs = _paired(images, labels, skipped)
    if not pairs:
        raise DataError(
            "pairs of images and label images are expected, found none with the same name"
            + first_reason(skipped),
            where=path,
            remedy="Give both the same name: images/1.jpg and masks/1.png.",
        )
    scan = scan_labels(
        [label for _, _, label in pairs],
        read_class_table(path, [place.images.parent for place in places if place.split]),
        read_class_names(path),
        path,
    )
    samples = []
    for (split, (id, image), label), present in zip(pairs, scan.present, strict=True):
        if isinstance(present, BadImage):
            skipped.append(Skipped(id, f"{label.relative_to(path).as_posix()}: {present.message}"))
        else:
            target = Mask(ClassPixels(label, scan.table), label, present)
            samples.append(Sample(id, FileSource(image), target, None, split))
    if not samples:
        raise DataError(
            f"label images that can be read are expected; {skipped[-1].reason}", where=path
        )
    table = scan.table
    return Dataset(
        path.name,
        TASKS[0],
        table.names,
        samples,
        tuple(skipped),
        path,
        notes=scan.notes,
        colours=table.colours,
    )


def write(dataset: Dataset[Mask], path: Path) -> None:
    """Write images/ and masks/, below one folder per split if there are splits, and classes.csv.

    Label images are PNG of 8 bits, in grey or with the class colours as a palette, or grey of 16
    bits for more than 255 classes. The highest value marks pixels without a class.

    Raises:
        DataError: If there are groups or times, if only some samples have a split, or if pixels
            have an unknown class.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    samples = list(dataset)
    problems = unsupported_fields(dataset, "group", "time")
    problems += partial_splits(dataset)
    problems += count_problem(
        "with pixels of an unknown class",
        [s for s in samples if not _fits(s, len(dataset.classes))],
    )
    problems += (
        [f"{len(dataset.classes):,} classes (it stores 1 to 65,535)"]
        if not 0 < len(dataset.classes) < 65536
        else []
    )
    refuse(path, NAME, problems + unwritable_names(dataset.classes) + unsavable_images(dataset))
    void = _VOID if len(dataset.classes) <= _VOID else _WIDE_VOID
    places: list[tuple[str, ...]] = [
        (sample.split, "images") if sample.split else ("images",) for sample in samples
    ]
    with new_folder(dataset, path) as folder:
        for sample, place, (stem, suffix) in zip(
            samples, places, file_stems(dataset, places), strict=True
        ):
            assert sample.target is not None
            write_image(sample, folder.joinpath(*place, stem + suffix))
            masks = folder.joinpath(*place[:-1], "masks")
            masks.mkdir(parents=True, exist_ok=True)
            _label_image(sample.target.pixels.read(), void, dataset.colours).save(
                masks / f"{stem}.png", "PNG"
            )
        write_class_table(dataset, void, folder)


def _folder_pairs(root: Path) -> list[_FolderPair]:
    """Return the pairs of folders; raise DataError if it is unclear which folder is meant."""
    inside = [(None, root)] + [
        (split, Path(folder.path))
        for folder in visible(root)[0]
        if (split := split_of(folder.name))
    ]
    return [_FolderPair(split, *sides) for split, folder in inside if (sides := _sides(folder))]


def _sides(folder: Path) -> tuple[Path, Path] | None:
    """Return the folder of images and that of label images, or None."""
    sides = []
    for words in (_IMAGES, _LABELS):
        named = [Path(below.path) for below in visible(folder)[0] if below.name.casefold() in words]
        matches = [below for below in named if contains_image(below)]
        if len(matches) > 1:
            raise DataError(
                f"one folder is expected, found {' and '.join(one.name for one in matches)}",
                where=folder,
            )
        sides += matches
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _files(
    root: Path, places: list[_FolderPair], side: str, skipped: list[Skipped]
) -> dict[Key, File]:
    """Return the files of one side by what they share with the other."""
    files: dict[Key, File] = {}
    for place in places:
        folder: Path = getattr(place, side)
        for id, file in walk_images(root, folder, skipped):
            inside = PurePosixPath(Path(file).relative_to(folder))
            split, names = place.split, inside.parts
            if split is None and len(names) > 1 and (below := split_of(names[0])):
                split, names = below, names[1:]
            key = (split, str(PurePosixPath(*names).with_suffix("")))
            first, _ = files.setdefault(key, (id, Path(file)))
            if first != id:
                skipped.append(Skipped(id, f"it has the same name as {first}"))
    return files


def _paired(
    images: dict[Key, File], labels: dict[Key, File], skipped: list[Skipped]
) -> list[tuple[SplitName | None, File, Path]]:
    """Return (split, image, label image) of each pair; the others are added to `skipped`."""
    partner = {key: labels.pop(key) for key in images if key in labels}
    for (split, name), file in list(labels.items()):
        key = (split, _SUFFIX.sub("", name))
        if key in images and key not in partner:
            partner[key] = file
            del labels[(split, name)]
    skipped += [
        Skipped(id, "no label image has the same name")
        for key, (id, _) in images.items()
        if key not in partner
    ]
    skipped += [Skipped(id, "no image has the same name") for id, _ in labels.values()]
    return [(key[0], file, partner[key][1]) for key, file in images.items() if key in partner]


def _fits(sample: Sample[Mask], classes: int) -> bool:
    """Return whether every pixel has a class or is to be ignored."""
    assert sample.target is not None
    values = sample.target.pixels.read()
    return not values.size or bool(values.min() >= IGNORE and values.max() < classes)


def _label_image(
    classes: NDArray[np.int32], void: int, colours: tuple[tuple[int, int, int], ...] | None
) -> PIL.Image.Image:
    """Return (H, W) classes as a label image."""
    values = np.where(classes == IGNORE, void, classes)
    image = PIL.Image.fromarray(values.astype(np.uint8 if void == _VOID else np.uint16))
    if colours and void == _VOID:
        image.putpalette(_palette(colours))
    return image


def _palette(colours: tuple[tuple[int, int, int], ...]) -> list[int]:
    """Return 256 colours, the last as in Pascal VOC; Pillow would save fewer with fewer bits."""
    unused = [(0, 0, 0)] * (255 - len(colours))
    return [value for colour in (*colours, *unused, (224, 224, 192)) for value in colour]
