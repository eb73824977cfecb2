"""Outlined objects to score: random ones that lie on each other, and those at the edges."""

from __future__ import annotations

import numpy as np

from foveate.annotations import Boxes, Instances, RunLengths
from foveate.metrics import instance
from foveate.ops import rle
from foveate.ops.masks import mask_bounds


def instances(masks, classes=None, scores=None, **flags):
    """From (N, H, W) masks, which may lie on each other."""
    corners = np.array([mask_bounds(mask) for mask in masks]).reshape(-1, 4)
    named = np.zeros(len(masks), int) if classes is None else np.array(classes, int)
    scores = None if scores is None else np.array(scores, float)
    return Instances(
        Boxes(corners, named, scores, **flags),
        [RunLengths(rle.encode(mask), mask.shape) for mask in masks],
    )


def tallied(pairs, classes, size, least=0.0):
    shown = [instance.is_confident(found, np.full(classes, least)) for found, _ in pairs]
    return instance.per_image_stats([instance.mask_overlaps(*pair, size) for pair in pairs], shown)


def compute_metrics(pairs, classes, size, least=0.0):
    return instance.Scorer(tallied(pairs, classes, size, least), classes).metrics()


SIZE = (60, 50)


def box(top, left, bottom, right, size=SIZE):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


BIG, HALF, DOT, NOTHING = box(0, 0, 40, 40), box(0, 0, 40, 20), box(7, 7, 8, 8), box(0, 0, 0, 0)
RING = BIG & ~box(10, 10, 30, 30)
CASES = {
    "nothing there, nothing found": (instances([], scores=[]), instances([])),
    "nothing there": (instances([BIG], scores=[0.9]), instances([])),
    "nothing found": (instances([], scores=[]), instances([BIG])),
    "exactly half": (instances([HALF], scores=[0.9]), instances([BIG])),
    "a true thing without a pixel": (
        instances([NOTHING, BIG], scores=[0.9, 0.8]),
        instances([NOTHING, BIG]),
    ),
    "nothing but things without pixels": (instances([NOTHING], scores=[0.9]), instances([NOTHING])),
    "two wholly on each other": (instances([BIG, BIG], scores=[0.9, 0.9]), instances([BIG, BIG])),
    "two of two classes on each other": (
        instances([BIG, BIG], [1, 0], [0.9, 0.8]),
        instances([BIG, BIG], [0, 1]),
    ),
    "a pixel each": (
        instances([DOT, box(9, 9, 10, 10)], scores=[0.9, 0.8]),
        instances([DOT, box(8, 9, 9, 10)]),
    ),
    "a box for a ring": (instances([BIG], scores=[0.9]), instances([RING])),
    "found within a crowd": (
        instances([DOT, HALF], scores=[0.9, 0.8]),
        instances([BIG], crowd=np.array([True])),
    ),
    "a thing on a crowd": (
        instances([HALF, DOT], scores=[0.9, 0.8]),
        instances([HALF, BIG], crowd=np.array([False, True])),
    ),
    "only difficult": (
        instances([BIG, BIG], scores=[0.9, 0.8]),
        instances([BIG], difficult=np.array([True])),
    ),
    "on the edge between two sizes": (
        instances([box(0, 0, 32, 32)], scores=[0.9]),
        instances([box(0, 0, 32, 32)]),
    ),
}


def dots(count):
    """(count, H, W) of a pixel each."""
    masks = np.zeros((count, *SIZE), bool)
    masks[np.arange(count), *np.divmod(np.arange(count), SIZE[1])] = True
    return masks


def blobs(rng, count, size):
    """(count, H, W) discs and boxes of all sizes that COCO tells apart, on each other and beyond
    the image."""
    y, x = np.mgrid[: size[0], : size[1]]
    masks = np.zeros((count, *size), bool)
    for mask in masks:
        middle, reach = rng.uniform(0, size), rng.choice([0.7, 5, 14, 40, 90])
        away = np.stack([y - middle[0], x - middle[1]])
        mask[:] = np.hypot(*away) < reach if rng.random() < 0.5 else np.abs(away).max(0) < reach
    return masks


def overlapping(rng, classes, size=(150, 170), ties=False):
    """True objects on each other, crowds and difficult ones; predictions near them, twice,
    elsewhere and without pixels."""
    true = blobs(rng, int(rng.integers(0, 7)), size)
    kinds = rng.integers(0, classes, len(true))
    flags = {flag: rng.random(len(true)) < 0.15 for flag in ("crowd", "difficult")}
    rows = rng.integers(0, len(true), rng.integers(0, 10)) if len(true) else np.zeros(0, int)
    near = [np.roll(true[row], rng.integers(-3, 4, 2), (0, 1)) for row in rows]
    found = np.concatenate(
        [np.array(near, bool).reshape(-1, *size), blobs(rng, 2, size), np.zeros((1, *size), bool)]
    )
    named = np.where(
        rng.random(len(found)) < 0.2,
        rng.integers(0, classes, len(found)),
        np.r_[kinds[rows], [0, 0, 0]],
    )
    scores = rng.choice([0.2, 0.5, 0.9], len(found)) if ties else rng.random(len(found))
    return instances(found, named, scores), instances(true, kinds, **flags)
