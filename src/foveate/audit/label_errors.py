"""The deep part of an audit: what nets that never saw a picture make of its label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import models
from foveate.annotations import Label
from foveate.audit.finding import Finding
from foveate.data.augment.images import suited
from foveate.data.batches import Batches
from foveate.data.cache.decoding import Pictures
from foveate.data.split.assign import groups, iterative_stratify
from foveate.data.subset import Subset
from foveate.errors import SettingError
from foveate.metrics import label_errors
from foveate.models.model import VisionModel, pixel_statistics
from foveate.tasks.classification import Classification
from foveate.training import device
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

FOLDS = 4
SHOWN = 200_000
"""Pictures shown to each fold's net: few epochs of much data, at most 30 of little. Longer, and it learns wrong labels too."""
BATCH = 128


@dataclass(frozen=True)
class LabelErrors:
    """What the nets say. Rows are of the pictures given.

    labels: (N,) the class that each picture was given
    probabilities: (N, K), each row from a net that was not trained on that picture, nor on a copy of it
    doubt: (N,) how much more another class is believed than the label; sorted by it, likely label errors come first
    suspects: rows whose label is probably wrong by confident learning, surest first
    ambiguous: (N,) near 1 where it could be either of two classes
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    doubt: NDArray[np.float64]
    suspects: list[int]
    ambiguous: NDArray[np.float64]


def find_label_errors(
    images: Pictures[Any],
    clusters: NDArray[np.int64],
    *,
    model: str = "tiny_cnn",
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> LabelErrors:
    """Train FOLDS nets, each on all folds but one, and ask it about that one.

    clusters: (N,) equal for copies of a picture, which stay in one fold
    tick: called with how many thousandths of the work are done
    Raises SettingError unless every picture has one class.
    """
    samples = images.dataset.samples
    labels = np.array(
        [sample.target.index for sample in samples if isinstance(sample.target, Label)], np.int64
    )
    if len(labels) < len(samples):
        raise SettingError(
            "--deep asks for one class a picture; these annotations are for " + images.dataset.task,
            where="deep",
            remedy="Leave it out; the other checks look at boxes, masks and captions as well.",
        )
    classes = len(images.dataset.classes)
    fold = _folds(images, labels, clusters, classes, seed)
    probabilities = np.zeros((len(samples), classes))
    for k in range(FOLDS):
        held = np.flatnonzero(fold == k)
        probabilities[held] = _ask(
            images,
            np.flatnonzero(fold != k),
            held,
            model,
            seed + k,
            lambda share, k=k: tick(round(1000 * (k + share) / FOLDS)),  # type: ignore[misc]
        )
    return LabelErrors(
        labels,
        probabilities,
        label_errors.doubt(probabilities, labels),
        label_errors.suspects(probabilities, labels),
        label_errors.ambiguity(probabilities),
    )


def findings(deep: LabelErrors, dataset: Any) -> list[Finding]:
    """One finding a label that is probably wrong."""
    found = []
    for row in deep.suspects:
        sample, other = dataset[row], int(deep.probabilities[row].argmax())
        reason = (
            f"labelled {dataset.classes[deep.labels[row]]!r}; a net that never saw it says {dataset.classes[other]!r} "
            f"({deep.probabilities[row, other]:.0%})"
        )
        found.append(
            Finding(
                "warning",
                "label probably wrong",
                (sample.id,),
                reason,
                "Look at it and correct the label.",
                score=float(deep.doubt[row]),
            )
        )
    return found


def _folds(
    images: Pictures[Any],
    labels: NDArray[np.int64],
    clusters: NDArray[np.int64],
    classes: int,
    seed: int,
) -> NDArray[np.int64]:
    """(N,) the fold of each picture: classes alike in all, copies and groups together."""
    samples = images.dataset.samples
    units = groups(samples, clusters.tolist())
    strata = [(int(label),) for label in labels]
    fold = np.zeros(len(samples), np.int64)
    for unit, place in zip(
        units,
        iterative_stratify(samples, strata, units, [1 / FOLDS] * FOLDS, classes, seed),
        strict=True,
    ):
        fold[unit] = place
    return fold


def _ask(
    images: Pictures[Any],
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    model: str,
    seed: int,
    tick: Callable[[float], None],
) -> NDArray[np.float64]:
    """(len(held), K) probabilities from a net trained on `train`."""
    where = device.prepare(seed)
    dataset, pixels = images.dataset, images.pixels
    epochs = min(30, max(3, round(SHOWN / len(train))))
    policy = suited(
        pixels.shape[1], hflip_safe=dataset.hflip_safe, classes=dataset.classes, epochs=epochs
    )
    task = Classification(dataset.classes, label_smoothing=0.1, mirror=policy.flip)
    shown = Subset(
        pixels, train
    )  # taken as they are asked for, so that a large set is never copied
    ids = [dataset[int(row)].id for row in train]
    targets = [dataset[int(row)].target for row in train]
    size, channels = pixels.shape[1], pixels.shape[3]
    mean, std = pixel_statistics(shown)
    net = VisionModel(
        task.head(models.build(model, channels=channels, size=size)), size=size, mean=mean, std=std
    ).to(where)
    batches = Batches(
        task, shown, targets, ids, batch_size=min(BATCH, len(ids)), seed=seed, augment=policy
    )
    total = max(1, epochs * batches.per_epoch)
    recipe = models.find(model).recipe(pretrained=False)
    factor = schedule("one-cycle")
    trained = optimizer(recipe.optimizer, net, lr=recipe.lr, weight_decay=5e-4)
    for step in islice(
        steps(net, task.loss, batches(), trained, lambda n: factor(n / total), seed=seed), total
    ):
        tick((step.number + 1) / total)
    predictions: Sequence[Label] = task.predict(net, Subset(pixels, held))
    return np.array([prediction.scores for prediction in predictions]).reshape(
        len(held), len(dataset.classes)
    )
