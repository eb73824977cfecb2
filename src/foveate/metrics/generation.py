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

PerImageStats = Mapping[str, NDArray[Any]]
Matrix = NDArray[np.float64]

RARE = 0.01
"""The share of real pictures that would be called copies."""


@dataclass(frozen=True, eq=False)
class GeneratedImage:
    """picture: (H, W, C) uint8, made from words; text: these; real: the picture that they were taken from, if from one"""

    image: Image
    text: str
    real: Image | None = None


class Scorer:
    """Figures of any choice of a tally's rows.

    Its columns, a row a picture: told, read, read_real (N, L): the numbers of the words that were asked for, and of those that are read
    in the made and in the real picture; features, real_features (N, D); near, near_real (N,): see `Referee.nearness`; half (N,):
    0 or 1, by which real pictures are cut in two halves
    """

    def __init__(self, stats: PerImageStats):
        self.stats = stats
        told = np.asarray(stats["told"])
        made, real = (np.asarray(stats[name], np.float64) for name in ("features", "real_features"))
        varying = (told != told[:1]).any(0) if len(told) else np.zeros(told.shape[1:], bool)
        varying = varying if varying.any() else np.ones_like(varying)
        alike = (
            (told[:, None, varying] == told[None][:, :, varying]).mean(2)
            if len(told)
            else np.zeros((0, 0))
        )
        right, right_real = (stats[name] == told for name in ("read", "read_real"))
        self.shares = {
            "prompt_accuracy": right.all(1), "word_accuracy": right[:, varying].mean(1), "real_accuracy": right_real.all(1)
        }  # fmt: skip
        apart = 1.0 - np.eye(
            len(told)
        )  # no picture is compared with itself, nor with the real one of its own words
        joint, same = alike * apart, (alike == 1) * apart
        same = same if same.sum() >= len(told) else apart
        between = {
            "made": _distances(made, made),
            "real": _distances(real, real),
            "cross": _distances(made, real),
        }
        # Weighted once, since a thousand resamples are scored: the pairs of each kind, and how far apart they are.
        self.pairs = {"joint": joint, "apart": apart, "same": same}
        self.far = {
            kind: {of: pairs * far for of, far in between.items()}
            for kind, pairs in self.pairs.items()
        }

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """likeness: 1 / (1 + d), d being the energy distance of made pictures from real ones of the same words, where 1 is how far apart real
        ones of any words are: 1 for the same distribution, towards 0 the farther away made ones are, or from each other;
        real_likeness: the same of two halves of the real ones, which is what chance gives; picture_likeness: whatever the
        words; prompt_accuracy: the share in which all words are read that were asked for, word_accuracy: of the words that are
        not in all captions; real_accuracy: prompt_accuracy of the real pictures, so what the reader knows; diversity: how far
        apart pictures of the same words are (where there are enough, else of all), against real ones: 1 is as far; copies: the
        share that lies as near to a train picture as 1% of real pictures do. NaN where there is no picture.
        """
        count = len(self.stats["told"])
        if not count:
            return dict.fromkeys(FIGURES, float("nan"))
        weights = (
            np.ones(count)
            if rows is None
            else np.bincount(rows, minlength=count).astype(np.float64)
        )
        some = weights * (np.asarray(self.stats["half"]) == 0)
        others = weights - some
        near, near_real = (
            self.stats[name] if rows is None else self.stats[name][rows]
            for name in ("near", "near_real")
        )
        shares = {
            name: float(weights @ right / weights.sum()) for name, right in self.shares.items()
        }
        same = {of: weights @ self.far["same"][of] @ weights for of in ("made", "real")}
        known = np.isfinite(near_real).all()
        return {
            "likeness": self._likeness(weights, "joint"),
            "prompt_accuracy": shares["prompt_accuracy"],
            "word_accuracy": shares["word_accuracy"],
            "picture_likeness": self._likeness(weights, "apart"),
            "diversity": _ratio(same["made"], same["real"]),
            "copies": float((near < np.quantile(near_real, RARE)).mean())
            if known
            else float("nan"),
            "real_likeness": self._among_real(some, others),
            "real_accuracy": shares["real_accuracy"],
        }

    def _likeness(self, weights: Matrix, kind: str) -> float:
        made, real, cross = (
            self._mean(kind, of, weights, weights) for of in ("made", "real", "cross")
        )
        return _like(2 * cross - made - real, self._mean("apart", "real", weights, weights))

    def _among_real(self, some: Matrix, others: Matrix) -> float:
        one, other, cross = (
            self._mean("joint", "real", *of)
            for of in ((some, some), (others, others), (some, others))
        )
        return _like(
            2 * cross - one - other, self._mean("apart", "real", some + others, some + others)
        )

    def _mean(self, kind: str, of: str, these: Matrix, those: Matrix) -> float:
        """How far apart two of that kind are, on average."""
        return _ratio(these @ self.far[kind][of] @ those, these @ self.pairs[kind] @ those)


def _like(energy: float, apart: float) -> float:
    return (
        1 / (1 + energy / apart)
        if apart
        else float("nan")
        if energy != energy
        else float(energy == 0)
    )


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
