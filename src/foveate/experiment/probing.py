"""The linear probe of a run: a baseline beside every score, and the start of fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foveate import models
from foveate.annotations import Label
from foveate.data.dataset import SplitName
from foveate.experiment.cross_validation import out_of_fold_probabilities
from foveate.experiment.feature_cache import cached_features
from foveate.experiment.prepared_data import PreparedData
from foveate.metrics import label_errors
from foveate.models.backbone import Backbone
from foveate.models.features import features, last_layer
from foveate.models.model import VisionModel, published_statistics
from foveate.progress import NullReporter, Reporter
from foveate.settings import Settings
from foveate.tasks.classification import Classification, labels_of
from foveate.training.doctor import LabelEvidence
from foveate.training.probe import Examples, Probe, fit_probe

NAME = "linear probe"
"""The name of the baseline."""
MODEL = "efficientnet_lite0"
"""The pretrained net whose features it uses."""
MIN_SIZE, MAX_SIZE = 64, 224
"""Sides in pixels between which the images of the baseline are brought."""
MAX_BASELINE_IMAGES = 3_000
"""Train images that the baseline is fitted on, and the start of fine-tuning, which sees all."""
MAX_PROBE_IMAGES = 20_000
"""Train images that the probe is fitted on where it is the model."""
MAX_VALID_IMAGES = 3_000
"""Validation images that choose the regularisation."""
MAX_CHECKED_LABELS = 1_000
"""Train and validation images whose labels are checked: a share is then known to 3 points."""
MIN_CHECKED_LABELS = 100
"""Fewer images say nothing about the share of wrong labels."""


def included_net(
    channels: int, size: int, head: Callable[[Backbone], nn.Module] = lambda backbone: backbone
) -> VisionModel:
    """Build the pretrained net, normalised as its weights were trained.

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels.
        head: Puts a head on the backbone; by default there is none.
    """
    backbone = models.build(MODEL, channels=channels, size=size, weights=models.INCLUDED)
    mean, std = published_statistics(channels, backbone.statistics)
    return VisionModel(head(backbone), size=size, mean=mean, std=std)


def baseline(
    task: Classification, prepared: PreparedData, split: SplitName, seed: int, reporter: Reporter
) -> list[Label]:
    """Predict a split by a linear probe on pretrained features.

    Args:
        task: The classes and their weights.
        prepared: The data; the probe is fitted on its train split.
        split: The split.
        seed: Chooses the train images, if there are many.
        reporter: Receives the progress.
    """
    _, side, _, channels = prepared.images.pixels.shape
    size = min(max(side, MIN_SIZE), MAX_SIZE)
    net = included_net(channels, size, task.head)
    probe, _ = _fit(task, net, prepared, seed, MAX_BASELINE_IMAGES, reporter)
    rows = prepared.splits[split]
    probabilities = probe.probabilities(_features(net, prepared, rows, reporter))
    return labels_of(probabilities)


def check_labels(task: Classification, prepared: PreparedData, seed: int) -> LabelEvidence | None:
    """Cross-validate the linear probe on train and validation images, to find wrong labels.

    The features are those of the baseline, so they lie in the cache.

    Args:
        task: The classes.
        prepared: The data.
        seed: Chooses the images, if there are many, and the folds.

    Returns:
        What probes say about the labels of images that they were not fitted to; None if there are
        too few images for folds.
    """
    _, side, _, channels = prepared.images.pixels.shape
    net = included_net(channels, min(max(side, MIN_SIZE), MAX_SIZE), task.head)
    limits: tuple[tuple[SplitName, int], ...] = (
        ("train", MAX_BASELINE_IMAGES),
        ("valid", MAX_VALID_IMAGES),
    )
    parts = [prepared.drawn(split, limit, seed) for split, limit in limits]
    points = np.concatenate([_features(net, prepared, rows, NullReporter()) for rows in parts])
    rows = np.concatenate(parts)
    if len(rows) < MIN_CHECKED_LABELS:
        return None
    chosen = np.random.default_rng(seed).permutation(len(rows))[:MAX_CHECKED_LABELS]
    rows = rows[chosen]
    dataset = prepared.images.dataset
    samples: list[Any] = [dataset.samples[row] for row in rows]
    dataset = replace(dataset, samples=samples)
    labels = np.array([sample.target.index for sample in samples], np.int64)
    probabilities = out_of_fold_probabilities(
        points[chosen], labels, dataset, prepared.units[rows], seed=seed
    )
    mistakes = int((probabilities.argmax(1) != labels).sum())
    return LabelEvidence(len(rows), mistakes, len(label_errors.suspects(probabilities, labels)))


def starts_from_probe(settings: Settings) -> bool:
    """Whether a run begins with the linear probe as its last layer, see `start_from_probe`."""
    return settings.weights is not None and settings.task == Classification.name


def start_from_probe(
    task: Classification,
    net: VisionModel,
    prepared: PreparedData,
    seed: int,
    reporter: Reporter,
    *,
    alone: bool,
) -> tuple[float, float] | None:
    """Give a pretrained net the linear probe as its last layer.

    Args:
        task: The classes and their weights.
        net: The net, whose last layer is changed.
        prepared: The data.
        seed: Chooses the train images, if there are many.
        reporter: Receives the progress.
        alone: Whether no fine-tuning follows.

    Returns:
        Loss and curve metric on the train images; None if the net does not end with a linear layer
        for these classes.
    """
    layer = last_layer(net)
    if layer is None or layer.out_features != len(task.classes):
        return None
    most = MAX_PROBE_IMAGES if alone else MAX_BASELINE_IMAGES
    probe, (seen, labels) = _fit(task, net, prepared, seed, most, reporter)
    probe.copy_to(layer)
    logits, target = torch.from_numpy(probe.logits(seen)), torch.from_numpy(labels)
    loss = task.loss(logits, target)["total"].item()
    return loss, task.batch_metric(logits, target, quick=False)


def _fit(
    task: Classification,
    net: VisionModel,
    prepared: PreparedData,
    seed: int,
    most: int,
    reporter: Reporter,
) -> tuple[Probe, Examples]:
    """The probe on the features of a net, and the train images that it was fitted on."""
    limits: tuple[tuple[SplitName, int], ...] = (("train", most), ("valid", MAX_VALID_IMAGES))
    samples, parts = prepared.images.dataset.samples, []
    for split, limit in limits:
        rows = prepared.drawn(split, limit, seed)
        labels = np.array([samples[row].target.index for row in rows], np.int64)
        parts.append((_features(net, prepared, rows, reporter), labels))
    weights = None if task.class_weights is None else task.class_weights.tolist()
    return fit_probe(parts[0], parts[1], len(task.classes), weights), parts[0]


def _features(
    net: VisionModel, prepared: PreparedData, rows: NDArray[np.int64], reporter: Reporter
) -> NDArray[np.float32]:
    """(N, D) features of some images, from the cache if they were computed before."""
    layer = last_layer(net)
    assert layer is not None, "a net that ends with a linear layer is expected"
    kept = [
        (name, value)
        for name, value in net.state_dict(keep_vars=True).items()
        if value is not layer.weight and value is not layer.bias
    ]
    return cached_features(features, net, kept, prepared.images, rows, layer.in_features, reporter)
