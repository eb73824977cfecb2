"""Clean datasets, and faults to plant in them, with the check that must find each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image

from foveate.annotations import Boxes, Captions, Instances, Label, Mask, Polygon, RunLengths
from foveate.audit import Audit, audit
from foveate.data.cache.decoding import survey
from foveate.data.dataset import ArraySource, Dataset, Image, Sample
from foveate.ops import rle

SIZE = (48, 64)
Spoilt = tuple[Dataset[Any], str, set[str]]


def scene(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> Image:
    """A unique image: smooth hills of colour with grain."""
    height, width = size
    coarse = PIL.Image.fromarray(rng.integers(30, 226, (6, 8, 3), np.uint8)).resize(
        (width, height), 3
    )
    return np.clip(
        np.asarray(coarse).astype(int) + rng.integers(-12, 13, (height, width, 3)), 0, 255
    ).astype(np.uint8)


def dataset(
    targets: list[Any], task: str, classes: tuple[str, ...], seed: int = 0, splits: Any = None
) -> Dataset[Any]:
    rng = np.random.default_rng(seed)
    splits = splits or [None] * len(targets)
    samples = [
        Sample(f"s{i:03d}", ArraySource(scene(rng)[None], 0), target, None, split)
        for i, (target, split) in enumerate(zip(targets, splits, strict=True))
    ]
    return Dataset("made", task, classes, samples)


def labels(count: int = 120, splits: Any = None) -> Dataset[Label]:
    return dataset(
        [Label(i % 2) for i in range(count)], "classification", ("cat", "dog"), splits=splits
    )


def boxes(*corners: tuple[float, ...], classes: Any = None, **given: Any) -> Boxes:
    rows = np.array(corners, float).reshape(-1, 4)
    return Boxes(
        rows, np.zeros(len(rows), int) if classes is None else np.array(classes), size=SIZE, **given
    )


def boxed(count: int = 100) -> Dataset[Boxes]:
    rng = np.random.default_rng(1)
    targets = []
    for _ in range(count):
        left, top = rng.integers(0, 20, (2, 2))
        first = (left[0], top[0], left[0] + rng.integers(9, 14), top[0] + rng.integers(9, 14))
        second = (
            left[1] + 30,
            top[1],
            left[1] + 30 + rng.integers(9, 14),
            top[1] + rng.integers(9, 14),
        )
        targets.append(boxes(first, second, classes=[0, 1]))
    return dataset(targets, "detection", ("cell", "dot"))


def instances(count: int = 100) -> Dataset[Instances]:
    triangle = np.array([(4.0, 4.0), (20.0, 6.0), (9.0, 22.0)])
    mask = np.zeros(SIZE, bool)
    mask[10:20, 30:45] = True
    targets = [
        Instances(
            boxes((4, 4, 20, 22), (30, 10, 45, 20)),
            (Polygon((triangle,)), RunLengths(rle.encode(mask), SIZE)),
        )
        for _ in range(count)
    ]
    return dataset(targets, "instance", ("cell",))


def painted(count: int = 60) -> Dataset[Mask]:
    rng = np.random.default_rng(2)
    return dataset(
        [Mask.from_array(rng.integers(0, 2, SIZE)) for _ in range(count)],
        "semantic",
        ("ground", "cell"),
    )


def captioned(count: int = 40) -> Dataset[Captions]:
    return dataset([Captions((f"a hill, number {i}",)) for i in range(count)], "text_to_image", ())


def spoilt(data: Dataset[Any], at: int, **changes: Any) -> Dataset[Any]:
    """One sample changed."""
    samples = list(data.samples)
    samples[at] = replace(samples[at], **changes)
    return replace(data, samples=samples)


def source(image: Image) -> ArraySource:
    return ArraySource(np.ascontiguousarray(image)[None], 0)


def audited(data: Dataset[Any]) -> Audit:
    """The audit of a set in memory, each image seen as the cache sees it."""
    seen = survey(data)
    return audit(seen.dataset, seen.hashes, seen.image_stats)


# --- faults


def with_boxes(**changes: Any) -> Callable[[], Dataset[Any]]:
    def make() -> Dataset[Any]:
        target = boxed()[5].target
        assert target is not None
        return spoilt(boxed(), 5, target=replace(target, **changes))

    return make


def with_box(*corners: float) -> Callable[[], Dataset[Any]]:
    def make() -> Dataset[Any]:
        target = boxed()[5].target
        assert target is not None
        changed = target.corners.copy()
        changed[0] = corners
        return spoilt(boxed(), 5, target=replace(target, corners=changed))

    return make


def with_shape(shape: Any, corners: tuple[float, ...] | None = None) -> Callable[[], Dataset[Any]]:
    def make() -> Dataset[Any]:
        return spoilt(instances(), 5, target=Instances(boxes(corners or shape.bounds()), (shape,)))

    return make


def make_image(change: Callable[[Image], Image]) -> Callable[[], Dataset[Any]]:
    return lambda: spoilt(labels(), 5, source=source(change(labels()[5].source.read())))


def blurred(image: Image) -> Image:
    from PIL import ImageFilter

    return np.asarray(PIL.Image.fromarray(image).filter(ImageFilter.GaussianBlur(4)))


def twice(
    splits: Any = None,
    label: int | None = None,
    change: Callable[[Image], Image] = lambda image: image,
) -> Any:
    """Sample 7 shows what sample 5 shows."""

    def make() -> Dataset[Any]:
        data = labels(splits=splits)
        return spoilt(
            data,
            7,
            source=source(change(data[5].source.read())),
            target=Label(1 if label is None else label),
        )

    return make


def brighter(image: Image) -> Image:
    return np.clip(image * 1.2, 0, 255).astype(np.uint8)


SPLIT_120 = ((["train"] * 5 + ["valid", "test"]) * 18)[:120]
BOWTIE = Polygon((np.array([(4.0, 4.0), (20.0, 20.0), (20.0, 4.0), (4.0, 20.0)]),))
LINE = Polygon((np.array([(4.0, 4.0), (20.0, 4.0), (12.0, 4.0)]),))
OUTSIDE = Polygon((np.array([(50.0, 4.0), (90.0, 4.0), (52.0, 20.0)]),))
EMPTY = RunLengths(np.array([SIZE[0] * SIZE[1]]), SIZE)
OTHER = RunLengths(rle.encode(np.ones((5, 5), bool)), (5, 5))

FAULTS: dict[str, tuple[Callable[[], Dataset[Any]], str, set[str]]] = {
    "a blank image": (make_image(lambda image: np.full_like(image, 90)), "blank", {"s005"}),
    "a black image": (
        make_image(lambda image: (image > 253).astype(np.uint8) * 90),
        "blank",
        {"s005"},
    ),
    "a dark image": (
        make_image(lambda i: np.where(np.arange(64)[:, None] < 2, i, i // 60)),
        "too dark",
        {"s005"},
    ),
    "a bright image": (
        make_image(lambda i: np.where(np.arange(64)[:, None] < 2, i, 250 + i // 60)),
        "too bright",
        {"s005"},
    ),
    "a blurred image": (make_image(blurred), "blurred", {"s005"}),
    "a tiny image": (make_image(lambda image: image[:9, :12]), "small", {"s005"}),
    "a huge image": (make_image(lambda image: np.tile(image, (6, 6, 1))), "large", {"s005"}),
    "a long image": (
        make_image(lambda image: np.tile(image, (1, 5, 1))),
        "unusual aspect ratio",
        {"s005"},
    ),
    "an image twice": (twice(), "duplicate", {"s005", "s007"}),
    "an image twice, brighter": (twice(change=brighter), "near duplicate", {"s005", "s007"}),
    "an image twice, cropped": (
        twice(change=lambda image: image[1:-1, 2:-1]),
        "near duplicate",
        {"s005", "s007"},
    ),
    "an image twice, smaller": (
        twice(change=lambda image: np.asarray(PIL.Image.fromarray(image).resize((32, 24)))),
        "near duplicate",
        {"s005", "s007"},
    ),
    "an image with two labels": (
        twice(label=0, change=brighter),
        "duplicate with another label",
        {"s005", "s007"},
    ),
    "an image in two splits": (twice(splits=SPLIT_120), "leak between splits", {"s005", "s007"}),
    "an image in two splits, nearly": (
        twice(SPLIT_120, change=brighter),
        "leak between splits",
        {"s005", "s007"},
    ),
    "no label": (lambda: spoilt(labels(), 5, target=None), "no annotation", {"s005"}),
    "an unknown class": (lambda: spoilt(labels(), 5, target=Label(2)), "unknown class", {"s005"}),
    "classes that differ by case": (
        lambda: replace(labels(), classes=("cat", "Cat ")),
        "two names for one class",
        {"s000"},
    ),
    "an unused class": (
        lambda: replace(labels(), classes=("cat", "dog", "owl")),
        "unused class",
        set(),
    ),
    "a rare class": (
        lambda: spoilt(replace(labels(), classes=("cat", "dog", "owl")), 5, target=Label(2)),
        "classes too rare to learn",
        set(),
    ),
    "a class missing from test": (
        lambda: replace(
            labels(),
            samples=[
                replace(
                    s, split="train" if i < 80 else "test", target=Label(0 if i >= 80 else i % 2)
                )
                for i, s in enumerate(labels())
            ],
        ),
        "classes missing from a split",
        set(),
    ),
    "a box with swapped corners": (with_box(20, 20, 5, 5), "box with swapped corners", {"s005"}),
    "a box without area": (with_box(20, 20, 20, 30), "box without area", {"s005"}),
    "a box outside": (with_box(70, 20, 90, 30), "box outside its image", {"s005"}),
    "a box that leaves": (with_box(50, 20, 90, 30), "box leaves its image", {"s005"}),
    "a tiny box": (with_box(20, 20, 21, 30), "tiny box", {"s005"}),
    "a huge box": (with_box(0, 0, 64, 48), "unusually large box", {"s005"}),
    "a box twice": (
        with_boxes(corners=np.array([(5.0, 5, 15, 15)] * 2), classes=[0, 0]),
        "duplicate box",
        {"s005"},
    ),
    "a box of two classes": (
        with_boxes(corners=np.array([(5.0, 5, 15, 15)] * 2), classes=[0, 1]),
        "one place, two classes",
        {"s005"},
    ),
    "a box of an unknown class": (with_boxes(classes=[0, 7]), "unknown class", {"s005"}),
    "an annotation of another size": (
        with_boxes(size=(480, 640)),
        "annotation of another size",
        {"s005"},
    ),
    "an outline that crosses itself": (with_shape(BOWTIE), "outline crosses itself", {"s005"}),
    "an outline without area": (with_shape(LINE, (4, 4, 20, 9)), "outline without area", {"s005"}),
    "an outline that leaves": (with_shape(OUTSIDE), "outline leaves its image", {"s005"}),
    "a box unlike its outline": (
        with_shape(BOWTIE, (30, 30, 60, 40)),
        "box and outline differ",
        {"s005"},
    ),
    "a mask without a pixel": (with_shape(EMPTY, (4, 4, 20, 9)), "mask without a pixel", {"s005"}),
    "an instance's mask of another size": (
        with_shape(OTHER, (4, 4, 20, 9)),
        "mask of another size",
        {"s005"},
    ),
    "a mask of another size": (
        lambda: spoilt(painted(), 5, target=Mask.from_array(np.zeros((5, 5), int))),
        "mask of another size",
        {"s005"},
    ),
    "a mask with an unknown value": (
        lambda: spoilt(painted(), 5, target=Mask.from_array(np.full(SIZE, 7))),
        "unknown class",
        {"s005"},
    ),
    "a mask without a label": (
        lambda: spoilt(painted(), 5, target=Mask.from_array(np.full(SIZE, -1))),
        "mask without a label",
        {"s005"},
    ),
    "an empty caption": (
        lambda: spoilt(captioned(), 5, target=Captions((" ",))),
        "empty caption",
        {"s005"},
    ),
}
"""Fault -> how to plant it, the check that must find it, and the samples that it must name."""

CLEAN: dict[str, Callable[[], Dataset[Any]]] = {
    "labels": labels,
    "labels in splits": lambda: labels(splits=SPLIT_120),
    "boxes": boxed,
    "instances": instances,
    "pixels": painted,
    "captions": captioned,
}
