"""Class names as people read them: names that look alike in every program are one class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Annotation
from foveate.data.dataset import Dataset
from foveate.formats._shared.layout import composed


def unify_names(dataset: Dataset[Any]) -> Dataset[Any]:
    """Write all class names in Unicode's composed form, NFC; equal names become one class.

    macOS writes "ü" in file names as two characters, other systems as one; nobody sees a
    difference. Names that differ in a sign, in case or in spaces stay different.

    Args:
        dataset: As a format has read it.

    Returns:
        The dataset with targets for the new classes, and a note of the classes that became one.
    """
    names = [composed(name) for name in dataset.classes]
    if names == list(dataset.classes):
        return dataset
    classes = tuple(dict.fromkeys(names))
    if len(classes) == len(names):  # only written in another way
        return replace(dataset, classes=classes)
    change = _NewIndices(np.array([classes.index(name) for name in names], np.int64))
    samples = [
        replace(sample, target=sample.target.map_classes(change))
        if isinstance(sample.target, Annotation)
        else sample
        for sample in dataset
    ]
    colours = dataset.colours
    if colours is not None:
        colours = tuple(colours[names.index(name)] for name in classes)
    merged = [repr(name) for name in classes if names.count(name) > 1]
    note = (
        f"the class {', '.join(merged)} is written with different characters that look the same "
        "(Unicode NFC and NFD); they are one class"
    )
    notes = (*dataset.notes, note)
    return replace(dataset, classes=classes, samples=samples, colours=colours, notes=notes)


@dataclass(frozen=True, slots=True)
class _NewIndices:
    """The new index of each class; indices that are no class stay none, for the audit to find."""

    index: NDArray[np.int64]

    def __call__(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        unknown = classes >= len(self.index)
        return np.where(unknown, classes, self.index[np.where(unknown, 0, classes)])
