"""What a dataset holds, whether or not anything is wrong: counts, distributions and examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.deep_panels import ReadThumbnail
from foveate.audit.feature_space import FeatureSpace
from foveate.audit.neighbour_panel import MAX_NEIGHBOURS, neighbour_panel
from foveate.data.dataset import SPLITS, Dataset, Sample
from foveate.report import data_charts, drawing
from foveate.report.overlays import Layer, class_map_layer, masks_layer, named_boxes
from foveate.report.panels import Chart, Gallery, GalleryItem, Panel, Table
from foveate.wording import count_noun

MAX_EXAMPLES = 60
"""Images in the gallery of examples."""
MAX_OF_CLASS = 4
"""The same of one class."""


def data_panels(
    dataset: Dataset[Any],
    image_stats: NDArray[Any],
    space: FeatureSpace | None,
    read: ReadThumbnail,
    seed: int = 0,
) -> list[Panel]:
    """The panels of a dataset.

    Args:
        dataset: The images.
        image_stats: (N,) of IMAGE_STATS.
        space: Where the images lie in feature space, in a deep audit.
        read: Reads an image.
        seed: The seed by which examples are drawn.
    """
    if not len(dataset):
        return []
    rng = np.random.default_rng(seed)
    present = [_present(sample, len(dataset.classes)) for sample in dataset]
    panels = [*_classes(dataset, present), _distributions(dataset, image_stats)]
    panels.append(_examples(dataset, present, read, rng))
    if len(dataset) > MAX_NEIGHBOURS:
        panels.append(neighbour_panel(dataset, present, image_stats, space, read, rng))
    return panels


def _present(sample: Sample[Any], num_classes: int) -> tuple[int, ...]:
    """The classes of a sample, without those that have no name."""
    found = () if sample.target is None else sample.target.present()
    return tuple(k for k in found if k < num_classes)


def _classes(dataset: Dataset[Any], present: Sequence[tuple[int, ...]]) -> Iterator[Panel]:
    if not dataset.classes:
        return
    splits = [split for split in SPLITS if any(one.split == split for one in dataset)]
    names: list[str] = [*splits]
    if any(one.split is None for one in dataset):
        names.append("no split")
    counts: dict[str, NDArray[np.int64]] = {
        name: np.zeros(len(dataset.classes), np.int64) for name in names
    }
    images = dict.fromkeys(names, 0)
    for sample, classes in zip(dataset, present, strict=True):
        name = sample.split or "no split"
        images[name] += 1
        counts[name][list(classes)] += 1
    if list(counts) == ["no split"]:  # one column of all images
        counts, images = {"images": counts["no split"]}, {"images": images["no split"]}
    yield Chart(
        "Images of each class",
        (
            "An image with several classes counts for each of them."
            if any(len(one) > 1 for one in present)
            else "Each image counts once."
            if all(present)
            else "An image without a class is not counted."
        )
        + (
            f" The {data_charts.MAX_BARS} most frequent of {len(dataset.classes):,} classes are "
            "drawn."
            if len(dataset.classes) > data_charts.MAX_BARS
            else ""
        ),
        data_charts.class_counts(dataset.classes, counts),
    )
    several = len(counts) > 1
    yield Table(
        "Classes and splits" if splits else "Classes",
        f"Images with each class{' in each split' if splits else ''}. "
        "The last row counts images, each once.",
        ["class", *counts, *(["all"] if several else [])],
        [
            [
                name,
                *(f"{of_split[k]:,}" for of_split in counts.values()),
                *([f"{sum(of_split[k] for of_split in counts.values()):,}"] if several else []),
            ]
            for k, name in enumerate(dataset.classes)
        ],
        total=[
            "all images",
            *(f"{count:,}" for count in images.values()),
            *([f"{len(dataset):,}"] if several else []),
        ],
    )


def _distributions(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Chart:
    values = {
        "width, pixels": image_stats["width"].astype(float),
        "height, pixels": image_stats["height"].astype(float),
        "brightness, 0 black to 255 white": image_stats["brightness"].astype(float),
    }
    boxes = [one.target.as_boxes() for one in dataset if one.target is not None]
    objects = np.array([len(one) for one in boxes if one is not None], float)
    if len(objects):
        values["objects in an image"] = objects
    width, height = (np.median(image_stats[side]) for side in ("width", "height"))
    text = f"The median image has {width:.0f} x {height:.0f} pixels."
    if len(objects):
        text += (
            f" {count_noun(int(objects.sum()), 'object')} in {count_noun(len(objects), 'image')}, "
            f"{objects.mean():.1f} on average."
        )
    title = "Sizes, brightness and objects" if len(objects) else "Sizes and brightness"
    return Chart(title, text, data_charts.histograms(values))


def _examples(
    dataset: Dataset[Any],
    present: Sequence[tuple[int, ...]],
    read: ReadThumbnail,
    rng: np.random.Generator,
) -> Gallery:
    """A seeded draw of images of each class, with their labels drawn."""
    order = rng.permutation(len(dataset)).tolist()
    of_class = max(1, min(MAX_OF_CLASS, MAX_EXAMPLES // max(1, len(dataset.classes))))
    rows_of: dict[int, list[int]] = {k: [] for k in range(len(dataset.classes))[:MAX_EXAMPLES]}
    for row in order:
        wanted = (rows_of[k] for k in present[row] if k in rows_of)
        if (rows := next((rows for rows in wanted if len(rows) < of_class), None)) is not None:
            rows.append(row)
    chosen = [row for rows in rows_of.values() for row in rows] or order[: MAX_EXAMPLES // 3]
    items = []
    for row in chosen:
        if (image := read(row)) is not None:
            names = [dataset.classes[k] for k in present[row]]
            layers = _layers(dataset, row, (image.shape[0], image.shape[1]))
            caption = ", ".join(names) or "no class"
            items.append(GalleryItem(image, caption, dataset[row].id, layers=layers, classes=names))
    drawn = any(item.layers for item in items)
    return Gallery(
        "Examples",
        "Images drawn at random, the same ones each time"
        + (", some of each class" if dataset.classes else "")
        + (", with their labels" if drawn else "")
        + ". Are these the labels that you expect?",
        items,
        large=drawn,
        first=24,
    )


def _layers(dataset: Dataset[Any], row: int, size: tuple[int, int]) -> list[Layer]:
    """The target of a sample, drawn over its image; none where it has no place in it."""
    target, classes = dataset[row].target, dataset.classes
    if target is None:
        return []
    fits = target.fits(size)  # of faulty data, boxes are drawn all the same
    if fits and (class_map := target.class_map()) is not None:
        colours = dataset.colours or [drawing.class_colour(k) for k in range(len(classes))]
        known = np.where(class_map < len(colours), class_map, -1)
        return [class_map_layer("target", known, colours, filled=True)]
    if (boxes := target.as_boxes()) is None:
        return []
    if fits and (objects := target.object_map(size)) is not None:
        of_objects = [drawing.class_colour(int(k)) for k in boxes.classes]
        return [masks_layer("target", objects, boxes, of_objects)]
    return [named_boxes(boxes[boxes.classes < len(classes)], size, classes)]
