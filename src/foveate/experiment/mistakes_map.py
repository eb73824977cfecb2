"""A map of the images of a split, as the net that classifies them sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.feature_map import MAX_MAP_IMAGES, feature_map, rows_on_map
from foveate.audit.feature_space import standardised
from foveate.data.dataset import SplitName
from foveate.data.subset import Subset
from foveate.experiment.prepared_data import PreparedData
from foveate.models.features import features, last_layer
from foveate.models.model import VisionModel
from foveate.report.map_chart import class_map
from foveate.report.panels import Chart
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task

MAX_PIXELS = 2**23
"""Pixels of the images on the map: their features take some seconds."""


def mistakes_map(
    task: Task[Any],
    net: VisionModel,
    prepared: PreparedData,
    split: SplitName,
    ids: Sequence[str],
    stats: Mapping[str, NDArray[Any]],
) -> Iterator[Chart]:
    """Draw the map, with a ring around each mistake; nothing where it would say nothing.

    Args:
        task: The task.
        net: The trained net.
        prepared: The data.
        split: The split that was predicted.
        ids: N ids of the images that were predicted.
        stats: What was predicted, from the task's metric.
    """
    if not isinstance(task, Classification) or last_layer(net) is None:
        return
    wrong = np.flatnonzero(stats["target"] != stats["predicted"])
    most = min(MAX_MAP_IMAGES, MAX_PIXELS // net.size**2)
    rows = rows_on_map(len(ids), wrong.tolist(), most)
    if not len(rows):
        return
    images, _, ids_of_images = prepared.of(split)
    row_of = dict(zip(ids_of_images, images.rows.tolist(), strict=True))
    shown = Subset(images.pixels, np.array([row_of[ids[row]] for row in rows]))
    seen = features(net, shown)
    some = f" {len(rows):,} of {len(ids):,} images are shown." if len(rows) < len(ids) else ""
    yield Chart(
        "Map of the images",
        "Images whose features, the inputs of the network's last layer, are similar lie near each "
        "other (t-SNE). Mistakes lie where classes meet, or inside another class: look there for "
        f"wrong labels. Distances between groups mean little.{some}",
        class_map(
            feature_map(standardised(seen)),
            stats["target"][rows],
            task.classes,
            np.isin(rows, wrong),
            "predicted wrongly",
        ),
    )
