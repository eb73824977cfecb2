"""Figures of a run and of a dataset, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate import tasks
from foveate.data.dataset import Dataset, SplitName
from foveate.errors import BadImage, SettingError
from foveate.experiment.data_place import reopen_at
from foveate.experiment.predicted_split import PredictedSplit, reduced
from foveate.experiment.run_folder import RunFolder
from foveate.progress import NullReporter
from foveate.report import figures
from foveate.report.drawing import TARGET_COLOUR
from foveate.report.overlays import Shape
from foveate.report.panels import GalleryItem
from foveate.training.device import preserved_torch_state
from foveate.wording import count_noun, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS, _LARGE_COLUMNS = 4, 3
MAX_LEGEND = 16
"""Classes in the legend of a figure: the first."""


def plot_curves(run: RunFolder) -> Figure:
    """Draw the learning curves of a run; see `Run.plot_curves`."""
    task = tasks.find(run.settings.task)
    return figures.learning_curves(run.curves, task.curve_metric, task.kept_by)


def show_mistakes(run: RunFolder, class_name: str | None, n: int) -> Figure:
    """Draw the worst predictions of a run; see `Run.show_mistakes`."""
    results, classes = run.results, run.data["classes"]
    split: SplitName = "test" if results["test"] else "valid"
    index = None if class_name is None else _class_index(classes, class_name)
    with preserved_torch_state():
        task, _ = run.load()
        predicted = PredictedSplit(run, reopen_at(run, None, NullReporter()), split, task)
        gallery = predicted.mistakes(index)
    of_class = "" if class_name is None else f" of the class {class_name}"
    name = "test image" if split == "test" else "validation image"
    where = count_noun(len(predicted.ids), name)
    if gallery is None or not gallery.items:
        return figures.gallery([], title=f"No mistakes{of_class} in {where}")
    items = gallery.items[:n]
    columns = _LARGE_COLUMNS if gallery.large else _COLUMNS
    title = f"{gallery.title}{of_class}, {where}"
    drawn = {tuple(shape.colour) for shape in _shapes(items)}
    with_targets = tuple(TARGET_COLOUR) in drawn
    note = "white: targets, coloured: predictions" if with_targets else ""
    legend = [one for one in gallery.legend if tuple(one[1]) in drawn][:MAX_LEGEND]
    return figures.gallery(items, columns=columns, title=title, note=note, legend=legend)


def _shapes(items: Sequence[GalleryItem]) -> Iterator[Shape]:
    shown = (layer for item in items for layer in item.layers if layer.shown)
    return (shape for layer in shown for shape in layer.shapes)


def show_samples(
    data: Dataset[Any],
    n: int = 8,
    *,
    class_name: str | None = None,
    split: SplitName | None = None,
) -> Figure:
    """Draw some images of a dataset with their targets.

    They are spread over the dataset evenly, so that they are of several classes, and always the
    same.

    Args:
        data: The dataset.
        n: Number of images.
        class_name: Only images that show this class.
        split: Only images of this split, where the data brings one.

    Raises:
        SettingError: There is no such class, or no such image.
    """
    task = tasks.find(data.task)(data.classes)
    if data.colours is not None:
        task.colours = data.colours
    samples = [one for one in data if split is None or one.split == split]
    if class_name is not None:
        index = _class_index(data.classes, class_name)
        samples = [one for one in samples if one.target and index in one.target.present()]
    if not samples:
        raise SettingError("no image of the dataset fits", where=data.name)
    items = []
    for row in np.unique(np.linspace(0, len(samples) - 1, n).round().astype(int)).tolist():
        sample = samples[row]
        try:
            image, target = sample.source.read(), sample.target
        except BadImage as error:
            white = np.full((1, 1, 3), 255, np.uint8)
            items.append(GalleryItem(white, f"{sample.id}: {error.message}"))
            continue
        if target is not None:
            image, target = reduced(task, image, target)
            if task.letterbox:  # where something in the image is to be found
                image = task.draw(image, target)
        title = "no target" if target is None else task.summary(target)
        items.append(GalleryItem(image, title))
    return figures.gallery(items, columns=_LARGE_COLUMNS if task.letterbox else _COLUMNS)


def _class_index(classes: Any, name: str) -> int:
    if name not in classes:
        raise SettingError(
            f"no class is called {name!r}{did_you_mean(name, classes)}",
            where="class_name",
            remedy=f"Classes: {', '.join(classes)}.",
        )
    index: int = list(classes).index(name)
    return index
