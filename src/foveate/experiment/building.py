"""The net of a run with its first weights, and the recipe by which it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foveate import models
from foveate.data.image_reading import ImageReading
from foveate.models.model import VisionModel, pixel_statistics, published_statistics
from foveate.models.registry import Recipe
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task


def recipe_of(settings: Settings) -> Recipe:
    """The training recipe of a run's model."""
    return models.find(settings.model).recipe(
        pretrained=settings.weights is not None,
        frozen=settings.freeze,
        dense=settings.task != Classification.name,
    )


def build_net(
    task: Task[Any], settings: Settings, pixels: Any, reading: ImageReading
) -> VisionModel:
    """The net with its first weights; normalised by the train split, or as its weights were."""
    size, channels = pixels.shape[1], pixels.shape[3]
    start: models.Weights
    match settings.weights:
        case "download" | "included" | None:
            start = settings.weights
        case _:
            start = Path(settings.weights)
    backbone = models.build(settings.model, channels=channels, size=size, weights=start)
    if settings.freeze:
        backbone.freeze()
    elif start is not None and channels in (1, 3):  # filters for more bands are a guess, and learn
        backbone.freeze(recipe_of(settings).frozen_groups)
    mean, std = (
        published_statistics(channels, backbone.statistics) if start else pixel_statistics(pixels)
    )
    net = VisionModel(task.head(backbone), size=size, mean=mean, std=std, reading=reading)
    if start is None:
        net.fit(pixels)
    return net
