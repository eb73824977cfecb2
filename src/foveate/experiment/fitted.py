"""How well the kept weights fit the images that they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from foveate import processes
from foveate.data.batches import validation_batches
from foveate.data.subset import Subset
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.models.model import VisionModel
from foveate.tasks.task import Task
from foveate.tasks.tiling import Tiled
from foveate.training.validation import BatchStream, validate

MAX_IMAGES = 500
"""Train images that are measured, and no more than validation images: it takes no longer than one
validation."""


def measure_fit(run: RunFolder, prepared: PreparedData) -> tuple[float, float]:
    """Measure the kept weights on train images that are not augmented.

    The training curves do not show this: they are measured on augmented images, with dropout, by
    weights that still change. Where several processes train together, each of them calls this.

    Args:
        run: A run that is trained.
        prepared: Its data.

    Returns:
        Loss and curve metric; nan where there is nothing to score.
    """
    limit = min(MAX_IMAGES, len(prepared.splits["valid"]))
    rows = prepared.drawn("train", limit, run.settings.seed)
    images: tuple[Subset, Any, Any] = replace(
        prepared, splits={**prepared.splits, "train": rows}
    ).of("train")
    task, net = run.load()
    if isinstance(task, Tiled):
        images = task.tile_targets(*images)
    return validate(net, task, own_batches(task, net, images))


def own_batches(
    task: Task[Any], net: VisionModel, images: tuple[Subset, Sequence[Any], Sequence[str]]
) -> BatchStream:
    """The batches of some images that this process validates, where several share them.

    Args:
        task: Collates images and targets.
        net: What is validated.
        images: Images, targets and ids.
    """
    size, rank, ranks = task.validation_batch(net), processes.rank(), processes.size()
    return validation_batches(task, *images, size, rank=rank, ranks=ranks)
