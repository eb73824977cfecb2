"""Pixels to objects: those whose votes for a centre meet belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances
from foveate.ops import centre_voting

OFFSET_UNIT = 8.0
"""Pixels that offsets are measured in, so that an untrained network's are of the right order."""
MIN_SCORE = 0.01
"""An object is predicted as each class with this score or more, as detectors do: it may be a 3, or
less likely an 8. It is shown once."""


def group(
    probabilities: NDArray[np.float32], offsets: NDArray[np.float32], blur: float
) -> Instances:
    """Group pixels to objects, each predicted as every class that it may be.

    The score is how well the pixels agree on their centre, times their mean class probability.

    Args:
        probabilities: (1 + K, H, W) of background and the classes.
        offsets: (2, H, W) pixels from each pixel to the centre of its object.
        blur: Pixels that votes are spread over.
    """
    ids, agreement = centre_voting.group_votes(offsets, probabilities[0] < 0.5, blur)
    count = len(agreement)
    area = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    summed = np.stack(
        [np.bincount(ids.ravel(), one.ravel(), count + 1)[1:] for one in probabilities[1:]], 1
    )
    scores = (agreement / np.maximum(area, 1))[:, None] * summed
    objects = Instances.from_label_map(ids, Boxes(np.zeros((count, 4)), scores.argmax(1)))
    best = np.arange(scores.shape[1]) == objects.boxes.classes[:, None]
    row, k = np.nonzero(best | (scores >= MIN_SCORE))
    boxes = Boxes(objects.boxes.corners[row], k, scores[row, k], size=ids.shape)
    return Instances(boxes, tuple(objects.shapes[each] for each in row))
