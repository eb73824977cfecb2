"""How a task presents its annotations: values, a line, a drawing, a headline and report panels.

Nothing here needs the network: presenters work where torch is not installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

from foveate.annotations import Annotation
from foveate.csv_file import Cell
from foveate.data.dataset import Image
from foveate.metrics.metric import PerImageStats
from foveate.report.panels import Gallery, Panel
from foveate.tasks.presenters.prediction import Prediction
from foveate.tasks.presenters.rates import Rates
from foveate.wording import count_noun

A = TypeVar("A", bound=Annotation)

Colours = Sequence[tuple[int, int, int]]

ReadImage = Callable[[int], Image | None]
"""From a row to its image, (H, W, C) uint8; None if it cannot be read."""


class Presenter(ABC, Generic[A]):
    """Presents targets and predictions of one task.

    Attributes:
        name: What users call the task, e.g. "detection".
        annotation: Type of the targets.
        description: What is predicted, in a few words.
        primary_metric: The metric that people quote, e.g. "accuracy".
        class_aware: Whether a prediction names classes.
        counted: What `amounts` counts: "image", "object", or the share of each "pixel".
        table_columns: The columns of `table_rows`.
        classes: The class names.
        prediction_type: What `predict` gives in Python.
        colours: (K, 3) RGB of the classes, where drawings have one for each.
    """

    name: ClassVar[str]
    annotation: ClassVar[type[Annotation]]
    description: ClassVar[str]
    primary_metric: ClassVar[str]
    class_aware: ClassVar[bool] = True
    counted: ClassVar[Literal["image", "object", "pixel"]] = "image"
    table_columns: ClassVar[tuple[str, ...]] = ("prediction",)
    prediction_type: ClassVar[type[Prediction[Any]]] = Prediction

    colours: Colours | None = None

    def __init__(self, classes: Sequence[str]):
        self.classes = tuple(classes)

    @abstractmethod
    def to_dict(self, annotation: A) -> dict[str, Any]:
        """An annotation as JSON values."""

    def rates(self, values: Mapping[str, Any]) -> Rates | None:
        """What `to_dict` gives for a prediction in a few numbers; None where there are none.

        Raises:
            LookupError, TypeError, ValueError: These are not the values of a prediction.
        """
        return None

    def amounts(self, prediction: A) -> dict[str, float]:
        """What `rates` says about each class that is predicted, without the values."""
        return {}

    def table_rows(self, prediction: A) -> list[list[Cell]]:
        """A prediction as rows of a table: one for each object, class of pixels, or image."""
        return [[self.summary(prediction)]]

    @abstractmethod
    def summary(self, annotation: A) -> str:
        """An annotation in one line."""

    @abstractmethod
    def draw(self, image: Image, annotation: A) -> Image:
        """A copy of the image with the annotation drawn on it, (H, W, 3) uint8."""

    def confident(self, prediction: A) -> A:
        """The parts of a prediction above the display threshold."""
        return prediction

    @abstractmethod
    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The result as a predicate, to follow "this model", without interval and definitions.

        Args:
            metrics: Each metric of one split with its value, low, high and n.
            split: "test" or "valid".
        """

    def class_values(self, stats: PerImageStats) -> tuple[str, Sequence[float]] | None:
        """A metric of each class, as its name and K values; None where classes have none.

        Args:
            stats: Per-image statistics of N images. A class that none of them holds has nan.
        """
        return None

    @abstractmethod
    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[A, A]],
    ) -> list[Panel]:
        """The sections of the report that only this task has.

        Args:
            stats: Per-image statistics of N images.
            ids: N sample ids.
            read_image: Reads the image of a row.
            read_pair: From a row to its prediction and target; only if its image can be read.
        """

    def mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[A, A]],
        of_class: int | None = None,
    ) -> Gallery | None:
        """The worst predictions, as the report shows them; None where it shows none.

        Args:
            stats: Per-image statistics of N images.
            ids: N sample ids.
            read_image: Reads the image of a row.
            read_pair: From a row to its prediction and target; only if its image can be read.
            of_class: A class that is mistaken: missed, or predicted wrongly; None for any.
        """
        for panel in self.report_panels(stats, ids, read_image, read_pair):
            if isinstance(panel, Gallery) and any(item.tone == "bad" for item in panel.items):
                name = None if of_class is None else self.classes[of_class]
                items = [
                    item
                    for item in panel.items
                    if item.tone == "bad" and (name is None or name in item.classes)
                ]
                return replace(panel, items=items)
        return None


def count_images(metric: Mapping[str, Any], split: str) -> str:
    """The images that a metric was computed on: "1,000 test images"."""
    return count_noun(metric["n"], "test image" if split == "test" else "validation image")
