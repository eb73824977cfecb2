"""Boxes as text, values, drawings and report panels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from foveate.annotations import Boxes
from foveate.csv_file import Cell
from foveate.data.dataset import Image
from foveate.metrics.detection import check_thresholds, per_class
from foveate.metrics.metric import PerImageStats
from foveate.report import drawing
from foveate.report.box_panels import box_panels, mistakes
from foveate.report.panels import Gallery, Panel
from foveate.tasks.catalog import CATALOG
from foveate.tasks.presenters.prediction import A, ObjectPrediction
from foveate.tasks.presenters.presenter import ReadImage, count_images
from foveate.tasks.presenters.rates import Rates, rates_of_objects
from foveate.tasks.presenters.tables import (
    OBJECT_COLUMNS,
    box_areas,
    class_amounts,
    object_rows,
)
from foveate.tasks.presenters.thresholds import DEFAULT_THRESHOLD, HasThresholds
from foveate.wording import percent


class BoxPrediction(ObjectPrediction[A]):
    """Objects with boxes and classes."""

    @property
    def class_names(self) -> list[str]:
        """The class of each of the N objects."""
        return [self.classes[k] for k in self.boxes.classes.tolist()]


class DetectionPresenter(HasThresholds[Boxes]):
    """Presents the boxes that reach the threshold of their class.

    Attributes:
        thresholds: (K,) display thresholds.
    """

    name, primary_metric, description = CATALOG["detection"]
    annotation = Boxes
    counted = "object"
    table_columns = OBJECT_COLUMNS
    prediction_type = BoxPrediction

    def __init__(self, classes: Sequence[str], *, thresholds: Sequence[float] | None = None):
        super().__init__(classes)
        self.thresholds = check_thresholds(len(classes), thresholds, DEFAULT_THRESHOLD)

    def confident(self, prediction: Boxes) -> Boxes:
        """The boxes that reach the threshold of their class; all boxes of a target."""
        if prediction.scores is None:
            return prediction
        reached = prediction.scores >= self.thresholds[prediction.classes]
        return prediction[reached & self.is_presented(prediction)]

    def to_dict(self, annotation: Boxes) -> dict[str, Any]:
        """Class, corners, score and flags of each confident box."""
        boxes, records = self.confident(annotation), []
        for row, (corners, k) in enumerate(
            zip(boxes.corners.tolist(), boxes.classes.tolist(), strict=True)
        ):
            record: dict[str, Any] = {
                "class": self.classes[k],
                "box": [round(value, 2) for value in corners],
            }
            if boxes.scores is not None:
                record["score"] = round(float(boxes.scores[row]), 6)
            flags = {name: True for name in ("crowd", "difficult") if getattr(boxes, name)[row]}
            records.append(record | flags)
        return {"boxes": records}

    def rates(self, values: Mapping[str, Any]) -> Rates:
        """Number, classes and mean score of the objects."""
        return rates_of_objects(values["boxes"])

    def amounts(self, prediction: Boxes) -> dict[str, float]:
        """The number of objects of each class."""
        return class_amounts(self.confident(prediction), self.classes)

    def table_rows(self, prediction: Boxes) -> list[list[Cell]]:
        """A row for each confident box, by falling score."""
        boxes = self.confident(prediction)
        if boxes.scores is not None:
            boxes = boxes[np.argsort(-boxes.scores, kind="stable")]
        return object_rows(boxes, [self.classes[k] for k in boxes.classes], box_areas(boxes))

    def summary(self, annotation: Boxes) -> str:
        """The number of objects of each class."""
        return count_classes(self.confident(annotation), self.classes)

    def draw(self, image: Image, annotation: Boxes) -> Image:
        """Each confident box in the colour of its class, with name and score."""
        boxes = self.confident(annotation)
        captions = [self.classes[k] for k in boxes.classes]
        if boxes.scores is not None:
            captions = [
                f"{name} {score:.0%}" for name, score in zip(captions, boxes.scores, strict=True)
            ]
        colours = [drawing.class_colour(int(k)) for k in boxes.classes]
        return drawing.draw_boxes(image, boxes.corners, colours, captions)

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The mAP50."""
        return map50_headline(metrics, split)

    def class_values(self, stats: PerImageStats) -> tuple[str, Sequence[float]]:
        """The AP50 of each class."""
        rows = per_class(stats, len(self.classes), self.thresholds)
        return "AP50", [row.ap50 if row.n else math.nan for row in rows]

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Boxes, Boxes]],
    ) -> list[Panel]:
        """Average precision by class, precision-recall curves, and the kinds of errors."""
        return box_panels(stats, ids, read_image, self.classes, self.thresholds)

    def mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Boxes, Boxes]],
        of_class: int | None = None,
    ) -> Gallery:
        """Close-ups of each type of error."""
        return mistakes(stats, ids, read_image, self.classes, self.thresholds, of_class)


def map50_headline(metrics: Mapping[str, Any], split: str) -> str:
    """The mAP50."""
    map50 = metrics["map50"]
    return f"reaches an mAP50 of {percent(map50['value'])} on {count_images(map50, split)}"


def count_classes(boxes: Boxes, classes: Sequence[str]) -> str:
    """The number of objects of each class: "2 × cat, 1 × dog"; or "2 × class 3, 1 × class 7".

    A class name may be of any language, so it has no plural.
    """
    word = "class " if any(name[:1].isdigit() for name in classes) else ""
    amounts = class_amounts(boxes, classes).items()
    return ", ".join(f"{count:.0f} × {word}{name}" for name, count in amounts) or "nothing"
