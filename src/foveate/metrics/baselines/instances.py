"""The simplest things that could work for outlined things. A net that does not beat them has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances
from foveate.data.dataset import Image, Images
from foveate.data.subset import Pixels
from foveate.metrics.baselines.boxes import fit_baselines as fit_box_baselines

Answers = Callable[[Images], dict[str, list[Instances]]]
"""Pictures of any size -> things of each baseline by its name."""

LEAST = 4
"""Pixels of a patch that is called a thing."""


def fit_baselines(images: Pixels, targets: Sequence[Instances], classes: int, seed: int) -> Answers:
    """All baselines, fitted on N pictures and the things in them. Boxes count as filled."""
    boxes = fit_box_baselines(images, [target.boxes for target in targets], classes, seed)
    named = np.concatenate([target.boxes.classes for target in targets] or [np.zeros(0, np.int64)])
    commonest = int(np.bincount(named, minlength=classes).argmax())

    def predict(new_images: Images) -> dict[str, list[Instances]]:
        given: dict[str, list[Instances]] = {
            "Otsu's threshold, connected patches": [
                patches(image, commonest) for image in new_images
            ]
        }
        for name, found in boxes(new_images).items():
            given[name] = [Instances(one, (None,) * len(one)) for one in found]
        return given

    return predict


def patches(image: Image, k: int) -> Instances:
    """What lies on one side of Otsu's threshold on brightness, the side with fewer pixels, as connected patches of class k; surer
    of those that stand out more.
    """
    from scipy.ndimage import label

    grey = image.mean(2)
    least = otsu(grey)
    bright = np.floor(grey) > least
    inside = bright if 2 * bright.sum() <= bright.size else ~bright
    ids, count = label(inside)
    area = np.bincount(ids.ravel(), minlength=count + 1)
    mean = np.bincount(ids.ravel(), grey.ravel(), count + 1) / np.maximum(area, 1)
    scores = (
        0.5 + np.abs(mean - least)[1:] / 510
    )  # one half at least: all of them are meant to be shown
    return Instances.from_label_map(
        np.where(area[ids] >= LEAST, ids, 0), Boxes(np.zeros((count, 4)), np.full(count, k), scores)
    )


def otsu(grey: NDArray[np.floating]) -> float:
    """The threshold that leaves least variance within the two sides (Otsu, 1979). grey: 0 to 255."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256).astype(np.float64)
    below = counts.cumsum()
    sums = (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    means = sums / np.maximum(below, 1), (sums[-1] - sums) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2
    return float(
        np.flatnonzero(between == between.max()).mean()
    )  # half way where no pixel lies between the sides
