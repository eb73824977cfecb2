"""Baselines of instance segmentation: a brightness threshold, and filled boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances
from foveate.data.dataset import Image, Images
from foveate.data.subset import ImageArray
from foveate.metrics.baselines.boxes import fit_baselines as fit_box_baselines

BaselinePredictions = Callable[[Images], dict[str, list[Instances]]]
"""From images of any size to the instances of each baseline by its name."""

MIN_PIXELS = 4
"""Pixels of a connected region that counts as an object."""


def fit_baselines(
    images: ImageArray, targets: Sequence[Instances], num_classes: int, seed: int
) -> BaselinePredictions:
    """Fit all baselines.

    Args:
        images: (N, S, S, C) uint8.
        targets: N targets.
        num_classes: K.
        seed: For the baselines of boxes.
    """
    box_baselines = fit_box_baselines(
        images, [target.boxes for target in targets], num_classes, seed
    )
    classes = np.concatenate(
        [target.boxes.classes for target in targets] or [np.zeros(0, np.int64)]
    )
    most_common = int(np.bincount(classes, minlength=num_classes).argmax())

    def predict(new_images: Images) -> dict[str, list[Instances]]:
        predictions = {
            "Otsu's threshold, connected regions": [
                connected_regions(image, most_common) for image in new_images
            ]
        }
        for name, all_boxes in box_baselines(new_images).items():
            predictions[name] = [Instances(boxes, (None,) * len(boxes)) for boxes in all_boxes]
        return predictions

    return predict


def connected_regions(image: Image, k: int) -> Instances:
    """Connected regions on the smaller side of Otsu's brightness threshold, all of class k.

    The more a region stands out, the higher its score.
    """
    from scipy.ndimage import label

    grey = image.mean(2)
    threshold = otsu(grey)
    bright = np.floor(grey) > threshold
    inside = bright if 2 * bright.sum() <= bright.size else ~bright
    ids, count = label(inside)
    area = np.bincount(ids.ravel(), minlength=count + 1)
    mean = np.bincount(ids.ravel(), grey.ravel(), count + 1) / np.maximum(area, 1)
    scores = 0.5 + np.abs(mean - threshold)[1:] / 510  # above any usual display threshold
    like = Boxes(np.zeros((count, 4)), np.full(count, k), scores)
    return Instances.from_label_map(np.where(area[ids] >= MIN_PIXELS, ids, 0), like)


def otsu(grey: NDArray[np.floating]) -> float:
    """The threshold of least variance within its two sides (Otsu, 1979), for 0 to 255."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256).astype(np.float64)
    below = counts.cumsum()
    sums = (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    means = sums / np.maximum(below, 1), (sums[-1] - sums) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2
    # The middle of equally good thresholds, with no pixel between them.
    return float(np.flatnonzero(between == between.max()).mean())
