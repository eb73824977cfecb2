"""Leave out the class that is only the supercategory of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foveate.annotations import boxes_of
from foveate.data.dataset import Sample
from foveate.formats._shared.layout import composed
from foveate.formats.coco.records import ParsedFile

_NO_PARENT = (None, "", "none")


def without_supercategory(
    parsed: list[ParsedFile], classes: tuple[str, ...], samples: list[Sample[Any]]
) -> tuple[tuple[str, ...], list[Sample[Any]], list[str]]:
    """Return the classes and the samples without the class that Roboflow adds to each export.

    It is the supercategory of all others, has none itself, and no object has it.

    Args:
        parsed: The annotation files.
        classes: The class names.
        samples: The samples.

    Returns:
        The classes and samples, and a note if a class is left out.
    """
    parents = {
        composed(name): parent and composed(parent)
        for one in parsed
        for name, parent in one.classes.items()
    }
    supercategories = {parent for parent in parents.values() if parent in parents}
    if len(supercategories) != 1 or len(classes) < 2:
        return classes, samples, []
    (name,) = supercategories
    index = [composed(one) for one in classes].index(str(name))
    if (
        parents[str(name)] not in _NO_PARENT
        or any(parent != name for other, parent in parents.items() if other != name)
        or any((boxes_of(sample.target).classes == index).any() for sample in samples)
    ):
        return classes, samples, []
    order = np.arange(len(classes)) - (np.arange(len(classes)) > index)
    samples = [
        replace(sample, target=sample.target and sample.target.map_classes(lambda k: order[k]))
        for sample in samples
    ]
    note = (
        f"the category {name!r} is not read as a class: it is the supercategory of all others, and "
        "no object has it"
    )
    return (*classes[:index], *classes[index + 1 :]), samples, [note]
