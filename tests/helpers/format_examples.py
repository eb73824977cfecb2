"""Datasets of every task for format tests, and which formats take them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import IGNORE, Boxes, Captions, Instances, Label, Mask, Polygon, RunLengths
from foveate.data.dataset import SPLITS, ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.ops import rle
from helpers.read_only_examples import READ_ONLY

ALL_FORMATS = pytest.mark.parametrize("format", formats.all().values(), ids=formats.all())
WRITABLE = pytest.mark.parametrize("format", formats.writers().values(), ids=formats.writers())


def labelled(
    shapes: list[tuple[int, ...]],
    classes: tuple[str, ...] = ("cat", "dog", "owl"),
    splits: bool = True,
) -> Dataset[Label]:
    rng = np.random.default_rng(len(shapes))
    samples = [
        Sample(
            f"s/{index:03d}",
            ArraySource(rng.integers(0, 256, (1, *shape), np.uint8), 0),
            Label(index % len(classes)),
            None,
            SPLITS[index % 3] if splits else None,
        )
        for index, shape in enumerate(shapes)
    ]
    return Dataset("example", "classification", classes, samples)


def with_samples(dataset: Dataset[Label], **changes: list[object]) -> Dataset[Label]:
    samples = [
        replace(sample, **{name: values[index] for name, values in changes.items()})
        for index, sample in enumerate(dataset)
    ]
    return replace(dataset, samples=samples)


def annotated(
    task: str, targets: list[object], classes: tuple[str, ...], **given: object
) -> Dataset[Any]:
    """Return colour images of 24 x 16 pixels with these targets and without splits."""
    rng = np.random.default_rng(len(targets))
    pixels = rng.integers(0, 256, (len(targets), *BOXED), np.uint8)
    samples = [
        Sample(f"s/{i:03d}", ArraySource(pixels, i), target) for i, target in enumerate(targets)
    ]
    return Dataset("example", task, classes, samples, **given)


def boxes(*corners: tuple[float, ...], classes: list[int] | None = None, **given: object) -> Boxes:
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes or [0] * len(corners), int),
        size=BOXED[:2],
        **given,
    )


def outlined(*outlines: list[tuple[float, float]], classes: list[int] | None = None) -> Instances:
    shapes = [Polygon((np.array(outline, float),)) for outline in outlines]
    return Instances(boxes(*[shape.bounds() for shape in shapes], classes=classes), shapes)


def painted(*corners: tuple[int, int, int, int], classes: list[int] | None = None) -> Instances:
    shapes = []
    for left, top, right, bottom in corners:
        mask = np.zeros(BOXED[:2], bool)
        mask[top:bottom, left:right] = True
        mask[top, left] = False  # not a rectangle
        shapes.append(RunLengths(rle.encode(mask), BOXED[:2]))
    return Instances(boxes(*[shape.bounds() for shape in shapes], classes=classes), shapes)


def grid(*values: int) -> Mask:
    rng = np.random.default_rng(len(values))
    return Mask.from_array(np.array(values)[rng.integers(0, len(values), BOXED[:2])])


GREY, COLOUR, BOXED = (5, 4, 1), (5, 4, 3), (16, 24, 3)
TRIANGLE, SQUARE = (
    [(1.0, 2.0), (9.5, 2.0), (4.25, 11.0)],
    [(12.0, 3.0), (20.0, 3.0), (20.0, 9.0), (12.0, 9.0)],
)
EXAMPLES: dict[str, Dataset[Any]] = {
    "grey, splits": labelled([GREY] * 9),
    "colour, splits": labelled([COLOUR] * 9),
    "no splits": labelled([GREY] * 6, splits=False),
    "partial splits": with_samples(labelled([GREY] * 6), split=["train", None] * 3),
    "sizes differ": labelled([GREY, COLOUR, (9, 2, 3), (1, 1, 1)] * 3),
    "groups": with_samples(labelled([GREY] * 6), group=["a", "b", " c ", None, "a", "é,\n"]),
    "times": with_samples(
        labelled([GREY] * 6), time=["2026-03-31T10:00", "9", " c ", None, "a", "é,\n"]
    ),
    "classes out of order": labelled([GREY] * 6, classes=("zebra", "Ass", "ant")),
    "a class without samples": replace(
        labelled([GREY] * 6), classes=("cat", "dog", "owl", "unicorn")
    ),
    "odd class names": labelled([GREY] * 6, classes=(" a", "-b", 'ü \'n; "q",')),
    "classes named like splits": labelled(
        [GREY] * 6, classes=("test", "train", "other"), splits=False
    ),
    "a class named like a path": labelled([GREY] * 6, classes=("a/b", "..", "c")),
    "a class of two lines": labelled([GREY] * 6, classes=("a", "b\nc", "d")),
    "ids that clash": with_samples(
        labelled([GREY] * 6, splits=False),
        id=["a/b.png", "A/B.png", "a/b", "../a/b", "/a/b", "a/./b.jpg"],
    ),
    "ids like hidden files": with_samples(
        labelled([GREY] * 6), id=[".hidden", "__MACOSX/x", "Thumbs.db", "..", "...", "x\0y"]
    ),
    "many bands": labelled([(4, 4, 6)] * 6),
    # --- boxes
    "boxes": annotated(
        "detection", [boxes((1, 2, 9, 11), (3, 4, 20, 15)), boxes((5, 5, 8, 8))], ("cell",)
    ),
    "boxes of many classes": annotated(
        "detection",
        [boxes((1, 2, 9, 11), (3, 4, 20, 15), classes=[2, 0]), boxes((5, 5, 8, 8))],
        ("zebra", "a b", "é"),
    ),
    "boxes at fractions of pixels": annotated(
        "detection", [boxes((1.25, 2.5, 9.125, 11.75)), boxes()], ("cell",)
    ),
    "images without boxes": annotated(
        "detection", [boxes(), boxes((1, 2, 3, 4)), boxes()], ("cell",)
    ),
    "boxes in splits": with_samples(
        annotated("detection", [boxes((1, 2, 3, 4 + i)) for i in range(6)], ("cell",)),
        split=[*SPLITS, *SPLITS],
    ),
    "boxes with groups": with_samples(
        annotated("detection", [boxes((1, 2, 3, 4)), boxes((2, 2, 3, 4))], ("cell",)),
        group=["a", "b"],
    ),
    "boxes with times": with_samples(
        annotated("detection", [boxes((1, 2, 3, 4)), boxes((2, 2, 3, 4))], ("cell",)),
        time=["1", None],
    ),
    "crowds": annotated(
        "detection",
        [boxes((1, 2, 9, 11), (3, 4, 20, 15), crowd=np.array([True, False])), boxes()],
        ("cell",),
    ),
    "difficult boxes": annotated(
        "detection",
        [boxes((1, 2, 9, 11), (3, 4, 20, 15), difficult=np.array([False, True])), boxes()],
        ("cell",),
    ),
    "boxes beyond the image": annotated(
        "detection", [boxes((-2, 2, 9, 11), (3, -4, 30, 40)), boxes()], ("cell",)
    ),
    "inverted boxes": annotated("detection", [boxes((9, 11, 1, 2)), boxes()], ("cell",)),
    "boxes of an unused class": annotated(
        "detection", [boxes((1, 2, 9, 11)), boxes()], ("cell", "unicorn")
    ),
    # --- instances
    "polygons": annotated("instance", [outlined(TRIANGLE, SQUARE), outlined(SQUARE)], ("cell",)),
    "polygons of many classes": annotated(
        "instance",
        [outlined(TRIANGLE, SQUARE, classes=[1, 0]), outlined(SQUARE, classes=[1])],
        ("zebra", "ant"),
    ),
    "polygons of several outlines": annotated(
        "instance",
        [
            Instances(boxes((1, 2, 20, 11)), [Polygon((np.array(TRIANGLE), np.array(SQUARE)))]),
            Instances(boxes(), []),
        ],
        ("cell",),
    ),
    "polygons with other boxes": annotated(
        "instance",
        [Instances(boxes((0, 0, 12, 12)), [Polygon((np.array(TRIANGLE),))])] * 2,
        ("cell",),
    ),
    "objects without polygons": annotated(
        "instance",
        [Instances(boxes((1, 2, 20, 11), (2, 2, 9, 9)), [None, Polygon((np.array(TRIANGLE),))])],
        ("cell",),
    ),
    "masks": annotated(
        "instance", [painted((1, 2, 9, 11), (12, 2, 20, 8)), painted((3, 3, 7, 7))], ("cell",)
    ),
    "masks that overlap": annotated(
        "instance", [painted((1, 2, 9, 11), (4, 2, 20, 8)), painted()], ("cell",)
    ),
    "masks of many classes": annotated(
        "instance",
        [painted((1, 2, 9, 11), (12, 2, 20, 8), classes=[1, 0]), painted((3, 3, 7, 7))],
        ("b", "a"),
    ),
    "masks in splits": with_samples(
        annotated("instance", [painted((1, 2, 9, 11 - i)) for i in range(6)], ("cell",)),
        split=[*SPLITS, *SPLITS],
    ),
    "masks with times": with_samples(
        annotated("instance", [painted((1, 2, 9, 11))] * 2, ("cell",)), time=["1", None]
    ),
    # --- label maps
    "pixels": annotated("semantic", [grid(0, 1), grid(0, 1, 0)], ("ground", "cell")),
    "pixels to ignore": annotated("semantic", [grid(0, 1, 2, IGNORE), grid(0, 2)], ("a", "c", "b")),
    "pixels of one class": annotated("semantic", [grid(0), grid(1)], ("ground", "cell")),
    "pixels with colours": annotated(
        "semantic",
        [grid(0, 1, 2), grid(2)],
        ("a", "c", "b"),
        colours=((0, 0, 0), (255, 0, 10), (7, 7, 7)),
    ),
    "pixels of an unused class": annotated(
        "semantic", [grid(0, 1), grid(1)], ("ground", "cell", "unicorn")
    ),
    "pixels of 300 classes": annotated(
        "semantic", [grid(*range(300)), grid(299)], tuple(f"c{i}" for i in range(300))
    ),
    "pixels in splits": with_samples(
        annotated("semantic", [grid(0, 1)] * 6, ("ground", "cell")), split=[*SPLITS, *SPLITS]
    ),
    # --- captions
    "captions": annotated(
        "text_to_image", [Captions(("a red 3",)), Captions(("two cells, one blue",))], ()
    ),
    "several captions per image": annotated(
        "text_to_image", [Captions(("a 3", "a three")), Captions(("a 4",))], ()
    ),
    "odd captions": annotated(
        "text_to_image", [Captions(('"a", \n é; b\t',)), Captions((" a ",))], ()
    ),
    "captions with times": with_samples(
        annotated("text_to_image", [Captions((f"a {i}",)) for i in range(2)], ()), time=["1", None]
    ),
    "captions in splits": with_samples(
        annotated("text_to_image", [Captions((f"a {i}",)) for i in range(6)], ()),
        split=[*SPLITS, *SPLITS],
    ),
}


def can_store(format: formats.WritableFormat, dataset: Dataset[Any], folder: Path) -> bool:
    """Return whether a format can store a dataset; leaves nothing behind."""
    try:
        format.write(dataset, folder)
    except DataError:
        return False
    shutil.rmtree(folder)
    return True


def first_stored(format: formats.WritableFormat, folder: Path) -> Dataset[Any]:
    """Return the first example that a format can store."""
    for dataset in EXAMPLES.values():
        if can_store(format, dataset, folder):
            return dataset
    raise AssertionError(f"no example fits the format {format.NAME}")


def write_example(format: formats.Format, folder: Path) -> Path:
    """Write the files of an example of a format into a new folder, which is returned."""
    if format.NAME in formats.writers():
        writer = formats.writers()[format.NAME]
        writer.write(first_stored(writer, folder.with_name(folder.name + "-tried")), folder)
    else:
        folder.mkdir(parents=True)
        READ_ONLY[format.NAME](folder)
    return folder
