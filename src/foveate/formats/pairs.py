"""Images and label images with the same names: images/1.jpg and masks/1.png, a class per pixel.

Which files belong together is found by their names and pixels, see `labels.pairs`. classes.csv
beside the folders names the classes, see `labels.class_table_file`; without it the values that
occur in the label images become classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import Dataset, Sample
from foveate.errors import BadImage, DataError
from foveate.formats._shared.files.stems import file_stems
from foveate.formats._shared.labels.class_table import (
    ClassPixels,
    unwritable_names,
    write_class_table,
)
from foveate.formats._shared.labels.class_table_file import (
    has_class_table,
    read_class_names,
    read_class_table,
)
from foveate.formats._shared.labels.matching import PairSet
from foveate.formats._shared.labels.numbering import numbering_of
from foveate.formats._shared.labels.pairs import (
    find_pairs,
    paired_samples,
    required_pairs,
)
from foveate.formats._shared.labels.scan import scan_labels
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

_VOID, _WIDE_VOID = 255, 65535  # mark pixels without a class at 8 and 16 bits


def sniff(path: Path) -> bool:
    """Return whether there are label images whose values may be classes."""
    try:
        found = find_pairs(path, objects=False)
        if found is None or not found.pairs or found.objects is True:
            return False
        return _may_be_classes(path, found)
    except DataError:  # it is unclear which files are meant, and reading says so
        return True
    except OSError:
        return False


def missing(path: Path) -> str | None:
    """Return what keeps label images from being read, or None if there are none."""
    try:
        found = find_pairs(path, objects=False)
    except (DataError, OSError):
        return None
    if found is None or found.pairs or not found.skipped:
        return None
    return "label images are found, but none has the name of an image" + first_reason(found.skipped)


def describe(path: Path) -> str:
    """Return what would be read."""
    try:
        found = required_pairs(path, objects=False)
    except DataError as error:
        return f"label images ({error.message})"
    evidence = numbering_of([label.path for _, label in found.pairs]).evidence
    return f"each value of a label image is a class ({evidence})"


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
    found = required_pairs(path, objects=False)
    labels = [label.path for _, label in found.pairs]
    table = found.table or read_class_table(path, found.folders)
    scan = scan_labels(labels, table, read_class_names(path), path)
    notes = [*found.notes, *scan.notes]
    if table is None and not (numbering := numbering_of(labels)).classes:
        notes.append(
            f"the values are read as classes, but look like numbers of objects: "
            f"{numbering.evidence}; --format instance-labels reads them so"
        )
    targets = (
        present
        if isinstance(present, BadImage)
        else Mask(ClassPixels(label, scan.table), label, present)
        for label, present in zip(labels, scan.present, strict=True)
    )
    samples, skipped, more = paired_samples(path, found, targets)
    return Dataset(
        path.name,
        TASKS[0],
        scan.table.names,
        samples,
        tuple(skipped),
        path,
        notes=(*notes, *more),
        colours=scan.table.colours,
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


def _may_be_classes(path: Path, found: PairSet) -> bool:
    if found.objects is False or found.table or has_class_table(path, found.folders):
        return True
    return numbering_of([label.path for _, label in found.pairs]).classes


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
