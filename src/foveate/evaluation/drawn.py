"""How good pictures are that were made from words: do they show what was asked, and do they look like real ones?

Neither figure alone can be trusted: pictures that all look alike can show what was asked, and the finest can show something else.
So the figure that counts, likeness, compares pictures of the same words: by their energy distance (Szekely and Rizzo, "Energy statistics", 2013),
which is a kernel distance without a width to choose (Sejdinovic et al., "Equivalence of distance-based and RKHS-based statistics in
hypothesis testing", 2013), between joint distributions of picture and words (DeVries et al., "On the evaluation of conditional GANs",
2019). What a picture looks like is told by the features of a net that was trained to read real train pictures.
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
    in the made and in the real picture; features, real_features (N, D); near, near_real (N,): see `Referee.nearness`; half (N,):
    0 or 1, by which real pictures are cut in two halves
    """

    def __init__(self, tally: Tally):
        self.tally = tally
        told = np.asarray(tally["told"])
        made, real = (np.asarray(tally[name], np.float64) for name in ("features", "real_features"))
        self.right, self.right_real = (tally[name] == told for name in ("read", "read_real"))
        self.varying = (told != told[:1]).any(0) if len(told) else np.zeros(told.shape[1:], bool)
        slots = told[:, self.varying] if self.varying.any() else told
        self.alike = (slots[:, None] == slots[None]).mean(2) if len(told) else np.zeros((0, 0))
        apart = ~np.eye(
            len(told), dtype=bool
        )  # no picture is compared with itself, nor with the real one of its own words
        self.between = {"made": _distances(made, made), "real": _distances(real, real), "cross": _distances(made, real)}
        self.apart, self.joint = apart.astype(np.float64), self.alike * apart
        same = (self.alike == 1) & apart
        self.same = (same if same.sum() >= len(told) else apart).astype(np.float64)

    def figures(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """likeness: how far apart made ones are among themselves and real ones among themselves, against how far made ones are from real ones,
        all of the same words: 1 for the same distribution, towards 0 the farther away, and less than 1 too if all made ones are alike;
        real_likeness: the same of two halves of the real ones, which is what chance gives; picture_likeness: whatever the
        words; prompt_accuracy: the share in which all words are read that were asked for, word_accuracy: of the words that are
        not in all captions; real_accuracy: prompt_accuracy of the real pictures, so what the reader knows; diversity: how far
        apart pictures of the same words are (where there are enough, else of all), against real ones: 1 is as far; copies: the
        share that lies as near to a train picture as 1% of real pictures do. NaN where there is no picture."""
        count = len(self.tally["told"])
        if not count:
            return dict.fromkeys(FIGURES, float("nan"))
        weights = np.ones(count) if rows is None else np.bincount(rows, minlength=count).astype(np.float64)
        some = weights * (np.asarray(self.tally["half"]) == 0)
        others = weights - some
        near, near_real = (
            self.tally[name] if rows is None else self.tally[name][rows] for name in ("near", "near_real")
        )
        share = weights / weights.sum()
        return {
            "likeness": self._likeness(weights, self.joint),
            "prompt_accuracy": float(share @ self.right.all(1)),
            "word_accuracy": float(share @ (self.right[:, self.varying] if self.varying.any() else self.right).mean(1)),
            "picture_likeness": self._likeness(weights, self.apart),
            "diversity": _ratio(
                weights @ (self.same * self.between["made"]) @ weights,
                weights @ (self.same * self.between["real"]) @ weights,
            ),
            "copies": float((near < np.quantile(near_real, RARE)).mean())
            if np.isfinite(near_real).all()
            else float("nan"),
            "real_likeness": self._among_real(some, others),
            "real_accuracy": float(share @ self.right_real.all(1)),
        }

    def _likeness(self, weights: Matrix, pairs: Matrix) -> float:
        """1 minus the coefficient of inhomogeneity of Szekely and Rizzo (2013, section 3)."""
        made, real, cross = (weights @ (pairs * self.between[name]) @ weights for name in ("made", "real", "cross"))
        if not weights @ pairs @ weights:
            return float("nan")
        return float((made + real) / (2 * cross)) if cross else 1.0

    def _among_real(self, some: Matrix, others: Matrix) -> float:
        far = self.joint * self.between["real"]
        within = sum(_ratio(half @ far @ half, half @ self.joint @ half) for half in (some, others))
        return _ratio(within, 2 * _ratio(some @ far @ others, some @ self.joint @ others))


FIGURES = (
    "likeness",
    "prompt_accuracy",
    "word_accuracy",
    "picture_likeness",
    "diversity",
    "copies",
    "real_likeness",
    "real_accuracy",
)


def _distances(these: Matrix, those: Matrix) -> Matrix:
    """(N, M) distances of the rows of (N, D) and (M, D)."""
    lengths = (these**2).sum(1)[:, None] + (those**2).sum(1)
    found: Matrix = np.sqrt(np.maximum(lengths - 2 * these @ those.T, 0))
    return found


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")
