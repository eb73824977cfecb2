"""What a page draws over an image as vectors: it can be switched off, zoomed and filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.ops.masks import resize_nearest
from foveate.report.drawing import TARGET_COLOUR, Colour, class_colour

MAX_SHAPES = 300
"""Shapes of a layer: those with the highest scores. The page says how many there are."""
MAX_OUTLINE_SIDE = 480
"""Pixels of the longer side at which masks are outlined; more would make the page large."""
_FILLING = 77  # of 255, the opacity of a filling


@dataclass(frozen=True)
class Shape:
    """One outline.

    Attributes:
        path: SVG path data, in pixels of the layer.
        colour: Its colour.
        caption: A name at `place`; empty for none.
        place: Left and top, in pixels of the layer.
        score: The confidence, by which the page can hide it; None if it is always shown.
        label: The index of its class.
        shown: Whether its confidence reaches the threshold of its class.
    """

    path: str
    colour: Colour
    caption: str = ""
    place: tuple[float, float] = (0.0, 0.0)
    score: float | None = None
    label: int = 0
    shown: bool = True


@dataclass(frozen=True)
class Layer:
    """Outlines of one kind over an image.

    Attributes:
        name: What they are; the page has a switch for each.
        size: Height and width in whose pixels shapes are given.
        shapes: The outlines.
        filling: A light filling as pixels, (H, W, 4) uint8 with opacity, or None; it is shown when
            it is switched on.
        shown: Whether it is shown before anybody switches it on or off.
        count: The number of objects, of which `shapes` may be a part.
        thin: Whether outlines are so many or so winding that lines are thin.
    """

    name: Literal["target", "prediction", "error"]
    size: tuple[int, int]
    shapes: Sequence[Shape] = ()
    filling: NDArray[np.uint8] | None = None
    shown: bool = True
    count: int = 0
    thin: bool = False


def target_boxes(boxes: Boxes, size: tuple[int, int]) -> Layer:
    """White outlines of target boxes.

    Args:
        boxes: The boxes.
        size: Height and width of the image.
    """
    shapes = [
        Shape(box_path(corners), TARGET_COLOUR, label=int(k))
        for corners, k in zip(boxes.corners, boxes.classes, strict=True)
    ]
    return Layer("target", size, shapes[:MAX_SHAPES], count=len(boxes))


def predicted_boxes(
    boxes: Boxes, size: tuple[int, int], classes: Sequence[str], shown: NDArray[np.bool_]
) -> Layer:
    """Outlines of predicted boxes in the colours of their classes.

    Args:
        boxes: The boxes, with scores.
        size: Height and width of the image.
        classes: The class names.
        shown: (N,) whether a box reaches the threshold of its class.
    """
    assert boxes.scores is not None
    shapes = []
    for row in np.argsort(-boxes.scores, kind="stable")[:MAX_SHAPES]:
        k, score, corners = int(boxes.classes[row]), float(boxes.scores[row]), boxes.corners[row]
        left, top = float(corners[0]), float(corners[1])
        caption = f"{classes[k]} {score:.0%}"
        path = box_path(corners)
        shapes.append(
            Shape(path, class_colour(k), caption, (left, top), score, k, bool(shown[row]))
        )
    return Layer("prediction", size, shapes, count=len(boxes))


def named_boxes(boxes: Boxes, size: tuple[int, int], classes: Sequence[str]) -> Layer:
    """Outlines of target boxes in the colours of their classes, with names."""
    shapes = [
        Shape(
            box_path(corners),
            class_colour(int(k)),
            classes[k] if classes else "",
            (float(corners[0]), float(corners[1])),
            label=int(k),
        )
        for corners, k in zip(boxes.corners, boxes.classes, strict=True)
    ]
    return Layer("target", size, shapes[:MAX_SHAPES], count=len(boxes))


def box_path(corners: NDArray[np.float64]) -> str:
    """The outline of a box: left, top, right and bottom."""
    left, top, right, bottom = (round(float(value), 1) for value in corners)
    return f"M{left:g} {top:g}H{right:g}V{bottom:g}H{left:g}Z"


def masks_layer(
    name: Literal["target", "prediction"],
    label_map: NDArray[np.integer],
    boxes: Boxes,
    colours: Sequence[Colour],
    *,
    numbers: NDArray[np.int64] | None = None,
    shown: NDArray[np.bool_] | None = None,
) -> Layer:
    """Outlines of masks.

    Args:
        name: What they are.
        label_map: (H, W) the number of the object at each pixel, from 1 on; 0 for none.
        boxes: Classes and scores of the objects.
        colours: The colour of each object.
        numbers: (N,) the number of each object; by default 1 for the first, and so on.
        shown: (N,) whether an object reaches the threshold of its class; by default all do.
    """
    from scipy.ndimage import find_objects

    small = _within(label_map, MAX_OUTLINE_SIDE)
    places = find_objects(small.astype(np.int32))
    paths: dict[int, str] = {}  # several guesses about one object share its mask
    shapes = []
    for row in range(len(boxes)):
        number = row + 1 if numbers is None else int(numbers[row])
        if number > len(places) or (place := places[number - 1]) is None:
            continue
        if number not in paths:
            corner = place[1].start, place[0].start
            paths[number] = mask_path(small[place] == number, corner)
        shapes.append(
            Shape(
                paths[number],
                colours[row],
                score=None if boxes.scores is None else float(boxes.scores[row]),
                label=int(boxes.classes[row]),
                shown=shown is None or bool(shown[row]),
            )
        )
    shapes.sort(key=lambda shape: -(shape.score or 0.0))
    return Layer(name, _size(small), shapes[:MAX_SHAPES], count=len(boxes))


def mask_path(mask: NDArray[np.bool_], place: tuple[int, int] = (0, 0)) -> str:
    """The outline of a mask along the edges of its pixels, as SVG path data.

    Args:
        mask: (H, W).
        place: Left and top of the mask in its image.
    """
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (across, down), (start, end) in _SIDES.items():
        height, width = mask.shape
        beside = padded[1 + down : 1 + down + height, 1 + across : 1 + across + width]
        for y, x in np.argwhere(inside & ~beside).tolist():
            first = (x + start[0], y + start[1])
            following.setdefault(first, []).append((x + end[0], y + end[1]))
    return "".join(_loops(following, place))


# Of each side of a pixel: where it looks, and its ends, clockwise.
_SIDES = {
    (0, -1): ((0, 0), (1, 0)),
    (1, 0): ((1, 0), (1, 1)),
    (0, 1): ((1, 1), (0, 1)),
    (-1, 0): ((0, 1), (0, 0)),
}


def _loops(
    following: dict[tuple[int, int], list[tuple[int, int]]], place: tuple[int, int]
) -> list[str]:
    """Closed paths of horizontal and vertical steps."""
    paths = []
    while following:
        first = at = next(iter(following))
        steps: list[list[int]] = []
        while True:
            ends = following[at]
            to = ends.pop()
            if not ends:
                del following[at]
            step = [to[0] - at[0], to[1] - at[1]]
            if steps and (steps[-1][0] == 0) == (step[0] == 0):  # straight on
                steps[-1] = [steps[-1][0] + step[0], steps[-1][1] + step[1]]
            else:
                steps.append(step)
            at = to
            if at == first:
                break
        moves = "".join(f"h{across}" if across else f"v{down}" for across, down in steps)
        paths.append(f"M{first[0] + place[0]} {first[1] + place[1]}{moves}z")
    return paths


def class_map_layer(
    name: Literal["target", "prediction"],
    class_map: NDArray[np.integer],
    colours: Sequence[Colour],
    *,
    filled: bool,
) -> Layer:
    """Outlines of the regions of classes.

    The class with the most pixels has none: where it ends, another begins.

    Args:
        name: What they are.
        class_map: (H, W) the class of each pixel, below 0 for none.
        colours: The colour of each class.
        filled: Whether regions have a light filling as well, and are shown at first.
    """
    class_map = _within(class_map, MAX_OUTLINE_SIDE)
    known = class_map >= 0
    counts = np.bincount(class_map[known], minlength=1)
    frequent, *others = np.argsort(-counts, kind="stable").tolist()
    outlined = [k for k in others if counts[k]] or [frequent] * bool(counts[frequent])
    shapes = [Shape(mask_path(class_map == k), colours[k], label=k) for k in outlined]
    painted = np.zeros((*class_map.shape, 4), np.uint8)
    painted[..., :3] = np.array(colours, np.uint8)[np.maximum(class_map, 0)]
    painted[..., 3] = _FILLING * known
    filling = painted if filled else None
    count = len(shapes)
    return Layer(name, _size(class_map), shapes, filling, shown=filled, count=count, thin=True)


def error_layer(wrong: NDArray[np.bool_], colour: Colour) -> Layer:
    """Outlines of the pixels that are predicted wrongly, (H, W), with a light filling."""
    small = _within(wrong.astype(np.uint8), MAX_OUTLINE_SIDE)
    painted = np.zeros((*small.shape, 4), np.uint8)
    painted[..., :3] = colour
    painted[..., 3] = _FILLING * small
    shapes = [Shape(mask_path(small > 0), colour)]
    return Layer("error", _size(small), shapes, painted, count=1, thin=True)


def _within(values: NDArray[np.integer], side: int) -> NDArray[np.integer]:
    """Values of pixels, (H, W), scaled down by nearest neighbour to `side` pixels at most."""
    height, width = values.shape
    scale = min(1.0, side / max(height, width))
    return resize_nearest(values, (max(1, round(height * scale)), max(1, round(width * scale))))


def _size(values: NDArray[Any]) -> tuple[int, int]:
    return values.shape[0], values.shape[1]
