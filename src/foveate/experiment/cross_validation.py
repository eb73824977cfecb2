"""Out-of-fold probabilities: each image is predicted by a net that was not trained on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import models
from foveate.annotations import Label
from foveate.data.augment.images import default_policy
from foveate.data.batches import Batches
from foveate.data.cache.decoding import DecodedImages
from foveate.data.split.assign import group_into_units
from foveate.data.split.stratify import iterative_stratify
from foveate.data.subset import Subset
from foveate.errors import SettingError
from foveate.models.model import VisionModel, pixel_statistics
from foveate.tasks.classification import Classification
from foveate.training import device
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

FOLDS = 4
MAX_IMAGES_SEEN, MAX_EPOCHS = 200_000, 30
"""Length of each net's training: few epochs of much data, MAX_EPOCHS of little. After longer
training it would learn wrong labels too."""
BATCH_SIZE = 128


def class_labels(images: DecodedImages[Any]) -> NDArray[np.int64]:
    """(N,) the class of each image.

    Raises:
        SettingError: The annotations are not one class for each image.
    """
    targets: list[Any] = [sample.target for sample in images.dataset]
    if any(target is None or target.task != Classification.name for target in targets):
        raise SettingError(
            "--deep needs one class for each image; these annotations are for "
            f"{images.dataset.task}",
            where="deep",
            remedy="Leave it out; the other checks look at boxes, masks and captions as well.",
        )
    return np.array([target.index for target in targets], np.int64)


def out_of_fold_probabilities(
    images: DecodedImages[Any],
    labels: NDArray[np.int64],
    clusters: NDArray[np.int64],
    *,
    model: str = "tiny_cnn",
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float64]:
    """Train FOLDS nets, each on all folds but one, and predict that one.

    Args:
        images: N images with one class each.
        labels: (N,) their classes, from `class_labels`.
        clusters: (N,) equal for copies of an image, which stay in one fold.
        model: The backbone.
        seed: Seed of folds and nets.
        on_progress: Called with the share of the work that is done.

    Returns:
        (N, K) probabilities.
    """
    fold_of = _folds(images, labels, clusters, seed)
    probabilities = np.zeros((len(labels), len(images.dataset.classes)))
    for fold in range(FOLDS):
        held_out = np.flatnonzero(fold_of == fold)

        def on_step(share: float, fold: int = fold) -> None:
            on_progress((fold + share) / FOLDS)

        probabilities[held_out] = _predict_fold(
            images, np.flatnonzero(fold_of != fold), held_out, model, seed + fold, on_step
        )
    return probabilities


def _folds(
    images: DecodedImages[Any], labels: NDArray[np.int64], clusters: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """(N,) the fold of each image: classes spread evenly, copies and groups together."""
    samples = images.dataset.samples
    units = group_into_units(samples, clusters.tolist())
    strata = [(int(label),) for label in labels]
    shares, classes = [1 / FOLDS] * FOLDS, len(images.dataset.classes)
    fold_of = np.zeros(len(samples), np.int64)
    folds = iterative_stratify(
        [sample.id for sample in samples], strata, units, shares, classes, seed
    )
    for unit, fold in zip(units, folds, strict=True):
        fold_of[unit] = fold
    return fold_of


def _predict_fold(
    images: DecodedImages[Any],
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
    model: str,
    seed: int,
    on_step: Callable[[float], None],
) -> NDArray[np.float64]:
    """(len(held_out), K) probabilities of a net that is trained on the rows `train`."""
    torch_device = device.prepare(seed)
    dataset, pixels = images.dataset, images.pixels
    epochs = min(MAX_EPOCHS, max(3, round(MAX_IMAGES_SEEN / len(train))))
    policy = default_policy(
        pixels.shape[1], hflip_safe=dataset.hflip_safe, classes=dataset.classes, epochs=epochs
    )
    task = Classification(dataset.classes, label_smoothing=0.1, hflip=policy.flip)
    train_pixels = Subset(pixels, train)  # read when indexed: a large dataset is never copied
    size, channels = pixels.shape[1], pixels.shape[3]
    mean, std = pixel_statistics(train_pixels)
    head = task.head(models.build(model, channels=channels, size=size))
    net = VisionModel(head, size=size, mean=mean, std=std)
    net.fit(train_pixels)
    net = net.to(torch_device)
    batches = Batches(
        task,
        train_pixels,
        [dataset[int(row)].target for row in train],
        [dataset[int(row)].id for row in train],
        batch_size=min(BATCH_SIZE, len(train)),
        seed=seed,
        augment=policy,
    )
    total = max(1, epochs * batches.per_epoch)
    recipe, factor = models.find(model).recipe(pretrained=False), schedule("one-cycle")
    built = optimizer(recipe.optimizer, net, lr=float(recipe.lr), weight_decay=5e-4)
    training = steps(net, task.loss, batches(), built, lambda n: factor(n / total), seed=seed)
    for step in islice(training, total):
        on_step((step.number + 1) / total)
    predictions: Sequence[Label] = task.predict(net, Subset(pixels, held_out))
    scores = np.array([prediction.scores for prediction in predictions])
    return scores.reshape(len(held_out), len(dataset.classes))
