"""One folder per image, with one mask file per object, as in the Data Science Bowl 2018.

ID/images/x.png and ID/masks/1.png, 2.png, ... A pixel of a mask that is not 0 belongs to its
object. The folders may lie below train, valid and test. All objects are of one class, which
classes.txt names in its only line; it is called "object" otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image

from foveate.annotations import Boxes, Instances, RunLengths
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError
from foveate.formats._shared.files.stems import file_stems
from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.instances import image_size
from foveate.formats._shared.labels.images import LabelImagePixels
from foveate.formats._shared.labels.mask_problems import mask_problems, native_pixels
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    has_image_suffix,
    is_utf8,
    printable,
    read_classes,
    split_of,
    visible,
)
from foveate.formats._shared.threads import map_threads
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    new_folder,
    partial_splits,
    refuse,
    unlistable_names,
    unsavable_images,
    unsupported_fields,
    unsupported_task,
    write_classes,
    write_image,
)
from foveate.ops import rle

NAME = "instance-masks"
SUMMARY = (
    "one folder per image, one mask per object: 001/images/001.png, 001/masks/1.png, 2.png, ..."
)
TASKS = ("instance",)

_CLASS = "object"
_MAX_SNIFFED_FOLDERS = 100  # keeps sniffing cheap


def sniff(path: Path) -> bool:
    """Return whether a folder that is not a split holds images/ and masks/ (else see `pairs`)."""
    try:
        return any(
            _is_laid_out(folder) and _holds_one_image(folder / "images")
            for _, folder in islice(_folders(path), _MAX_SNIFFED_FOLDERS)
            if not split_of(folder.name)
        )
    except OSError:
        return False


def read(path: Path) -> Dataset[Instances]:
    """Read one sample per folder, its id being the folder's path relative to `path`.

    Boxes are the bounds of the masks. Images are not decoded; masks are, each once, and stay in
    memory as run lengths. Folders without masks/ or without exactly one image, and folders
    with a damaged mask or with masks of several sizes are skipped and listed.

    Raises:
        DataError: If nothing is left, or if classes.txt names more than one class.
    """
    folders = _folders(path) if path.is_dir() else []
    classes = read_classes(path) or (_CLASS,)
    if len(classes) > 1:
        raise DataError(
            f"the name of one class is expected, got {len(classes)} names",
            where=path / CLASSES_FILE,
        )
    samples: list[Sample[Instances]] = []
    skipped = [
        Skipped(printable(entry.name), "it lies in no folder for one image")
        for entry in (visible(path)[1] if path.is_dir() else [])
        if has_image_suffix(entry.name)
    ]
    for sample, left_out in map_threads(lambda folder: _sample(path, *folder), folders):
        samples += [sample] if sample else []
        skipped += left_out
    if not samples:
        raise DataError(
            "folders with images/ and masks/ are expected, found none that can be used"
            + first_reason(skipped),
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    return Dataset(path.name, TASKS[0], classes, samples, tuple(skipped), path)


def write(dataset: Dataset[Instances], path: Path) -> None:
    """Write one folder per image, below one folder per split if there are splits.

    Masks are PNG of 0 and 255.

    Raises:
        DataError: If there are groups or times, if only some samples have a split, if there is more
            than one class, if objects are polygons, have no shape, are crowds or difficult, or if a
            box is not the bounds of its mask.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    samples = list(dataset)
    problems = unsupported_fields(dataset, "group", "time")
    problems += partial_splits(dataset)
    problems += (
        [f"{len(dataset.classes):,} classes (it stores one)"] if len(dataset.classes) != 1 else []
    )
    problems += ["the colours of the classes"] if dataset.colours else []
    problems += mask_problems(samples)
    refuse(path, NAME, problems + unlistable_names(dataset.classes) + unsavable_images(dataset))
    places: list[tuple[str, ...]] = [(sample.split,) if sample.split else () for sample in samples]
    with new_folder(dataset, path) as root:
        folders = [root.joinpath(*place) for place in places]
        map_threads(_write, zip(samples, folders, file_stems(dataset, places), strict=True))
        if dataset.classes != (_CLASS,):
            write_classes(dataset, root)


def _folders(root: Path) -> list[tuple[SplitName | None, Path]]:
    """Return the folders that stand for images, each with the split that it lies in."""
    folders: list[tuple[SplitName | None, Path]] = []
    for entry in visible(root)[0]:
        folder = Path(entry.path)
        if (split := split_of(entry.name)) and not _is_laid_out(folder):
            folders += [(split, Path(inside.path)) for inside in visible(folder)[0]]
        else:
            folders.append((None, folder))
    return folders


def _is_laid_out(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def _holds_one_image(folder: Path) -> bool:
    """Return whether a folder has a single image; more of them have a label image each."""
    return sum(has_image_suffix(entry.name) for entry in visible(folder)[1]) == 1


def _sample(
    root: Path, split: SplitName | None, folder: Path
) -> tuple[Sample[Instances] | None, list[Skipped]]:
    """Return the sample in a folder, or None, and what was skipped."""
    id = folder.relative_to(root).as_posix()
    if not is_utf8(id):
        return None, [Skipped(printable(id), NOT_UTF8)]
    try:
        for needed in ("images", "masks"):
            if not (folder / needed).is_dir():
                return None, [Skipped(id, f"it has no folder {needed}/")]
        skipped: list[Skipped] = []
        images = list(walk_images(root, folder / "images", skipped))
        if len(images) != 1:
            unusable_reason = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
            return None, [
                Skipped(
                    id, f"one image is expected in images/, found {len(images)}{unusable_reason}"
                )
            ]
        masks = [Path(file) for _, file in walk_images(root, folder / "masks", skipped)]
    except OSError as error:
        return None, [Skipped(id, f"cannot be opened ({error.strerror})")]
    for entry in skipped:
        if has_image_suffix(entry.id):  # without this mask an object would be missing
            return None, [Skipped(id, f"{entry.id}: {entry.reason}")]
    image = FileSource(Path(images[0][1]))
    try:
        instances = _read_masks(masks)
        if not masks:
            size = image_size(Sample(id, image))
            instances = Instances(replace(instances.boxes, size=size), ())
        return Sample(id, image, instances, None, split), skipped
    except BadImage as error:
        return None, [
            Skipped(id, f"{Path(str(error.where)).relative_to(root).as_posix()}: {error.message}")
        ]


def _read_masks(masks: list[Path]) -> Instances:
    """Read the objects of one image; raise BadImage with the mask's file."""
    corners, shapes = np.zeros((len(masks), 4)), []
    size: tuple[int, int] | None = None
    for row, file in enumerate(masks):
        mask = LabelImagePixels(file).read() != 0
        height, width = mask.shape
        size = size or (height, width)
        if (height, width) != size:
            raise BadImage(
                f"a mask of {size[1]} x {size[0]} pixels is expected like the first one, "
                f"got {width} x {height}",
                where=file,
            )
        shapes.append(RunLengths(rle.from_indices(np.flatnonzero(mask), size), size))
        corners[row] = shapes[row].bounds()
    boxes = Boxes(corners, np.zeros(len(masks), np.int64), size=size)
    return Instances(boxes, tuple(shapes))


def _write(job: tuple[Sample[Instances], Path, tuple[str, str]]) -> None:
    """Write a sample's folder into another folder, with a stem and an image suffix."""
    sample, place, (stem, suffix) = job
    assert sample.target is not None
    write_image(sample, place / stem / "images" / (stem + suffix))
    (place / stem / "masks").mkdir()
    digits = len(str(len(sample.target)))
    for row, shape in enumerate(sample.target.shapes):
        mask = PIL.Image.fromarray(np.where(native_pixels(shape), np.uint8(255), np.uint8(0)))
        mask.save(place / stem / "masks" / f"{row:0{digits}d}.png", "PNG")
