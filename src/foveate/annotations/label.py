"""One class for the whole image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Annotation, Change
from foveate.errors import FoveateError


@dataclass(frozen=True, slots=True, eq=False)
class Label(Annotation):
    """The class of an image, one out of K.

    Attributes:
        index: The class, from 0 to K-1.
        scores: (K,) float64 probabilities that sum to 1; None for a target.
    """

    task: ClassVar[str] = "classification"
    default_format: ClassVar[str | None] = "folder"

    index: int
    scores: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.index < 0:
            raise FoveateError(f"a class index is expected to be 0 or more, got {self.index}")
        if self.scores is None:
            return
        if self.scores.ndim != 1 or self.index >= len(self.scores):
            raise FoveateError(
                f"scores of shape (K,) with K > {self.index} are expected, got {self.scores.shape}"
            )
        if not (np.isfinite(self.scores).all() and abs(float(self.scores.sum()) - 1) < 1e-3):
            raise FoveateError("scores are expected to be finite and to sum to 1")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Label):
            return NotImplemented
        if self.scores is None or other.scores is None:
            return self.index == other.index and self.scores is other.scores
        return self.index == other.index and np.array_equal(self.scores, other.scores)

    def present(self) -> tuple[int, ...]:
        """The class."""
        return (self.index,)

    def map_classes(self, change: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Label:
        """With another class index and without scores."""
        return Label(int(change(np.array([self.index], np.int64))[0]))

    def repair(
        self, size: tuple[int, int], class_index: NDArray[np.int64]
    ) -> tuple[Label | None, list[Change]]:
        """Map the class to its new index; a class that does not exist cannot be repaired."""
        if self.index >= len(class_index):
            return None, [Change("its class is none of the dataset's", f"class {self.index}")]
        return Label(int(class_index[self.index])), []

    def as_target(self, size: tuple[int, int]) -> Label:
        """The class without its probabilities."""
        return Label(self.index)

    def min_confidence(self, shown: Any) -> float:
        """The probability of the predicted class."""
        return float("nan") if shown.scores is None else float(shown.scores[shown.index])
