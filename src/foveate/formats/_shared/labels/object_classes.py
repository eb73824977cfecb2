"""The classes of numbered objects, where label images with classes lie beside their label images.

Pascal VOC has both: SegmentationObject numbers the objects, SegmentationClass tells their classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE
from foveate.errors import BadImage, DataError
from foveate.formats._shared.labels.class_table import ClassPixels, ClassTable
from foveate.formats._shared.labels.class_table_file import read_class_names, read_class_table
from foveate.formats._shared.labels.matching import LabelFile, PairSet
from foveate.formats._shared.labels.pairs import find_pairs
from foveate.formats._shared.labels.scan import scan_labels
from foveate.ops import rle

_CLASS_FOLDER, _OBJECT_FOLDER = "segmentationclass", "segmentationobject"
_BACKGROUND = ("background", "0", "#000000")


@dataclass(frozen=True)
class ObjectClasses:
    """The classes of objects.

    Attributes:
        names: The class names, without that of the background.
        notes: What was decided.
        table: The classes of the label images beside those that number objects.
        background: The class there that is none, or None.
        files: The label images with classes, by the names of those with numbers.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    table: ClassTable
    background: int | None
    files: Mapping[str, Path]

    def of(
        self, label: LabelFile, ids: NDArray[np.int32], runs: Mapping[int, NDArray[np.int64]]
    ) -> NDArray[np.int64]:
        """Return the class of each object: the one that most of its pixels have.

        Args:
            label: The label image.
            ids: (H, W) int32, its numbers.
            runs: The run lengths of each object.

        Returns:
            (N,) int64.

        Raises:
            BadImage: If the label image with classes is missing, has another size, or has no class
                for an object.
        """
        if label.stem not in self.files:
            raise BadImage("a label image of the same name with classes is expected, found none")
        classes = ClassPixels(self.files[label.stem], self.table).read()
        if classes.shape != ids.shape:
            raise BadImage("the label image with classes has another size")
        flat = classes.ravel()
        indices = []
        for number, counts in runs.items():
            inside = flat[rle.to_indices(counts, (ids.shape[0], ids.shape[1]))]
            inside = inside[(inside != IGNORE) & (inside < len(self.table.names))]
            if self.background is not None:
                inside = inside[inside != self.background]
            if not len(inside):
                raise BadImage(f"the object {number} has no class in the label image with classes")
            index = int(np.bincount(inside).argmax())
            indices.append(index - (self.background is not None and index > self.background))
        return np.array(indices, np.int64)


def find_object_classes(root: Path, found: PairSet) -> ObjectClasses | None:
    """Return the classes of a dataset's objects, None if there is only one class.

    Args:
        root: The dataset's folder.
        found: The images and the label images that number objects.

    Raises:
        DataError: If the label images with classes cannot be understood.
    """
    folders = {label.path.parent.name.casefold() for _, label in found.pairs}
    if folders != {_OBJECT_FOLDER}:
        return None
    classes = find_pairs(root, objects=False)
    if classes is None or not classes.pairs:
        return None
    labels = [label.path for _, label in classes.pairs]
    if {path.parent.name.casefold() for path in labels} != {_CLASS_FOLDER}:
        return None
    scan = scan_labels(
        labels, read_class_table(root, classes.folders), read_class_names(root), root
    )
    names = scan.table.names
    background = next((k for k, name in enumerate(names) if name.casefold() in _BACKGROUND), None)
    kept = tuple(name for k, name in enumerate(names) if k != background)
    if not kept:
        raise DataError("a class other than the background is expected, found none", where=root)
    note = "the class of each object is the one that most of its pixels have in SegmentationClass/"
    files = {path.stem: path for path in labels}
    return ObjectClasses(kept, (*scan.notes, note), scan.table, background, files)
