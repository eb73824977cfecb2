"""A split with its images, targets and predictions, as a task shows them."""

from __future__ import annotations

from typing import Any

from foveate import record_io
from foveate.data.dataset import Image, SplitName
from foveate.data.resizing import fit_within
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.report.panels import Gallery, Panel
from foveate.tasks.capabilities import with_prompts
from foveate.tasks.task import Task

MAX_SIDE = 1000
"""Side in pixels above which images are reduced before annotations are drawn: a page shows less."""


class PredictedSplit:
    """A split with what was predicted for it, to be shown by the task.

    Args:
        run: The run.
        prepared: Its data; None leaves the images out.
        split: The split.
        task: The task.

    Attributes:
        ids: N sample ids.
        stats: Per-image statistics of these images.
    """

    def __init__(
        self, run: RunFolder, prepared: PreparedData | None, split: SplitName, task: Task[Any]
    ):
        self._run, self._task = run, task
        self.ids, self.stats = run.read_predictions(split)
        samples = prepared.images.dataset if prepared is not None else ()
        self._samples = {sample.id: sample for sample in samples}
        if unknown := self._samples and set(self.ids) - self._samples.keys():
            raise record_io.damaged(
                run.path / f"predictions_{split}.csv", f"the data has no image {min(unknown)!r}"
            )

    def panels(self) -> list[Panel]:
        """The panels of the task."""
        return self._task.report_panels(self.stats, self.ids, self._read_image, self._read_pair)

    def mistakes(self, of_class: int | None) -> Gallery | None:
        """The worst predictions, of all classes or of one; see `Presenter.mistakes`."""
        readers = self._read_image, self._read_pair
        return self._task.mistakes(self.stats, self.ids, *readers, of_class)

    def _read_image(self, row: int) -> Image | None:
        if not self._samples:
            return None
        image: Image = reduced(self._task, self._samples[self.ids[row]].source.read())[0]
        return image

    def _read_pair(self, row: int) -> tuple[Any, Any]:
        task, sample = self._task, self._samples[self.ids[row]]
        image = sample.source.read()
        size = (image.shape[0], image.shape[1])
        target = sample.target.clip(size, len(task.classes))  # type: ignore[union-attr]
        _, net = self._run.load()
        (prediction,) = task.predict(net, with_prompts(task, [image], [target]))
        _, prediction, target = reduced(task, image, prediction, target)
        return prediction, target


def reduced(task: Task[Any], image: Image, *annotations: Any) -> tuple[Any, ...]:
    """An image and its annotations, no larger than MAX_SIDE."""
    if not task.letterbox or max(image.shape) <= MAX_SIDE:
        return image, *annotations
    small = fit_within(image, MAX_SIDE, image.shape[2])
    before, after = (image.shape[0], image.shape[1]), (small.shape[0], small.shape[1])
    return small, *(task.resize(annotation, before, after) for annotation in annotations)
