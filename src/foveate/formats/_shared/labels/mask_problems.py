"""What keeps objects from being written as masks of pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances, Shape
from foveate.data.dataset import Sample
from foveate.formats._shared.threads import map_threads
from foveate.formats._shared.writing import count_problem
from foveate.ops.masks import mask_bounds


def mask_problems(
    samples: list[Sample[Instances]], more: Callable[[Instances], list[str]] | None = None
) -> list[str]:
    """List what cannot be stored as a mask for each object.

    Args:
        samples: The samples.
        more: Returns what else of one sample cannot be stored; asked only if all are masks.
    """

    def problems_of(sample: Sample[Instances]) -> list[str]:
        if sample.target is None:
            return []
        problems = _problems_of(sample.target)
        return problems + (more(sample.target) if more and not problems else [])

    problems = map_threads(problems_of, samples)
    return [
        line
        for problem in dict.fromkeys(problem for listed in problems for problem in listed)
        for line in count_problem(
            problem,
            [sample for sample, listed in zip(samples, problems, strict=True) if problem in listed],
        )
    ]


def native_pixels(shape: Shape | None) -> NDArray[np.bool_]:
    """Return (H, W) bool of a mask, in its own size."""
    assert shape is not None
    return shape.native_mask()


def _problems_of(instances: Instances) -> list[str]:
    """Return what cannot be stored, as `count_problem` needs it; each mask is decoded once."""
    problems: list[str] = []
    if not all(map(_is_mask, instances.shapes)):
        problems.append("with polygons or boxes where masks are expected")
    for problem, flagged in (
        ("with crowds", instances.boxes.crowd),
        ("with difficult objects", instances.boxes.difficult),
    ):
        problems += [problem] if flagged.any() else []
    if instances.boxes.scores is not None:
        problems.append("with scores")
    sizes = set()
    boxes_fit = True
    for shape, corners in zip(instances.shapes, instances.boxes.corners, strict=True):
        if _is_mask(shape):
            pixels = native_pixels(shape)
            sizes.add(pixels.shape)
            boxes_fit &= np.array_equal(mask_bounds(pixels), corners)
    problems += [] if boxes_fit else ["with a box that is not the bounds of its mask"]
    return problems + (["with masks of several sizes"] if len(sizes) > 1 else [])


def _is_mask(shape: Shape | None) -> bool:
    return shape is not None and not shape.outlines
