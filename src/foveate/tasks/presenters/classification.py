"""Classes of whole images as text, values, drawings and report panels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Label
from foveate.csv_file import Cell
from foveate.data.dataset import Image
from foveate.metrics import classification as classification_metrics
from foveate.metrics.metric import PerImageStats
from foveate.report import charts, drawing
from foveate.report.panels import Chart, ConfusionMatrix, Gallery, GalleryItem, Panel, Table
from foveate.tasks.catalog import CATALOG
from foveate.tasks.presenters.prediction import Prediction
from foveate.tasks.presenters.presenter import Presenter, ReadImage, count_images
from foveate.tasks.presenters.rates import Rates
from foveate.wording import percent

MAX_MISTAKES = 72
"""Mistakes on the page of the report."""
MAX_OF_CELL = 8
"""The same of one cell of the confusion matrix."""
MAX_CORRECT, MAX_CORRECT_OF_CLASS = 36, 3
"""Correct predictions on the page, of all classes and of one."""


class ClassPrediction(Prediction[Label]):
    """The class of an image."""

    @property
    def class_name(self) -> str:
        """The most likely class."""
        return self.classes[self.annotation.index]

    @property
    def score(self) -> float:
        """Its probability, from 0 to 1."""
        return self.probabilities[self.class_name]

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each class, in the order of `classes`; they sum to 1."""
        scores = self.annotation.scores
        if scores is None:
            scores = np.eye(len(self.classes))[self.annotation.index]
        return dict(zip(self.classes, scores.tolist(), strict=True))


class ClassificationPresenter(Presenter[Label]):
    """Presents the class of each image."""

    name, primary_metric, description = CATALOG["classification"]
    annotation = Label
    table_columns = ("class", "probability")
    prediction_type = ClassPrediction

    def to_dict(self, annotation: Label) -> dict[str, Any]:
        """The class, its probability, and the five most likely classes with theirs."""
        record: dict[str, Any] = {"class": self.classes[annotation.index]}
        if annotation.scores is not None:
            record["probability"] = round(float(annotation.scores[annotation.index]), 6)
            best = np.argsort(-annotation.scores, kind="stable")[:5]
            record["probabilities"] = {
                self.classes[i]: round(float(annotation.scores[i]), 6) for i in best
            }
        return record

    def rates(self, values: Mapping[str, Any]) -> Rates:
        """The class and its probability."""
        return Rates({str(values["class"]): 1.0}, None, float(values["probability"]))

    def amounts(self, prediction: Label) -> dict[str, float]:
        """1 for the class."""
        return {self.classes[prediction.index]: 1.0}

    def table_rows(self, prediction: Label) -> list[list[Cell]]:
        """One row: the class and its probability."""
        scores = prediction.scores
        probability = None if scores is None else round(float(scores[prediction.index]), 6)
        return [[self.classes[prediction.index], probability]]

    def summary(self, annotation: Label) -> str:
        """The class and its probability."""
        scores = annotation.scores
        confidence = "" if scores is None else f"  {percent(scores[annotation.index])}"
        return f"{self.classes[annotation.index]}{confidence}"

    def draw(self, image: Image, annotation: Label) -> Image:
        """The image, enlarged if it is small, with the class name in a strip below it."""
        return drawing.add_caption(drawing.enlarge_small(image), self.classes[annotation.index])

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The accuracy."""
        accuracy = metrics["accuracy"]
        images = count_images(accuracy, split)
        return f"classifies {percent(accuracy['value'])} of {images} correctly"

    def class_values(self, stats: PerImageStats) -> tuple[str, Sequence[float]]:
        """The recall of each class."""
        rows = classification_metrics.per_class(stats, len(self.classes))
        return "recall", [row.recall if row.n else math.nan for row in rows]

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Label, Label]],
    ) -> list[Panel]:
        """Confusion matrix, metrics by class, calibration and the most confident mistakes."""
        metrics_by_class = classification_metrics.per_class(stats, len(self.classes))
        rows = [
            [name, f"{row.n:,}", percent(row.precision), percent(row.recall), percent(row.f1)]
            for name, row in zip(self.classes, metrics_by_class, strict=True)
        ]
        return [
            ConfusionMatrix(
                "Confusion matrix",
                "Each row is a true class, each column a predicted one. A perfect model has all "
                "its counts on the diagonal.",
                classification_metrics.confusion(stats, len(self.classes)),
                self.classes,
            ),
            Table(
                "Metrics by class",
                "Recall: the share of this class's images that are predicted correctly. "
                "Precision: the share of the predictions of this class that are correct.",
                ["class", "images", "precision", "recall", "F1"],
                rows,
            ),
            Chart(
                "Calibration",
                "When the model predicts with a confidence of 80%, it should be right 80% of the "
                "time: then the dots lie on the line.",
                charts.reliability(*classification_metrics.reliability(stats)),
            ),
            self.mistakes(stats, ids, read_image),
            self._least_confident(stats, ids, read_image),
        ]

    def mistakes(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: ReadImage,
        read_pair: Callable[[int], tuple[Label, Label]] | None = None,
        of_class: int | None = None,
    ) -> Gallery:
        """The most confident of the wrong predictions."""
        targets, predictions = stats["target"], stats["predicted"]
        mistaken = targets != predictions
        if of_class is not None:
            mistaken &= (targets == of_class) | (predictions == of_class)
        wrong = np.flatnonzero(mistaken)
        rows = self._most_confident(stats, wrong, MAX_OF_CELL, MAX_MISTAKES)
        text = (
            f"{len(wrong):,} of {len(ids):,} predictions are wrong; the most confident of them "
            "come first. Look here first for wrong labels, and for what the model cannot see."
        )
        if len(rows) < len(wrong):
            text += f" {len(rows)} are on the page."
        return Gallery(
            "Most confident mistakes",
            text if len(wrong) else "There are no mistakes.",
            self._items(stats, rows, ids, read_image),
        )

    def _least_confident(
        self, stats: PerImageStats, ids: Sequence[str], read_image: ReadImage
    ) -> Gallery:
        """Correct predictions of each class, the least confident first."""
        correct = np.flatnonzero(stats["target"] == stats["predicted"])
        less = {**stats, "confidence": -stats["confidence"]}
        rows = self._most_confident(less, correct, MAX_CORRECT_OF_CLASS, MAX_CORRECT)
        return Gallery(
            "Least confident of the correct predictions",
            "The images of each class that were nearly predicted wrongly.",
            self._items(stats, rows, ids, read_image),
            first=12,
        )

    def _most_confident(
        self, stats: PerImageStats, rows: NDArray[np.int64], of_cell: int, most: int
    ) -> list[int]:
        """The most confident rows, at most so many of a cell of the confusion matrix and in all."""
        chosen: list[int] = []
        counts: Counter[tuple[int, int]] = Counter()
        for row in rows[np.argsort(-stats["confidence"][rows], kind="stable")].tolist():
            cell = (int(stats["target"][row]), int(stats["predicted"][row]))
            if counts[cell] < of_cell and len(chosen) < most:
                counts[cell] += 1
                chosen.append(row)
        return chosen

    def _items(
        self, stats: PerImageStats, rows: Sequence[int], ids: Sequence[str], read_image: ReadImage
    ) -> list[GalleryItem]:
        items = []
        for row in rows:
            if (image := read_image(row)) is None:
                continue
            target, predicted = int(stats["target"][row]), int(stats["predicted"][row])
            wrong = target != predicted
            name = self.classes[target]
            items.append(
                GalleryItem(
                    image,
                    f"{name}, predicted as {self.classes[predicted]}" if wrong else name,
                    f"confidence {stats['confidence'][row]:.0%} · {ids[row]}",
                    "bad" if wrong else "good",
                    classes=[self.classes[k] for k in dict.fromkeys((target, predicted))],
                    cells=[(target, predicted)],
                )
            )
        return items
