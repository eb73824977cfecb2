"""Objects that were clicked on, as text, values, drawings, mask images and report panels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.csv_file import Cell
from foveate.data.dataset import Image
from foveate.errors import SettingError
from foveate.metrics.interactive import MAX_CLICKS, InteractiveResult
from foveate.metrics.metric import PerImageStats
from foveate.report import drawing
from foveate.report.click_panels import click_panels, hardest_objects
from foveate.report.panels import Gallery, Panel
from foveate.tasks.capabilities import FindsObjects, MaskImage, WritesMasks, object_masks
from foveate.tasks.catalog import CATALOG
from foveate.tasks.presenters.prediction import ObjectPrediction
from foveate.tasks.presenters.presenter import Presenter, ReadImage, count_images
from foveate.tasks.presenters.tables import OBJECT_COLUMNS, mask_areas, object_rows
from foveate.wording import count_noun, percent

Prediction = Instances | InteractiveResult
_CLASS = "object"


class MaskPrediction(ObjectPrediction[Instances]):
    """Objects with masks and boxes, without classes."""

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) bool, the pixels of each object."""
        return self.annotation.masks(self.size)


class PromptablePresenter(Presenter[Prediction], WritesMasks[Prediction], FindsObjects[Prediction]):
    """Presents masks of objects without classes.

    Attributes:
        min_score: Objects with a lower estimated IoU are not shown.
    """

    name, primary_metric, description = CATALOG["promptable"]
    class_aware = False
    annotation = Instances
    counted = "object"
    table_columns = OBJECT_COLUMNS
    prediction_type = MaskPrediction
    min_score = 0.0

    def restricted(self, conf: float | None, classes: Sequence[str] | None) -> PromptablePresenter:
        """See `FindsObjects`."""
        if classes is not None:
            raise SettingError(
                f"the task {self.name} finds objects without naming their class",
                where="--classes",
                remedy="Leave it out.",
            )
        restricted = copy.copy(self)
        restricted.min_score = 0.0 if conf is None else conf
        return restricted

    def confident(self, prediction: Prediction) -> Instances:
        """The objects after the last click, of those whose estimated IoU is high enough."""
        last = prediction.after[-1] if isinstance(prediction, InteractiveResult) else prediction
        if last.boxes.scores is None or not self.min_score:
            return last
        return last[last.boxes.scores >= self.min_score]

    def to_dict(self, annotation: Prediction) -> dict[str, Any]:
        """Box, pixels and mask (COCO's compressed run lengths) of each object."""
        return {"instances": self.confident(annotation).to_records()}

    def amounts(self, prediction: Prediction) -> dict[str, float]:
        """The number of objects."""
        return {_CLASS: float(count)} if (count := len(self.confident(prediction))) else {}

    def table_rows(self, prediction: Prediction) -> list[list[Cell]]:
        """A row for each object, numbered as in `mask_images`."""
        instances = self.confident(prediction)
        return object_rows(instances.boxes, [_CLASS] * len(instances), mask_areas(instances))

    def summary(self, annotation: Prediction) -> str:
        """The number of objects, or the size of a single one."""
        instances = self.confident(annotation)
        if len(instances) == 1 and instances.boxes.scores is not None:
            pixels = int(instances.masks(instances.image_size).sum())
            score = instances.boxes.scores[0]
            return f"an object of {count_noun(pixels, 'pixel')}, estimated IoU {score:.0%}"
        return count_noun(len(instances), "object")

    def draw(self, image: Image, annotation: Prediction) -> Image:
        """Each object in its own colour, with an edge."""
        instances = self.confident(annotation)
        ids = instances.label_map(image.shape[:2])
        return drawing.draw_instances(image, ids, np.arange(len(instances)))

    def mask_images(self, prediction: Prediction) -> list[MaskImage]:
        """An image for each object, white on black."""
        instances = self.confident(prediction)
        return object_masks(instances.masks(instances.image_size), [""] * len(instances))

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The IoU after the first and after the last click."""
        first, last = metrics["iou_1"], metrics[f"iou_{MAX_CLICKS}"]
        return (
            f"reaches an IoU of {percent(first['value'])} after one click and "
            f"{percent(last['value'])} after {MAX_CLICKS} on {count_images(first, split)}"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Prediction, Prediction]],
    ) -> list[Panel]:
        """IoU by clicks and by class, and the hardest objects."""
        return click_panels(stats, ids, read_image, read_pair, self.classes)

    def mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Prediction, Prediction]],
        of_class: int | None = None,
    ) -> Gallery:
        """The hardest objects."""
        return hardest_objects(stats, ids, read_image, read_pair, self.classes, of_class)
