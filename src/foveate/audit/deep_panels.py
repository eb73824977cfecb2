"""The panels of a deep audit: doubtful labels, how the splits compare, and a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.feature_map import feature_map, rows_on_map
from foveate.audit.feature_space import FeatureSpace, SplitComparison
from foveate.audit.label_errors import LabelErrors
from foveate.data.dataset import Dataset, Image, SplitName
from foveate.report.map_chart import class_map
from foveate.report.panels import Chart, Gallery, GalleryItem, Panel, Table
from foveate.wording import percent

MAX_GALLERY_IMAGES = 24
"""Images in a gallery."""
ReadThumbnail = Callable[[int], Image | None]
"""Reads the image of a row; None if it cannot be read any more."""


def deep_panels(
    dataset: Dataset[Any],
    label_errors: LabelErrors | None,
    space: FeatureSpace,
    read: ReadThumbnail,
) -> list[Panel]:
    """The panels of a deep audit.

    Args:
        dataset: The images.
        label_errors: What probes say about the labels.
        space: Where the images lie in feature space.
        read: Reads a thumbnail.
    """
    panels: list[Panel] = []
    if label_errors is not None:
        panels += _label_galleries(dataset, label_errors, read)
    if space.comparisons:
        panels.append(_comparison_table(space))
        panels += _far_galleries(dataset, space, read)
    return [*panels, *_map(dataset, label_errors, space)]


def _label_galleries(
    dataset: Dataset[Any], label_errors: LabelErrors, read: ReadThumbnail
) -> Iterator[Gallery]:
    """The most doubtful and the most ambiguous labels."""

    def item(row: int) -> GalleryItem | None:
        probabilities = label_errors.probabilities[row]
        predicted = ", ".join(
            f"{dataset.classes[k]} {probabilities[k]:.0%}" for k in np.argsort(-probabilities)[:2]
        )
        label = dataset.classes[label_errors.labels[row]]
        detail = f"predicted {predicted} · {dataset[row].id}"
        return _item(row, f"labelled {label}", detail, read)

    yield _gallery(
        "Most doubtful labels",
        "Each image was predicted by a probe that was not fitted to it. These predictions "
        "contradict the label most: wrong labels come first, then hard images.",
        np.argsort(-label_errors.margin, kind="stable"),
        item,
    )
    yield _gallery(
        "Most ambiguous images",
        "Two classes were nearly as probable. The label can be right; ask whether the classes are "
        "clear.",
        np.argsort(-label_errors.ambiguity, kind="stable"),
        item,
    )


def _comparison_table(space: FeatureSpace) -> Table:
    def row(split: SplitName, compared: SplitComparison) -> list[str]:
        test = compared.two_samples
        auc, p = (
            ("–", "–")
            if test is None
            else (f"{test.auc:.2f} ({test.low:.2f} to {test.high:.2f})", f"{test.p:.2g}")
        )
        return [split, auc, p, _median(compared.distances), percent(compared.far)]

    return Table(
        "Are the splits representative?",
        "A simple classifier of a pretrained net's features is asked whether an image comes from "
        "train or from the other split: an AUC of 0.50 is chance, and p says how often chance "
        "gives as much. Images of one group count as one. The distance to the nearest train image "
        "is 1.00 for the median train image; images are far from train if they are farther from it "
        "than 99% of the train images are from one another.",
        ["split", "AUC", "p", "distance to train", "far from train"],
        [row(split, compared) for split, compared in space.comparisons.items()],
        3,
    )


def _median(distances: NDArray[np.float64]) -> str:
    return f"{np.median(distances):.2f}" if len(distances) else "–"


def _far_galleries(
    dataset: Dataset[Any], space: FeatureSpace, read: ReadThumbnail
) -> Iterator[Gallery]:
    for split, compared in space.comparisons.items():
        distance = dict(zip(compared.farthest.tolist(), compared.distances.tolist(), strict=True))

        def item(row: int, distance: dict[int, float] = distance) -> GalleryItem | None:
            caption = f"{distance[row]:.1f} times the usual distance"
            return _item(row, caption, dataset[row].id, read)

        yield _gallery(
            f"Images of {split} that are farthest from train",
            f"No train image is like these. If many images of {split} are like them, add such "
            "images to train; if they are few, the score says little about them.",
            compared.farthest[: MAX_GALLERY_IMAGES // 2],
            item,
        )


def _map(
    dataset: Dataset[Any], label_errors: LabelErrors | None, space: FeatureSpace
) -> Iterator[Chart]:
    suspects = [] if label_errors is None else label_errors.suspects
    marked = suspects if label_errors is not None else space.outliers.tolist()
    rows = rows_on_map(len(dataset), marked)
    if not len(rows):
        return
    ring = "label probably wrong" if label_errors is not None else "outlier"
    part = (
        f" {len(rows):,} of {len(dataset):,} images are shown." if len(rows) < len(dataset) else ""
    )
    classes = None if label_errors is None else label_errors.labels[rows]
    yield Chart(
        "Map of the images",
        "Images with similar features lie near each other (t-SNE). Groups without a border "
        "between classes are hard to tell apart; a dot of one class among those of another may be "
        f"a wrong label. Distances between groups mean little.{part}",
        class_map(
            feature_map(space.points[rows]), classes, dataset.classes, np.isin(rows, marked), ring
        ),
    )


def _gallery(
    title: str,
    text: str,
    order: NDArray[np.int64],
    item: Callable[[int], GalleryItem | None],
) -> Gallery:
    items = [item(int(row)) for row in order[:MAX_GALLERY_IMAGES]]
    return Gallery(title, text, [one for one in items if one is not None])


def _item(row: int, caption: str, detail: str, read: ReadThumbnail) -> GalleryItem | None:
    image = read(row)
    return None if image is None else GalleryItem(image, caption, detail)
