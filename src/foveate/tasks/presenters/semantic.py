"""Classes of pixels as text, values, drawings, mask images and report panels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Mask
from foveate.csv_file import Cell
from foveate.data.dataset import Image
from foveate.errors import SettingError
from foveate.metrics.metric import PerImageStats
from foveate.metrics.semantic import Scorer, class_counts
from foveate.ops.masks import smallest_dtype
from foveate.report import drawing
from foveate.report.mask_panels import mask_panels, worst_images
from foveate.report.panels import Gallery, Panel
from foveate.tasks.capabilities import MaskImage, WritesMasks
from foveate.tasks.catalog import CATALOG
from foveate.tasks.presenters.prediction import Prediction
from foveate.tasks.presenters.presenter import Colours, Presenter, ReadImage, count_images
from foveate.tasks.presenters.rates import Rates
from foveate.wording import percent

MAX_PALETTE_CLASSES = 255
"""Classes of a mask image with 8 bits a pixel; 255 itself stands for unlabelled."""


class PixelPrediction(Prediction[Mask]):
    """The class of each pixel."""

    @property
    def mask(self) -> NDArray[np.integer]:
        """(H, W) integers, the class index of each pixel: `classes[mask[y, x]]`."""
        return self.annotation.pixels.read()

    @property
    def shares(self) -> dict[str, float]:
        """The share of the pixels of each class, in the order of `classes`; they sum to 1."""
        counts = class_counts(self.annotation, len(self.classes))
        return dict(zip(self.classes, (counts / counts.sum()).tolist(), strict=True))


class SemanticPresenter(Presenter[Mask], WritesMasks[Mask]):
    """Presents the class of each pixel.

    Attributes:
        colours: (K, 3) RGB of the classes.
    """

    name, primary_metric, description = CATALOG["semantic"]
    annotation = Mask
    counted = "pixel"
    table_columns = ("class", "share", "area_px")
    prediction_type = PixelPrediction

    def __init__(self, classes: Sequence[str], *, colours: Colours | None = None):
        super().__init__(classes)
        if colours is not None and len(colours) != len(classes):
            raise SettingError(
                f"{len(classes)} colours are expected, one a class, got {len(colours)}",
                where="colours",
            )
        self.colours: Colours = colours or [drawing.class_colour(k) for k in range(len(classes))]

    def to_dict(self, annotation: Mask) -> dict[str, Any]:
        """The share of each class that occurs, and a digest of all pixels."""
        counts = class_counts(annotation, len(self.classes))
        shares = {
            self.classes[k]: round(float(counts[k] / counts.sum()), 6)
            for k in np.flatnonzero(counts)
        }
        values = annotation.pixels.read()
        digest = hashlib.blake2b(f"{values.shape}".encode(), digest_size=8)
        digest.update(np.ascontiguousarray(smallest_dtype(values)).data)
        return {"shares": shares, "pixels": digest.hexdigest()}

    def rates(self, values: Mapping[str, Any]) -> Rates:
        """The share of each class."""
        return Rates({str(name): float(share) for name, share in values["shares"].items()})

    def amounts(self, prediction: Mask) -> dict[str, float]:
        """The share of each class that occurs."""
        return {str(name): float(share) for name, share, _ in self.table_rows(prediction)}  # type: ignore[arg-type]

    def table_rows(self, prediction: Mask) -> list[list[Cell]]:
        """A row for each class that occurs: its share of the pixels, and their number."""
        counts = class_counts(prediction, len(self.classes))
        return [
            [self.classes[k], round(float(counts[k] / counts.sum()), 6), int(counts[k])]
            for k in np.flatnonzero(counts)
        ]

    def summary(self, annotation: Mask) -> str:
        """The share of each class that occurs, the largest first."""
        counts = class_counts(annotation, len(self.classes))
        order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        shares = [f"{self.classes[k]} {percent(counts[k] / counts.sum())}" for k in order]
        return ", ".join(shares) or "nothing"

    def draw(self, image: Image, annotation: Mask) -> Image:
        """Each pixel tinted in the colour of its class; small images are enlarged."""
        return drawing.draw_class_map(image, annotation.pixels.read(), self.colours)

    def mask_images(self, prediction: Mask) -> list[MaskImage]:
        """One image of class indices, with the colours as its palette if there are few classes."""
        values = prediction.pixels.read()
        if len(self.classes) > MAX_PALETTE_CLASSES:
            return [MaskImage("", values.astype(np.uint16))]
        return [MaskImage("", values.astype(np.uint8), self.colours)]

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The mean IoU."""
        miou = metrics["miou"]
        return f"reaches a mean IoU of {percent(miou['value'])} on {count_images(miou, split)}"

    def class_values(self, stats: PerImageStats) -> tuple[str, Sequence[float]]:
        """The IoU of each class."""
        return "IoU", [row.iou for row in Scorer(stats, len(self.classes)).per_class()]

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Mask, Mask]],
    ) -> list[Panel]:
        """Confusion matrix, IoU by class and the worst images."""
        scorer = Scorer(stats, len(self.classes))
        return mask_panels(scorer, ids, read_image, read_pair, self.classes, self.colours)

    def mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Mask, Mask]],
        of_class: int | None = None,
    ) -> Gallery:
        """The images with the lowest IoU."""
        scorer, colours = Scorer(stats, len(self.classes)), self.colours
        return worst_images(scorer, ids, read_image, read_pair, self.classes, colours, of_class)
