"""What the script of a page works with: filters, switches, thresholds and places to go to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foveate.report.panels import Gallery, GalleryItem, Panel, ThresholdCounts, Thresholds
from foveate.wording import percent

MAX_CHOICES = 40
"""Classes whose threshold can be moved alone: those with the most objects."""
_SWITCH_NAMES = {"target": "targets", "prediction": "predictions", "error": "errors"}


@dataclass(frozen=True)
class Filters:
    """The choices of a gallery.

    Attributes:
        kinds: All kinds, in the order of their items.
        classes: All class names, sorted.
    """

    kinds: Sequence[str]
    classes: Sequence[str]

    def kind_indices(self, names: Sequence[str]) -> str:
        """Where these kinds stand, separated by spaces."""
        return " ".join(str(self.kinds.index(name)) for name in names)

    def class_indices(self, names: Sequence[str]) -> str:
        """Where these classes stand, likewise: a class may have the name of a kind."""
        return " ".join(str(self.classes.index(name)) for name in names)


def filters(gallery: Gallery) -> Filters:
    """The kinds and classes that a gallery can be filtered by."""
    kinds = dict.fromkeys(kind for item in gallery.items for kind in item.kinds)
    classes = {name for item in gallery.items for name in item.classes}
    return Filters(list(kinds), sorted(classes))


def switches(gallery: Gallery) -> list[tuple[str, str, bool]]:
    """Key, name and first state of each layer of a gallery, and of its fillings and names."""
    layers = [layer for item in gallery.items for layer in item.layers]
    found = {layer.name: (layer.name, _SWITCH_NAMES[layer.name], layer.shown) for layer in layers}
    rows: list[tuple[str, str, bool]] = [found[key] for key in _SWITCH_NAMES if key in found]
    if any(layer.filling is not None for layer in layers):
        rows.append(("filling", "filling", False))
    if gallery.large and any(shape.caption for layer in layers for shape in layer.shapes):
        rows.append(("names", "names", True))
    return rows


def detail(item: GalleryItem) -> str:
    """The second line of an item, with what its layers leave out."""
    notes = [
        f"{len(layer.shapes):,} of {layer.count:,} {_SWITCH_NAMES[layer.name]} outlined"
        for layer in item.layers
        if len(layer.shapes) < layer.count
    ]
    return " · ".join(filter(None, [item.detail, *notes]))


def anchors(panels: Sequence[Panel]) -> dict[str, str]:
    """The id of each panel by its title."""
    return {panel.title: f"s{number}" for number, panel in reversed([*enumerate(panels, 1)])}


def curves(panel: Thresholds) -> str:
    """What the slider needs, as JSON: of each class its index, and counts by threshold."""
    rows: list[Mapping[str, Any]] = [
        {
            "label": one.label,
            "objects": one.objects,
            "threshold": one.threshold,
            "predicted": one.predicted.tolist(),
            "correct": one.correct.tolist(),
        }
        for one in panel.classes
    ]
    return json.dumps(rows, separators=(",", ":"))


def threshold_choices(panel: Thresholds) -> list[ThresholdCounts]:
    """The classes whose threshold can be moved alone, by index."""
    frequent = sorted(panel.classes, key=lambda one: -one.objects)[:MAX_CHOICES]
    return sorted(frequent, key=lambda one: one.label)


def threshold_rows(panel: Thresholds) -> list[list[str]]:
    """Rows of a table for some thresholds, all classes together."""
    objects = sum(one.objects for one in panel.classes)
    rows = []
    for step in (*range(10, 100, 10), -1):
        predicted = sum(int(one.predicted[step]) for one in panel.classes)
        correct = sum(int(one.correct[step]) for one in panel.classes)
        name = "as chosen" if step < 0 else f"{step / 100:.1f}"
        rows.append([name, *rates(predicted, correct, objects)])
    return rows


def rates(predicted: int, correct: int, objects: int) -> list[str]:
    """Precision, recall, F1, and predictions that are correct, extra and missing."""
    precision = correct / predicted if predicted else np.nan
    recall = correct / objects if objects else np.nan
    f1 = 2 * correct / (predicted + objects) if predicted + objects else np.nan
    counts = (correct, predicted - correct, objects - correct)
    return [*map(percent, (precision, recall, f1)), *(f"{count:,}" for count in counts)]
