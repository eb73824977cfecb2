"""Which of the objects that are predicted are presented."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Annotation, Boxes
from foveate.errors import SettingError
from foveate.tasks.capabilities import FindsObjects
from foveate.tasks.presenters.presenter import Presenter
from foveate.wording import did_you_mean, list_some

A = TypeVar("A", bound=Annotation)

DEFAULT_THRESHOLD = 0.3
"""Display threshold of classes that do not occur in the validation split."""


class HasThresholds(Presenter[A], FindsObjects[A]):
    """Objects are presented if they reach the threshold of their class.

    Attributes:
        thresholds: (K,) display thresholds.
        presented: (K,) bool: classes whose objects are presented.
    """

    thresholds: NDArray[np.float64]
    presented: NDArray[np.bool_] | None = None

    def restricted(self, conf: float | None, classes: Sequence[str] | None) -> Self:
        """See `FindsObjects`."""
        for name in classes or ():
            if name not in self.classes:
                raise SettingError(
                    f"one of the classes {list_some(self.classes)} is expected, got {name!r}"
                    + did_you_mean(name, self.classes),
                    where="--classes",
                )
        restricted = copy.copy(self)
        if conf is not None:
            restricted.thresholds = np.full(len(self.classes), conf)
        if classes is not None:
            restricted.presented = np.array([name in classes for name in self.classes])
        return restricted

    def is_presented(self, boxes: Boxes) -> NDArray[np.bool_]:
        """(N,) bool: which objects are of a class that is presented."""
        if self.presented is None:
            return np.ones(len(boxes), bool)
        presented: NDArray[np.bool_] = self.presented[boxes.classes]
        return presented
