"""How good pictures are that were made from words: do they show what was asked, and do they look like real ones?

Neither figure alone can be trusted: pictures that all look alike can show what was asked, and the finest can show something else.
So the figure that counts, likeness, compares pictures together with their words: it is 1 minus the kernel distance (Binkowski et al., "Demystifying
MMD GANs", 2018) between the joint distributions (DeVries et al., "On the evaluation of conditional GANs", 2019). What a picture
looks like is told by the features of a net that was trained to read real train pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image

Tally = Mapping[str, NDArray[Any]]
Matrix = NDArray[np.float64]

RARE = 0.01
"""The share of real pictures that would be called copies."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """picture: (H, W, C) uint8, made from words; text: these; real: the picture that they were taken from, if from one"""

    picture: Image
    text: str
    real: Image | None = None


class Scorer:
    """Figures of any choice of a tally's rows.

    Its columns, a row a picture: told, read, read_real (N, L): the numbers of the words that were asked for, and of those that are read
    in the made and in the real picture; features, real_features (N, D); near, near_real (N,): see `Referee.nearness`; half (N,): 0 or 1, by which real pictures are cut in two halves
    """

    def __init__(self, tally: Tally):
        self.tally = tally
        told = np.asarray(tally["told"])
        made, real = (np.asarray(tally[name], np.float64) for name in ("features", "real_features"))
        self.right, self.right_real = (tally[name] == told for name in ("read", "read_real"))
        self.varying = (told != told[:1]).any(0) if len(told) else np.zeros(told.shape[1:], bool)
        slots = told[:, self.varying] if self.varying.any() else told
        self.alike = (slots[:, None] == slots[None]).mean(2) if len(told) else np.zeros((0, 0))
        between = {"made": _squared(made, made), "real": _squared(real, real), "cross": _squared(made, real)}
        apart = ~np.eye(len(told), dtype=bool)
        same = (self.alike == 1) & apart
        same = same if same.sum() >= len(told) else apart
        # One width for all models that are judged on these pictures: the usual distance between real ones of the same words, else one
        # picture for each word would look like all of them.
        width = float(np.median(between["real"][same])) if same.any() else 1.0
        self.kernels = {name: np.exp(-squared / (width or 1.0)) * apart for name, squared in between.items()}
        self.same = same.astype(np.float64)
        self.between, self.apart = between, apart.astype(np.float64)

    def figures(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """likeness: 1 minus the distance between made and real pictures with their words: 1 for the same distribution, 0 and less
        for what has nothing in common; real_likeness: the same of two halves of the real ones, which is what chance
        gives; kernel_distance: between the pictures alone; prompt_accuracy: the share in which all words are read that were asked for, word_accuracy: of the words that are not in all captions;
        real_accuracy: prompt_accuracy of the real pictures, so what the reader knows; diversity: how much pictures for the
        same words (where there are enough, else all) differ, against real ones: 1 is as much; copies: the share that lies as near
        to a train picture as 1% of real pictures do. NaN where there is no picture."""
        count = len(self.tally["told"])
        if not count:
            return dict.fromkeys(FIGURES, float("nan"))
        weights = np.ones(count) if rows is None else np.bincount(rows, minlength=count).astype(np.float64)
        some = weights * (np.asarray(self.tally["half"]) == 0)
        others = weights - some
        joint = self.alike * self.apart
        near, near_real = (
            self.tally[name] if rows is None else self.tally[name][rows] for name in ("near", "near_real")
        )
        share = weights / weights.sum()
        return {
            "likeness": 1 - self._distance(weights, joint),
            "prompt_accuracy": float(share @ self.right.all(1)),
            "word_accuracy": float(share @ (self.right[:, self.varying] if self.varying.any() else self.right).mean(1)),
            "kernel_distance": self._distance(weights, self.apart),
            "diversity": _ratio(
                weights @ (self.same * self.between["made"]) @ weights,
                weights @ (self.same * self.between["real"]) @ weights,
            ),
            "copies": float((near < np.quantile(near_real, RARE)).mean())
            if np.isfinite(near_real).all()
            else float("nan"),
            "real_likeness": 1 - self._between_real(some, others, joint),
            "real_accuracy": float(share @ self.right_real.all(1)),
        }

    def _distance(self, weights: Matrix, pairs: Matrix) -> float:
        """The unbiased estimate: no picture is compared with itself, nor with the real one of its own words."""
        made, real, cross = (weights @ (pairs * self.kernels[name]) @ weights for name in ("made", "real", "cross"))
        return _ratio(made + real - 2 * cross, weights @ pairs @ weights)

    def _between_real(self, some: Matrix, others: Matrix, pairs: Matrix) -> float:
        kernel = pairs * self.kernels["real"]
        within = [_ratio(half @ kernel @ half, half @ pairs @ half) for half in (some, others)]
        return sum(within) - 2 * _ratio(some @ kernel @ others, some @ pairs @ others)


FIGURES = (
    "likeness",
    "prompt_accuracy",
    "word_accuracy",
    "kernel_distance",
    "diversity",
    "copies",
    "real_likeness",
    "real_accuracy",
)


def _squared(these: Matrix, those: Matrix) -> Matrix:
    """(N, M) squared distances of the rows of (N, D) and (M, D)."""
    lengths = (these**2).sum(1)[:, None] + (those**2).sum(1)
    squared: Matrix = np.maximum(lengths - 2 * these @ those.T, 0)
    return squared


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")
