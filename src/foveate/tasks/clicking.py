"""Objects of an image by clicks that are made from targets, or that lie on a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data.dataset import Image, Images
from foveate.metrics import interactive
from foveate.metrics.interactive import InteractiveResult
from foveate.models.interactive import Candidates, InteractivePredictor
from foveate.ops.clicks import Click
from foveate.tasks.presenters.promptable import Prediction
from foveate.tasks.prompted import PromptedImages

GRID = 8
"""Clicks a side of the grid that segments an image without prompts."""
MIN_IOU = 0.7
"""Masks with a lower estimated IoU are dropped there."""
DUPLICATE_IOU = 0.5
"""IoU from which two of these masks are the same object."""


def segment(images: Images, set_image: Callable[[Image], InteractivePredictor]) -> list[Prediction]:
    """Segment the objects of prompted images by clicks, other images by a grid of clicks.

    Args:
        images: The images.
        set_image: Encodes one of them.
    """
    if isinstance(images, PromptedImages):
        return [
            click_on_objects(set_image(image), images.targets[row])
            for row, image in enumerate(images)
        ]
    return [segment_everything(set_image(image)) for image in images]


def click_on_objects(predictor: InteractivePredictor, target: Instances) -> InteractiveResult:
    """Click on each object, and then where the last prediction was most wrong."""
    (result,) = click_on_images(predictor, predictor.predict_batch, [target])
    return result


def click_on_images(
    predictor: InteractivePredictor,
    predict_batch: Callable[..., Candidates],
    targets: Sequence[Instances],
) -> list[InteractiveResult]:
    """Click on all objects of some images of one size at once, and then on the errors.

    Args:
        predictor: Of the images.
        predict_batch: `predictor.predict_batch`, or a function with the same arguments that knows
            in which image each of the N objects is.
        targets: The targets of the images.
    """
    rows = [interactive.evaluated_rows(target) for target in targets]
    masks = np.concatenate(
        [target[own].masks(predictor.size) for target, own in zip(targets, rows, strict=True)]
    )

    def predict(
        clicks: Sequence[Sequence[Click]], previous: Any | None
    ) -> tuple[NDArray[np.bool_], Any]:
        logits = predict_batch(clicks, [None] * len(clicks), previous).best()
        return predictor.to_masks(logits), logits

    rounds = list(interactive.click_rounds(masks, predict))
    ends = np.cumsum([len(own) for own in rows])
    return [
        InteractiveResult(own, tuple(one[slice(end - len(own), end)] for one in rounds))
        for own, end in zip(rows, ends.tolist(), strict=True)
    ]


def segment_everything(predictor: InteractivePredictor) -> Instances:
    """The objects found by clicks on a grid, each once, by falling estimated IoU."""
    height, width = predictor.size
    clicks = [
        ((column + 0.5) * width / GRID, (row + 0.5) * height / GRID)
        for row in range(GRID)
        for column in range(GRID)
    ]
    masks, scores = [], []
    for start in range(0, len(clicks), GRID):  # a row of the grid at a time, to hold few masks
        prompts = [[(x, y, True)] for x, y in clicks[start : start + GRID]]
        prediction = predictor.predict_batch(prompts, [None] * GRID)
        masks.append(predictor.to_masks(prediction.best()))
        scores.append(prediction.best_ious())
    return _suppress(np.concatenate(masks), np.concatenate(scores).astype(np.float64))


def _suppress(masks: NDArray[np.bool_], scores: NDArray[np.float64]) -> Instances:
    """Masks of MIN_IOU or more by falling score, without duplicates."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] < MIN_IOU or not masks[row].any():
            continue
        ious = interactive.iou(masks[kept], np.broadcast_to(masks[row], masks[kept].shape))
        if not (ious > DUPLICATE_IOU).any():
            kept.append(int(row))
    return Instances.from_masks(masks[kept], scores[kept])
