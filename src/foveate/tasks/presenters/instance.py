"""Objects with masks as text, values, drawings, mask images and report panels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.csv_file import Cell
from foveate.data.dataset import Image
from foveate.metrics import instance as instance_metrics
from foveate.metrics.detection import check_thresholds
from foveate.metrics.metric import PerImageStats
from foveate.report import drawing
from foveate.report.instance_panels import instance_panels, mistakes
from foveate.report.panels import Gallery, Panel
from foveate.tasks.capabilities import (
    MaskImage,
    WritesMasks,
    by_falling_score,
    numbered_objects,
)
from foveate.tasks.catalog import CATALOG
from foveate.tasks.presenters.detection import BoxPrediction, count_classes, map50_headline
from foveate.tasks.presenters.presenter import ReadImage
from foveate.tasks.presenters.rates import Rates, rates_of_objects
from foveate.tasks.presenters.tables import (
    OBJECT_COLUMNS,
    class_amounts,
    mask_areas,
    object_rows,
)
from foveate.tasks.presenters.thresholds import DEFAULT_THRESHOLD, HasThresholds


class InstancePrediction(BoxPrediction[Instances]):
    """Objects with masks, boxes and classes."""

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) bool, the pixels of each object."""
        return self.annotation.masks(self.size)


class InstancePresenter(HasThresholds[Instances], WritesMasks[Instances]):
    """Presents the objects that reach the threshold of a class.

    Attributes:
        thresholds: (K,) display thresholds.
    """

    name, primary_metric, description = CATALOG["instance"]
    annotation = Instances
    counted = "object"
    table_columns = OBJECT_COLUMNS
    prediction_type = InstancePrediction

    def __init__(self, classes: Sequence[str], *, thresholds: Sequence[float] | None = None):
        super().__init__(classes)
        self.thresholds = check_thresholds(len(classes), thresholds, DEFAULT_THRESHOLD)

    def confident(self, prediction: Instances) -> Instances:
        """The objects that reach the threshold of a class, each once; all objects of a target."""
        if prediction.boxes.scores is None:
            return prediction
        confident = prediction[instance_metrics.is_confident(prediction, self.thresholds)]
        return confident[self.is_presented(confident.boxes)]

    def to_dict(self, annotation: Instances) -> dict[str, Any]:
        """Class, box, pixels and mask (COCO's compressed run lengths) of each object."""
        instances = self.confident(annotation)
        rows = zip(instances.boxes.classes.tolist(), instances.to_records(), strict=True)
        return {"instances": [{"class": self.classes[k], **record} for k, record in rows]}

    def rates(self, values: Mapping[str, Any]) -> Rates:
        """Number, classes and mean score of the objects."""
        return rates_of_objects(values["instances"])

    def amounts(self, prediction: Instances) -> dict[str, float]:
        """The number of objects of each class."""
        return class_amounts(self.confident(prediction).boxes, self.classes)

    def table_rows(self, prediction: Instances) -> list[list[Cell]]:
        """A row for each object, numbered as in `mask_images`: by falling score."""
        instances = self.confident(prediction)
        instances = instances[by_falling_score(instances)]
        names = [self.classes[k] for k in instances.boxes.classes]
        return object_rows(instances.boxes, names, mask_areas(instances))

    def summary(self, annotation: Instances) -> str:
        """The number of objects of each class."""
        return count_classes(self.confident(annotation).boxes, self.classes)

    def draw(self, image: Image, annotation: Instances) -> Image:
        """Each object with an edge, in the colour of its class or, of a single class, its own."""
        instances = self.confident(annotation)
        several = len(self.classes) > 1
        colours = instances.boxes.classes if several else np.arange(len(instances))
        return drawing.draw_instances(image, instances.label_map(image.shape[:2]), colours)

    def mask_images(self, prediction: Instances) -> list[MaskImage]:
        """An image that numbers the objects, and one with their classes if there are several."""
        return numbered_objects(prediction, len(self.classes))

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The mAP50."""
        return map50_headline(metrics, split)

    def class_values(self, stats: PerImageStats) -> tuple[str, Sequence[float]]:
        """The AP50 of each class."""
        rows = instance_metrics.per_class(stats, len(self.classes), self.thresholds)
        return "AP50", [row.ap50 if row.n else math.nan for row in rows]

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Instances, Instances]],
    ) -> list[Panel]:
        """Average precision by class, by threshold, and the worst images."""
        return instance_panels(stats, ids, read_image, read_pair, self.classes, self.thresholds)

    def mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Instances, Instances]],
        of_class: int | None = None,
    ) -> Gallery:
        """Close-ups of each type of error."""
        return mistakes(stats, ids, read_image, read_pair, self.classes, self.thresholds, of_class)
