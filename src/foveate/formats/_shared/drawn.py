"""What annotation tools export: objects drawn on images, labels of images, and texts on them.

One file may hold the annotations of several tasks. `dataset_of` reads those of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import (
    CONVERSIONS,
    Boxes,
    Captions,
    Instances,
    Label,
    Polygon,
    RunLengths,
    Shape,
)
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import with_splits_of_paths
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    LabelRow,
    labelled_dataset,
    ordered_classes,
)
from foveate.formats._shared.outlines import Outline
from foveate.formats._shared.tables.several_labels import several_labels
from foveate.ops import polygons
from foveate.wording import count_noun


@dataclass(slots=True)
class DrawnObject:
    """One object.

    Attributes:
        label: Its class.
        outlines: Its outlines; none if it is a mask.
        mask: Its pixels, None if it is drawn as outlines.
        is_box: Whether it is drawn as a rectangle, upright or turned.
    """

    label: str
    outlines: list[Outline] = field(default_factory=list)
    mask: RunLengths | None = None
    is_box: bool = False

    @property
    def is_turned(self) -> bool:
        """Whether it is a rectangle that is not upright."""
        return self.is_box and any(len(np.unique(column)) > 2 for column in self.outlines[0].T)

    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom; those of an upright rectangle as they were written."""
        if self.mask:
            return self.mask.bounds()
        if self.is_box and not self.is_turned:  # so that the audit finds swapped corners
            (left, top), (right, bottom) = self.outlines[0][[0, 2]].tolist()
            return left, top, right, bottom
        return polygons.bounds(tuple(self.outlines))

    def shape(self) -> Shape | None:
        """Its pixels; None for an upright rectangle, which its box says already."""
        if self.mask:
            return self.mask
        return Polygon(tuple(self.outlines)) if not self.is_box or self.is_turned else None


@dataclass(slots=True)
class DrawnImage:
    """One image with all that was annotated on it.

    Attributes:
        id: The image.
        where: The file with the annotations.
        line: The line of the image in it, None if unknown.
        size: (height, width) in pixels, None if unknown.
        objects: The objects.
        labels: The labels of the whole image.
        texts: The texts on it.
        split: The split that the file assigns, or None.
        group: The group, or None.
        time: When it was taken, or None.
    """

    id: str
    where: Path
    line: int | None = None
    size: tuple[int, int] | None = None
    objects: list[DrawnObject] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    split: SplitName | None = None
    group: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Export:
    """All that was read from the files of a tool.

    Attributes:
        images: The images.
        classes: The classes in the order of the tool, if it tells one.
        skipped: What was left out so far.
        notes: What was decided so far.
    """

    images: Sequence[DrawnImage]
    classes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def require_files(files: Sequence[Any], what: str, path: Path, summary: str) -> None:
    """Raise DataError if there is no file of a tool at a path."""
    if not files:
        raise DataError(
            f"{what} is expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {summary}.",
        )


def counted(left_out: Counter[str]) -> list[str]:
    """Return a note with the count of each sort of shapes that are left out."""
    return [f"{what}: {count:,}" for what, count in sorted(left_out.items())]


def dataset_of(
    export: Export, finder: ImageFinder, path: Path, task: str | None = None
) -> Dataset[Any]:
    """Build the dataset for the task whose annotations are there.

    Args:
        export: What was read.
        finder: It found the images.
        path: The path that the user gave.
        task: The task that the data is for, if the user said so.

    Raises:
        DataError: If there are annotations of several tasks and none is chosen, if there are none,
            or if no image can be used.
    """
    skipped = list(export.skipped)
    usable = []
    for image in export.images:
        if reason := finder.problem(image.id):
            skipped.append(Skipped(image.id, reason))
        else:
            usable.append(image)
    if not usable:
        where = export.images[0].where if export.images else path
        raise finder.none_usable(skipped, where)
    usable, split_notes = with_splits_of_paths(usable)
    chosen = _chosen_task(usable, task, path)
    export = replace(export, images=usable, skipped=tuple(skipped))
    if chosen == Label.task:
        data: Dataset[Any] = _labelled(export, path, finder.root)
    elif chosen == Captions.task:
        data = _captioned(export, path, finder.root)
    else:
        data = _with_objects(export, path, finder.root, task)
    return replace(data, notes=(*export.notes, *data.notes, *finder.notes(), *split_notes))


def _chosen_task(images: Sequence[DrawnImage], task: str | None, path: Path) -> str:
    """Return the task whose annotations are there; of several the one that is asked for."""
    objects = sum(len(image.objects) for image in images)
    labels = sum(bool(image.labels) for image in images)
    texts = sum(bool(image.texts) for image in images)
    outlined = any(not one.is_box for image in images for one in image.objects)
    there = []
    if objects:
        name = Instances.task if outlined else Boxes.task
        there.append((name, count_noun(objects, "object")))
    if labels:
        there.append((Label.task, f"{count_noun(labels, 'image')} with a label"))
    if texts:
        there.append((Captions.task, f"{count_noun(texts, 'image')} with a text"))
    if not there:
        raise DataError(
            "annotations are expected, found none",
            where=images[0].where,
            details=[f"images without any: {len(images):,}"],
        )
    if task:
        serving = {task, *(one.source for one in CONVERSIONS if one.target == task)}
        if task == Instances.task:  # upright boxes are objects without outlines
            serving.add(Boxes.task)
        if task == Boxes.task:
            serving.add(Instances.task)
        there = [one for one in there if one[0] in serving] or there
        # What was made for the task goes before what can be turned into it.
        there = [one for one in there if one[0] == task] or there
    if len(there) > 1:
        raise DataError(
            "annotations for one task are expected, found those for several",
            where=path,
            details=[f"--task {name}: {what}" for name, what in there],
            remedy="Choose one of them with its option.",
        )
    return there[0][0]


def _labelled(export: Export, path: Path, root: Path) -> Dataset[Label]:
    rows, skipped = [], list(export.skipped)
    for image in export.images:
        labels = list(dict.fromkeys(image.labels))
        if len(labels) > 1:
            raise several_labels(f"{', '.join(labels[:5])} on {image.id}", image.where, image.line)
        if labels:
            source = FileSource(root / image.id)
            rows.append(LabelRow(image.id, source, labels[0], image.group, image.split, image.time))
        else:
            skipped.append(Skipped(image.id, "it has no label"))
    return labelled_dataset(rows, skipped, name=_name(path), origin=path, beside=root)


def _captioned(export: Export, path: Path, root: Path) -> Dataset[Captions]:
    samples = [
        Sample(
            image.id,
            FileSource(root / image.id),
            Captions(tuple(image.texts)),
            image.group,
            image.split,
            image.time,
        )
        for image in export.images
        if image.texts
    ]
    skipped = [Skipped(image.id, "it has no text") for image in export.images if not image.texts]
    return Dataset(
        _name(path), Captions.task, (), samples, (*export.skipped, *skipped), origin=path
    )


def _with_objects(export: Export, path: Path, root: Path, task: str | None) -> Dataset[Any]:
    objects = [one for image in export.images for one in image.objects]
    outlined = task == Instances.task or any(not one.is_box for one in objects)
    classes = _classes(export, objects, root)
    indices = {name: index for index, name in enumerate(classes)}
    notes = []
    turned_boxes = sum(one.is_turned for one in objects)
    if turned_boxes:
        number = count_noun(turned_boxes, "turned rectangle")
        notes.append(
            f"{number} read as outlines"
            if outlined
            else f"{number} read as the upright boxes around them; "
            f"--task {Instances.task} reads them as outlines"
        )
    samples = []
    for image in export.images:
        boxes = Boxes(
            np.array([one.corners() for one in image.objects], np.float64).reshape(-1, 4),
            np.array([indices[one.label] for one in image.objects], np.int64),
            size=image.size,
        )
        target: Any = boxes
        if outlined:
            target = Instances(boxes, tuple(one.shape() for one in image.objects))
        source = FileSource(root / image.id)
        samples.append(Sample(image.id, source, target, image.group, image.split, image.time))
    name = Instances.task if outlined else Boxes.task
    return Dataset(_name(path), name, classes, samples, export.skipped, path, notes=tuple(notes))


def _classes(export: Export, objects: Iterable[DrawnObject], root: Path) -> tuple[str, ...]:
    """Return the classes in the order of classes.txt, of the tool, or sorted."""
    present = {one.label for one in objects}
    of_images = {label for image in export.images for label in image.labels}
    if (root / CLASSES_FILE).is_file() or not present <= set(export.classes):
        return ordered_classes(present, root)
    return tuple(name for name in export.classes if name in present or name not in of_images)


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name
