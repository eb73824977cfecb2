"""Images and label images that number the objects: 0 for background, 1 to N for the objects.

StarDist, Cellpose, nuclei sets and Pascal VOC's SegmentationObject have them so. Which files belong
together is found by their names and pixels, see `labels.pairs`. All objects are of one class, which
classes.txt names in its only line; it is called "object" otherwise. Beside SegmentationClass, an
object has the class that most of its pixels have there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from foveate.annotations import Boxes, Instances, RunLengths
from foveate.data.dataset import Dataset, Sample
from foveate.errors import BadImage, DataError
from foveate.formats._shared.files.stems import file_stems
from foveate.formats._shared.labels.class_table import ClassTable
from foveate.formats._shared.labels.class_table_file import has_class_table, read_class_table
from foveate.formats._shared.labels.images import is_grey, read_label_image
from foveate.formats._shared.labels.mask_problems import mask_problems, native_pixels
from foveate.formats._shared.labels.matching import LabelFile, PairSet
from foveate.formats._shared.labels.numbering import numbering_of
from foveate.formats._shared.labels.object_classes import ObjectClasses, find_object_classes
from foveate.formats._shared.labels.pairs import (
    PickleError,
    find_pairs,
    paired_samples,
    required_pairs,
)
from foveate.formats._shared.layout import CLASSES_FILE, read_classes
from foveate.formats._shared.threads import map_threads
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
from foveate.ops.label_runs import label_runs

NAME = "instance-labels"
SUMMARY = (
    "images and label images that number the objects: images/1.png, instances/1.png (1, 2, ...)"
)
TASKS = ("instance",)

_CLASS = "object"
_VOID = 255  # unlabelled pixels in Pascal VOC
_MAX_OBJECTS = 65535


def sniff(path: Path) -> bool:
    """Return whether there are label images whose numbers may be those of objects."""
    try:
        found = find_pairs(path, objects=True)
        if found is None or not found.pairs:
            return False
        if found.objects is not None:
            return found.objects
        numbering = numbering_of([label.path for _, label in found.pairs])
        if not (found.table or has_class_table(path, found.folders)):
            return numbering.objects
        return numbering.objects and not numbering.classes and _has_unknown(path, found)
    except PickleError:  # reading says what to do
        return True
    except DataError:  # with classes, the same is unclear
        return False
    except OSError:
        return False


def describe(path: Path) -> str:
    """Return what would be read."""
    try:
        found = required_pairs(path, objects=True)
    except DataError as error:
        return f"label images ({error.message})"
    evidence = numbering_of([label.path for _, label in found.pairs]).evidence
    return f"each number in a label image is an object ({evidence})"


def read(path: Path) -> Dataset[Instances]:
    """Read one sample per pair, in the order of the image names.

    Sample ids are paths relative to `path`. Images are not decoded; label images are, one at a
    time, and only the runs of each object stay in memory. Files without a partner and damaged label
    images are skipped and listed.

    Raises:
        DataError: If nothing is left, or if classes.txt names more than one class.
    """
    found = required_pairs(path, objects=True)
    labels = [label.path for _, label in found.pairs]
    notes = list(found.notes)
    numbering = numbering_of(labels)
    notes.append(f"each number in a label image is an object, 0 is none: {numbering.evidence}")
    if not numbering.objects and found.objects is None:
        notes[-1] = (
            f"each number in a label image is read as an object, but they look like classes: "
            f"{numbering.evidence}; --format pairs reads them so"
        )
    by_class = find_object_classes(path, found)
    classes = by_class.names if by_class else read_classes(path) or (_CLASS,)
    if len(classes) > 1 and by_class is None:
        raise DataError(
            f"the name of one class is expected, got {len(classes)} names",
            where=path / CLASSES_FILE,
        )
    notes += by_class.notes if by_class else []
    targets = map_threads(lambda pair: _objects(pair[1], by_class), found.pairs)
    samples, skipped, more = paired_samples(path, found, targets)
    return Dataset(
        path.name, TASKS[0], classes, samples, tuple(skipped), path, notes=(*notes, *more)
    )


def write(dataset: Dataset[Instances], path: Path) -> None:
    """Write images/ and instances/, below one folder per split if there are splits.

    Label images are grey PNG of 16 bits: 0 for background, 1 to N for the objects in their order.

    Raises:
        DataError: If there are groups or times, if only some samples have a split, if there is more
            than one class, if objects overlap, are polygons, have no shape, are crowds or
            difficult, or if a box is not the bounds of its mask.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    samples = list(dataset)
    problems = unsupported_fields(dataset, "group", "time")
    problems += partial_splits(dataset)
    problems += (
        [f"{len(dataset.classes):,} classes (it stores one)"] if len(dataset.classes) != 1 else []
    )
    problems += ["the colours of the classes"] if dataset.colours else []
    problems += mask_problems(samples, _cannot_be_numbered)
    refuse(path, NAME, problems + unlistable_names(dataset.classes) + unsavable_images(dataset))
    places: list[tuple[str, ...]] = [(sample.split,) if sample.split else () for sample in samples]
    image_places = [(*place, "images") for place in places]
    with new_folder(dataset, path) as root:
        stems = file_stems(dataset, image_places)
        map_threads(lambda job: _write(root, *job), zip(samples, places, stems, strict=True))
        if dataset.classes != (_CLASS,):
            write_classes(dataset, root)


def _has_unknown(path: Path, found: PairSet) -> bool:
    """Return whether label images have more values than the class table names."""
    table: ClassTable | None = found.table or read_class_table(path, found.folders)
    if table is None or table.by_value is None:
        return False
    _, label = found.pairs[0]
    values = set(np.unique(read_label_image(label.path).values).tolist())
    return bool(values - set(table.by_value.values.tolist()))


def _objects(label: LabelFile, classes: ObjectClasses | None) -> Instances | BadImage:
    """Return the objects of a label image, in the order of their numbers."""
    try:
        image = read_label_image(label.path)
        if image.lossy:
            raise BadImage("numbers of objects are expected, but lossy compression changes them")
        ids = image.values >> 16 if image.in_colour and is_grey(image.values) else image.values
        if image.palette is not None:
            ids = np.where(ids == _VOID, 0, ids)
        size = ids.shape[0], ids.shape[1]
        runs = label_runs(ids)
        indices = np.zeros(len(runs), np.int64) if classes is None else classes.of(label, ids, runs)
    except BadImage as error:
        return error
    shapes = tuple(RunLengths(counts, size) for counts in runs.values())
    return Instances(Boxes(_corners(ids, list(runs)), indices, size=size), shapes)


def _corners(ids: NDArray[np.int32], numbers: list[int]) -> NDArray[np.float64]:
    """Return (N, 4): the bounds of each number."""
    rows = np.searchsorted(numbers, ids) + 1  # the numbers may have large gaps
    found = ndimage.find_objects(np.where(ids > 0, rows, 0).astype(np.int32), len(numbers))
    corners = [
        (across.start, down.start, across.stop, down.stop)
        for down, across in (box for box in found if box is not None)
    ]
    return np.array(corners, np.float64).reshape(-1, 4)


def _cannot_be_numbered(instances: Instances) -> list[str]:
    """Return what cannot be stored in one label image, as `count_problem` needs it."""
    if len(instances) > _MAX_OBJECTS:
        return [f"with more than {_MAX_OBJECTS:,} objects"]
    masks = [native_pixels(shape) for shape in instances.shapes]
    if len({mask.shape for mask in masks}) > 1:
        return []  # it is listed already
    problems = [] if all(mask.any() for mask in masks) else ["with a mask without a pixel"]
    covered = np.zeros(masks[0].shape if masks else (0, 0), bool)
    for mask in masks:
        if (covered & mask).any():
            return [*problems, "with objects that overlap"]
        covered |= mask
    return problems


def _write(
    root: Path, sample: Sample[Instances], place: tuple[str, ...], name: tuple[str, str]
) -> None:
    assert sample.target is not None
    stem, suffix = name
    write_image(sample, root.joinpath(*place, "images", stem + suffix))
    masks = [native_pixels(shape) for shape in sample.target.shapes]
    height, width = masks[0].shape if masks else sample.source.read().shape[:2]
    ids = np.zeros((height, width), np.uint16)
    for number, mask in enumerate(masks, 1):
        ids[mask] = number
    folder = root.joinpath(*place, "instances")
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(ids).save(folder / f"{stem}.png", "PNG")
