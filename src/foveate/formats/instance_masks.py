"""A folder a picture, a mask a thing: ID/images/x.png and ID/masks/1.png, 2.png, ..., as the Data Science Bowl 2018.

A pixel of a mask that is not 0 belongs to its thing. The folders may lie below train, valid and test. All things are
of one class, which classes.txt names in its only line; without it, it is called "object".
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances, MaskFileShape, RunLengths, Shape, mask_bounds
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError
from foveate.formats._shared.beside import size_of
from foveate.formats._shared.label_images import StoredPixels
from foveate.formats._shared.label_scan import each
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    NOT_UTF8,
    is_named_picture,
    is_utf8,
    part_of,
    printable,
    read_classes,
    visible,
)
from foveate.formats._shared.stems import file_stems
from foveate.formats._shared.walk import holds_picture, make_images
from foveate.formats._shared.writing import (
    count,
    listed,
    new_folder,
    part_for_some,
    refuse,
    told_besides,
    unlabelled,
    unpaintable,
    write_classes,
    write_picture,
)

NAME = "instance-masks"
SUMMARY = "a folder per picture, with a mask per thing: 001/images/001.png, 001/masks/1.png, 001/masks/2.png"
TASKS = ("instance",)

_CLASS = "object"
_LOOKED_AT = 100  # folders in search of one that is laid out so


def sniff(path: Path) -> bool:
    """Whether there is a folder with images/ and masks/ in it, which is no part: that would be `pairs`."""
    try:
        return any(
            _is_laid_out(folder) and holds_picture(folder / "images")
            for _, folder in islice(_folders(path), _LOOKED_AT)
            if not part_of(folder.name)
        )
    except OSError:
        return False


def read(path: Path) -> Dataset[Instances]:
    """One sample a folder, its id being the folder's path from here. Boxes are the bounds of the masks.

    Pictures are not decoded. Masks are, once and one at a time, and only their bounds are kept. Skipped and listed:
    a folder without masks/ or without its one picture, one with a mask that cannot be read, and one with masks of
    several sizes. Raises DataError if nothing is left, and if classes.txt names more than one class.
    """
    folders = _folders(path) if path.is_dir() else []
    classes = read_classes(path) or (_CLASS,)
    if len(classes) > 1:
        raise DataError(
            f"the name of one class is expected, got {len(classes)}", where=path / CLASSES_FILE
        )
    samples: list[Sample[Instances]] = []
    skipped = [
        Skipped(printable(entry.name), "lies in no folder of its own")
        for entry in (visible(path)[1] if path.is_dir() else [])
        if is_named_picture(entry.name)
    ]
    for sample, left_out in each(lambda place: _sample(path, *place), folders):
        samples += [sample] if sample else []
        skipped += left_out
    if not samples:
        raise DataError(
            "folders with images/ and masks/ are expected, found none that can be used"
            + "".join(f"; {one.id}: {one.reason}" for one in skipped[:1]),
            where=path,
            remedy=f"Lay it out as {SUMMARY}.",
        )
    return Dataset(path.name, TASKS[0], classes, samples, tuple(skipped), path)


def write(dataset: Dataset[Instances], path: Path) -> None:
    """A folder a picture, below a folder per part if parts are given; masks are PNG of 0 and 255.

    Cannot hold groups and times, nor parts for some samples only, nor more than one class, nor things that are outlines, have no
    shape, are crowds or difficult, or whose box is not that of their mask.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    samples = list(dataset)
    problems = told_besides(dataset, "group", "time")
    problems += part_for_some(dataset)
    problems += (
        [f"{len(dataset.classes):,} classes (it holds one)"] if len(dataset.classes) != 1 else []
    )
    problems += ["the colours of the classes"] if dataset.colours else []
    problems += _unholdable(samples)
    refuse(path, NAME, problems + listed(dataset.classes) + unpaintable(dataset))
    places: list[tuple[str, ...]] = [(sample.split,) if sample.split else () for sample in samples]
    with new_folder(dataset, path) as root:
        folders = [root.joinpath(*place) for place in places]
        each(_write, zip(samples, folders, file_stems(dataset, places), strict=True))
        if dataset.classes != (_CLASS,):
            write_classes(dataset, root)


def _folders(root: Path) -> list[tuple[SplitName | None, Path]]:
    """The folders that stand for pictures, each with the part that it lies in. Raises OSError."""
    found: list[tuple[SplitName | None, Path]] = []
    for entry in visible(root)[0]:
        folder = Path(entry.path)
        if (split := part_of(entry.name)) and not _is_laid_out(folder):
            found += [(split, Path(inside.path)) for inside in visible(folder)[0]]
        else:
            found.append((None, folder))
    return found


def _is_laid_out(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def _sample(
    root: Path, split: SplitName | None, folder: Path
) -> tuple[Sample[Instances] | None, list[Skipped]]:
    """What a folder holds, or why nothing."""
    id = folder.relative_to(root).as_posix()
    if not is_utf8(id):
        return None, [Skipped(printable(id), NOT_UTF8)]
    try:
        for needed in ("images", "masks"):
            if not (folder / needed).is_dir():
                return None, [Skipped(id, f"there is no folder {needed}/ in it")]
        skipped: list[Skipped] = []
        photos = list(make_images(root, folder / "images", skipped))
        if len(photos) != 1:
            unusable = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
            return None, [
                Skipped(id, f"one picture is expected in images/, found {len(photos)}{unusable}")
            ]
        masks = [Path(file) for _, file in make_images(root, folder / "masks", skipped)]
    except OSError as error:
        return None, [Skipped(id, f"cannot be opened ({error.strerror})")]
    for one in skipped:
        if is_named_picture(one.id):  # a thing would be missing
            return None, [Skipped(id, f"{one.id}: {one.reason}")]
    photo = FileSource(Path(photos[0][1]))
    try:
        instances = _things(masks)
        if not masks:
            size = size_of(Sample(id, photo))
            instances = Instances(replace(instances.boxes, size=size), ())
        return Sample(id, photo, instances, None, split), skipped
    except BadImage as error:
        return None, [
            Skipped(id, f"{Path(str(error.where)).relative_to(root).as_posix()}: {error.message}")
        ]


def _things(masks: list[Path]) -> Instances:
    """The things of one picture. Raises BadImage, with the mask's file."""
    corners = np.zeros((len(masks), 4))
    size: tuple[int, int] | None = None
    for row, file in enumerate(masks):
        mask = StoredPixels(file).read() != 0
        height, width = mask.shape
        size = size or (height, width)
        if (height, width) != size:
            raise BadImage(
                f"a mask of {size[1]} x {size[0]} pixels is expected, as the first one has, got {width} x {height}",
                where=file,
            )
        corners[row] = mask_bounds(mask)
    boxes = Boxes(corners, np.zeros(len(masks), np.int64), size=size)
    return Instances(boxes, tuple(MaskFileShape(StoredPixels(file), file) for file in masks))


def _unholdable(samples: list[Sample[Instances]]) -> list[str]:
    """What keeps things from being masks of their own."""
    faults = each(
        lambda sample: _faults(sample.target) if sample.target is not None else [], samples
    )
    every = dict.fromkeys(fault for found in faults for fault in found)
    return [
        line
        for fault in every
        for line in count(
            fault, [sample for sample, found in zip(samples, faults, strict=True) if fault in found]
        )
    ]


def _faults(instances: Instances) -> list[str]:
    """What cannot be held, as `count` says it. Each mask is decoded once."""
    found: list[str] = []
    if not all(map(_is_mask, instances.shapes)):
        found.append("with outlines or boxes where masks are expected")
    for fault, flagged in (
        ("with crowds", instances.boxes.crowd),
        ("with difficult things", instances.boxes.difficult),
    ):
        found += [fault] if flagged.any() else []
    if instances.boxes.scores is not None:
        found.append("with scores")
    sizes = set()
    boxes_fit = True
    for shape, corners in zip(instances.shapes, instances.boxes.corners, strict=True):
        if _is_mask(shape):
            pixels = _pixels(shape)
            sizes.add(pixels.shape)
            boxes_fit &= np.array_equal(mask_bounds(pixels), corners)
    found += [] if boxes_fit else ["with a box that is not that of its mask"]
    return found + (["with masks of several sizes"] if len(sizes) > 1 else [])


def _write(one: tuple[Sample[Instances], Path, tuple[str, str]]) -> None:
    """A sample's folder within another one, under a name and with its picture's ending."""
    sample, place, (stem, ending) = one
    assert sample.target is not None
    write_picture(sample, place / stem / "images" / (stem + ending))
    (place / stem / "masks").mkdir()
    digits = len(str(len(sample.target)))
    for row, shape in enumerate(sample.target.shapes):
        mask = PIL.Image.fromarray(np.where(_pixels(shape), np.uint8(255), np.uint8(0)))
        mask.save(place / stem / "masks" / f"{row:0{digits}d}.png", "PNG")


def _is_mask(shape: Shape | None) -> bool:
    return isinstance(shape, RunLengths | MaskFileShape)


def _pixels(shape: Shape | None) -> NDArray[np.bool_]:
    """(H, W) bool, in the mask's own size."""
    if isinstance(shape, RunLengths):
        return shape.mask(shape.size)
    assert isinstance(shape, MaskFileShape)
    return shape.pixels.read() != 0
