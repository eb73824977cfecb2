"""The answers that a vision problem can have. Truth and prediction are the same type; truth has no scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FoveateError


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """What is in a picture: one class out of K.

    index: the class, from 0 to K-1
    scores: (K,) float64 probabilities that sum to 1, or None for a truth
    """

    index: int
    scores: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.index < 0:
            raise FoveateError(f"a class index is expected to be 0 or more, got {self.index}")
        if self.scores is None:
            return
        if self.scores.ndim != 1 or self.index >= len(self.scores):
            raise FoveateError(f"scores of shape (K,) with K > {self.index} are expected, got {self.scores.shape}")
        if not (np.isfinite(self.scores).all() and abs(float(self.scores.sum()) - 1) < 1e-3):
            raise FoveateError("scores are expected to be finite and to sum to 1")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Label):
            return NotImplemented
        if (self.scores is None) != (other.scores is None):
            return False
        return self.index == other.index and (self.scores is None or np.array_equal(self.scores, other.scores))  # type: ignore[arg-type]
