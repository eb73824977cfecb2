"""Metrics of images generated from captions: do they show the caption, and do they look real?

Neither question suffices alone: images that all look alike can show the caption, and perfect ones
can show something else. The primary metric, likeness, therefore compares images of the same
captions, by the energy distance (Szekely and Rizzo, "Energy statistics", 2013) between joint
distributions of image and caption (DeVries et al., "On the evaluation of conditional GANs", 2019).
It is a kernel distance without a width to choose (Sejdinovic et al., "Equivalence of distance-based
and RKHS-based statistics in hypothesis testing", 2013). Images are compared by features of a
network that was trained to recognise the captions of real training images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Annotation, Captions
from foveate.data.dataset import Image, Images, SplitName
from foveate.data.rng import sample_keys
from foveate.data.vocabulary import Vocabulary
from foveate.errors import DataError
from foveate.metrics.columns import MANY, Column
from foveate.metrics.intervals import MetricValue, Range, proportion
from foveate.metrics.metric import Metric, PerImageStats
from foveate.metrics.resampling import Score, number_groups

Matrix = NDArray[np.float64]

COPY_QUANTILE = 0.01
"""Share of real images that would be called copies of training images."""
METRICS = (
    "likeness",
    "prompt_accuracy",
    "word_accuracy",
    "image_likeness",
    "diversity",
    "copies",
    "real_likeness",
    "real_accuracy",
)


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedImage(Annotation):
    """An image generated from a caption.

    Attributes:
        image: (H, W, C) uint8.
        text: The caption.
        real: The image that the caption belongs to; None if the user wrote it.
    """

    task: ClassVar[str] = Captions.task

    image: Image
    text: str
    real: Image | None = None

    def present(self) -> tuple[int, ...]:
        """Generated images have no classes."""
        return ()


class Evaluator(Protocol):
    """A network that recognises captions: see `training.caption_evaluator`."""

    vocabulary: Vocabulary

    def read(self, images: Images) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(N, L) tokens and (N, D) features of N images."""
        ...

    def relative_distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N,) distance to the nearest training image, relative to those around it."""
        ...


class GenerationMetric(Metric[Captions | GeneratedImage]):
    """Metrics of generated images; `per_image` needs an evaluator."""

    ranges: ClassVar[Mapping[str, Range]] = {"diversity": (0.0, math.inf)}

    def __init__(self, evaluator: Evaluator | None):
        self.evaluator = evaluator

    def check_targets(self, split: SplitName, targets: Sequence[Captions | GeneratedImage]) -> None:
        """Raise DataError if there are no two images to compare."""
        if len(targets) < 2:
            raise DataError(
                f"two images of the {split} split are expected, got {len(targets)}: generated "
                "images are compared with pairs of them",
                remedy="Add images with captions, or put more into that split.",
            )

    def per_image(
        self,
        predictions: Sequence[Captions | GeneratedImage],
        targets: Sequence[Captions | GeneratedImage],
    ) -> PerImageStats:
        """The columns of `Scorer`; captions as predictions count as perfect images."""
        evaluator = self.evaluator
        assert evaluator is not None, "load_evaluator comes before scoring"
        captions = [target.texts[0] for target in targets if isinstance(target, Captions)]
        prompts = evaluator.vocabulary.read(captions)
        generated = [one for one in predictions if isinstance(one, GeneratedImage)]
        if len(generated) < len(predictions) or not generated:
            return _perfect(prompts)
        read, features = evaluator.read([one.image for one in generated])
        reals = [one.image if one.real is None else one.real for one in generated]
        read_real, real_features = evaluator.read(reals)
        return {
            "prompts": prompts,
            "read": read,
            "read_real": read_real,
            "features": features.round(4),
            "real_features": real_features.round(4),
            "distance": evaluator.relative_distance(features).round(4),
            "real_distance": evaluator.relative_distance(real_features).round(4),
            "half": (image_keys(reals) % 2).astype(np.int64),
        }

    def columns(self) -> Mapping[str, Column]:
        """See `Scorer`."""
        tokens, features = Column(("L",)), Column(("D",), low=-MANY, whole=False)
        distance = Column(whole=False, nan=True)
        return {
            "prompts": tokens,
            "read": tokens,
            "read_real": tokens,
            "features": features,
            "real_features": features,
            "distance": distance,
            "real_distance": distance,
            "half": Column(high=1),
        }

    def scorer(self, stats: PerImageStats) -> Score:
        """Scores any selection of rows."""
        return Scorer(stats).metrics

    def exact_values(
        self, stats: PerImageStats, clusters: NDArray[np.int64] | None = None
    ) -> dict[str, MetricValue]:
        """The shares of images whose whole caption is recognised are proportions."""
        prompts = np.asarray(stats["prompts"])
        if not len(prompts):
            return {}
        unit = number_groups(len(prompts), clusters)
        return {
            name: proportion((stats[column] == prompts).all(1), unit)
            for name, column in (("prompt_accuracy", "read"), ("real_accuracy", "read_real"))
        }


def _perfect(prompts: NDArray[np.int64]) -> PerImageStats:
    """Statistics of images that equal the real ones."""
    count = len(prompts)
    return {
        "prompts": prompts,
        "read": prompts,
        "read_real": prompts,
        "features": np.zeros((count, 1)),
        "real_features": np.zeros((count, 1)),
        "distance": np.full(count, np.nan),
        "real_distance": np.full(count, np.nan),
        "half": np.zeros(count, np.int64),
    }


def image_keys(images: Images) -> NDArray[np.uint64]:
    """(N,) keys for random draws that depend on the pixels of each image and on nothing else."""
    digests = (
        blake2b(np.ascontiguousarray(image).tobytes(), digest_size=8).hexdigest()
        for image in images
    )
    return sample_keys(list(digests))


class Scorer:
    """Metrics of any selection of images.

    Args:
        stats: Columns with one row an image. prompts, read, read_real: (N, L) tokens of the
            caption, and those recognised in the generated and in the real image; features,
            real_features: (N, D); distance, real_distance: (N,) relative distance to the training
            images; half: (N,) 0 or 1, which splits the real images in two.
    """

    def __init__(self, stats: PerImageStats):
        self.stats = stats
        prompts = np.asarray(stats["prompts"])
        generated, real = (
            np.asarray(stats[name], np.float64) for name in ("features", "real_features")
        )
        count = len(prompts)
        varying = (prompts != prompts[:1]).any(0) if count else np.zeros(prompts.shape[1:], bool)
        varying = varying if varying.any() else np.ones_like(varying)
        similarity = (
            (prompts[:, None, varying] == prompts[None][:, :, varying]).mean(2)
            if count
            else np.zeros((0, 0))
        )
        correct, correct_real = (stats[name] == prompts for name in ("read", "read_real"))
        self.shares = {
            "prompt_accuracy": correct.all(1),
            "word_accuracy": correct[:, varying].mean(1),
            "real_accuracy": correct_real.all(1),
        }
        # No image is compared with itself, nor with the real image of its own caption.
        others = 1.0 - np.eye(count)
        joint, same = similarity * others, (similarity == 1) * others
        joint = joint if joint.any() else others  # few captions may share no word at all
        same = same if same.sum() >= count else others
        distances = {
            "generated": _distances(generated, generated),
            "real": _distances(real, real),
            "cross": _distances(generated, real),
        }
        # Weighted once, as a thousand resamples are scored: the pairs, and their distances.
        self.pairs = {"joint": joint, "any": others, "same": same}
        self.weighted = {
            kind: {of: pairs * distance for of, distance in distances.items()}
            for kind, pairs in self.pairs.items()
        }

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """Metrics of a selection of images, by default of all.

        Returns:
            likeness: 1 / (1 + d), where d is the energy distance of generated from real images of
            the same captions, in units of the mean distance of real images of any captions: 1 for
            equal distributions; real_likeness: the same of two halves of the real images, so what
            chance gives; image_likeness: whatever the captions; prompt_accuracy: share of the
            images in which the whole caption is recognised; word_accuracy: of the words that are
            not in all captions; real_accuracy: prompt_accuracy of the real images, so what the
            evaluator can do; diversity: mean distance of images of the same caption (of any
            captions, if there are too few) divided by that of real ones; copies: share that is as
            near to a training image as 1% of the real images are. NaN if there is no image.
        """
        count = len(self.stats["prompts"])
        if not count:
            return dict.fromkeys(METRICS, float("nan"))
        weights = (
            np.ones(count)
            if rows is None
            else np.bincount(rows, minlength=count).astype(np.float64)
        )
        first_half = weights * (np.asarray(self.stats["half"]) == 0)
        second_half = weights - first_half
        distance, real_distance = (
            self.stats[name] if rows is None else self.stats[name][rows]
            for name in ("distance", "real_distance")
        )
        shares = {
            name: float(weights @ share / weights.sum()) for name, share in self.shares.items()
        }
        same = {of: weights @ self.weighted["same"][of] @ weights for of in ("generated", "real")}
        known = np.isfinite(real_distance).all()
        return {
            "likeness": self._likeness(weights, "joint"),
            "prompt_accuracy": shares["prompt_accuracy"],
            "word_accuracy": shares["word_accuracy"],
            "image_likeness": self._likeness(weights, "any"),
            "diversity": _ratio(same["generated"], same["real"]),
            "copies": float((distance < np.quantile(real_distance, COPY_QUANTILE)).mean())
            if known
            else float("nan"),
            "real_likeness": self._real_likeness(first_half, second_half),
            "real_accuracy": shares["real_accuracy"],
        }

    def _likeness(self, weights: Matrix, kind: str) -> float:
        generated, real, cross = (
            self._mean(kind, of, weights, weights) for of in ("generated", "real", "cross")
        )
        scale = self._mean("any", "real", weights, weights)
        return _to_likeness(2 * cross - generated - real, scale)

    def _real_likeness(self, first: Matrix, second: Matrix) -> float:
        one, other, cross = (
            self._mean("joint", "real", *pair)
            for pair in ((first, first), (second, second), (first, second))
        )
        scale = self._mean("any", "real", first + second, first + second)
        return _to_likeness(2 * cross - one - other, scale)

    def _mean(self, kind: str, of: str, first: Matrix, second: Matrix) -> float:
        """The mean distance of pairs of this kind."""
        return _ratio(first @ self.weighted[kind][of] @ second, first @ self.pairs[kind] @ second)


def _to_likeness(energy: float, scale: float) -> float:
    """From 0 to 1. An energy distance below 0, which chance gives, is that of equal images."""
    if scale:
        return 1 / (1 + max(energy, 0.0) / scale)
    return float("nan") if np.isnan(energy) else float(energy <= 0)


def _distances(first: Matrix, second: Matrix) -> Matrix:
    """(N, M) distances of the rows of (N, D) and (M, D)."""
    lengths = (first**2).sum(1)[:, None] + (second**2).sum(1)
    distances: Matrix = np.sqrt(np.maximum(lengths - 2 * first @ second.T, 0))
    return distances


def _ratio(numerator: Any, denominator: Any) -> float:
    return float(numerator / denominator) if denominator else float("nan")
