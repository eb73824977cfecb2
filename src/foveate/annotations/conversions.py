"""What annotations can serve as once something is left out of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Annotation
from foveate.annotations.boxes import Boxes
from foveate.annotations.captions import Captions, class_captions
from foveate.annotations.instances import Instances
from foveate.annotations.label import Label
from foveate.annotations.mask import IGNORE, Mask
from foveate.annotations.shapes import Size

Classes = tuple[str, ...]
Colours = tuple[tuple[int, int, int], ...]


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Conversion:
    """How the annotations for one task become those for another.

    Attributes:
        source: Task that the annotations are for.
        target: Task that the converted ones are for.
        drops: What is left out, as the user names it; None if nothing is.
        convert: The annotation for the other task, from one annotation and the class names.
        classes: The class names for the other task, from those of the dataset.
        colours: The same for the colours of the classes.
    """

    source: str
    target: str
    drops: str | None
    convert: Callable[[Any, Classes], Annotation]
    classes: Callable[[Classes], Classes] = _unchanged
    colours: Callable[[Colours], Colours] = _unchanged


@dataclass(frozen=True, slots=True, eq=False)
class ClassesOfInstances:
    """Pixels of a semantic mask, painted from instances.

    0 is background, 1 + class the pixels of an object, IGNORE those of crowds and difficult ones.
    """

    instances: Instances
    size: Size

    def read(self) -> NDArray[np.int32]:
        """(H, W) int32."""
        boxes = self.instances.boxes
        classes = np.where(boxes.ignored, IGNORE, boxes.classes + 1).astype(np.int32)
        palette = np.concatenate([np.zeros(1, np.int32), classes])
        painted: NDArray[np.int32] = palette[self.instances.label_map(self.size)]
        return painted


def _with_background(classes: Classes) -> Classes:
    names = ("background" if number == 1 else f"background {number}" for number in count(1))
    return (next(name for name in names if name not in classes), *classes)


def _paint(instances: Instances) -> Mask:
    return Mask(ClassesOfInstances(instances, instances.image_size))


def _describe(label: Label, classes: Classes) -> Annotation:
    """Captions from the class name; an unknown class stays, for the audit to find."""
    known = label.index < len(classes)
    return Captions(class_captions(classes[label.index])) if known else label


CONVERSIONS = (
    Conversion(Instances.task, Boxes.task, "outlines", lambda instances, classes: instances.boxes),
    Conversion(
        Instances.task,
        Mask.task,
        "instances",
        lambda instances, classes: _paint(instances),
        _with_background,
        lambda colours: ((0, 0, 0), *colours),
    ),
    Conversion(Instances.task, "promptable", None, lambda instances, classes: instances),
    Conversion(Label.task, Captions.task, "labels", _describe, lambda classes: ()),
)
