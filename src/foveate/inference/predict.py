"""Predictions for images, folders of images and videos, printed and written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate import processes
from foveate.annotations import Instances
from foveate.data.dataset import Image, Images, Skipped
from foveate.errors import SettingError
from foveate.inference import live
from foveate.inference.image_list import image_files
from foveate.inference.inputs import batches
from foveate.inference.interruptions import explain_kept_predictions
from foveate.inference.journal import Journal
from foveate.inference.left_out import LeftOut
from foveate.inference.prediction_outputs import (
    Outputs,
    check_outputs,
    open_writers,
    write_files,
)
from foveate.inference.predictor import Predictor, restrict
from foveate.inference.work import Work, predict_batch
from foveate.ops.clicks import Click
from foveate.progress import NullReporter, Reporter
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.presenters.presenter import Presenter
from foveate.wording import count_noun

if TYPE_CHECKING:
    from foveate.models.interactive import Box


@dataclass(frozen=True)
class Prompt:
    """A prompt for each image, in its pixels.

    Attributes:
        clicks: (x, y, inside) each.
        box: Left, top, right, bottom; or None.
    """

    clicks: Sequence[Click] = ()
    box: Box | None = None


@dataclass(frozen=True)
class PredictResult:
    """The outcome of `predict_paths`.

    Attributes:
        count: Number of predictions.
        skipped: Images that could not be read.
    """

    count: int
    skipped: list[Skipped]


def predict_paths(
    model: Predictor,
    paths: Sequence[Path],
    outputs: Outputs = Outputs(),
    *,
    tile: int | None = None,
    prompt: Prompt | None = None,
    conf: float | None = None,
    classes: Sequence[str] | None = None,
    reporter: Reporter | None = None,
) -> PredictResult:
    """Predict for each image, and report and keep each prediction at once.

    A folder stands for all images and videos in it, a video for all its frames. Images that cannot
    be read are skipped with a warning. If the same command was stopped before, it goes on after
    the predictions that it has made; see `journal`.

    Args:
        model: A run or a foundation model.
        paths: Images, videos, and folders of them.
        outputs: Where predictions are written.
        tile: Side in pixels of the tiles that larger images are cut into.
        prompt: A prompt for each image, for promptable models.
        conf: Confidence threshold of objects, instead of the calibrated ones.
        classes: Names of the classes whose objects are wanted; None for all.
        reporter: Receives a line per prediction.

    Raises:
        SettingError: The task cannot do this.
        RunError: An output would replace something, or lies in the data.
        FoveateError: A folder contains no image.
        StorageError: An output cannot be written; the error says what is kept.
        Cancelled: Ctrl-C; likewise.
        Exception: What the model raised for an image, once all others are predicted and written.
    """
    if prompt is not None and tile is not None:
        raise SettingError("either a tile size or a prompt is expected, got both", where="--tile")
    reporter = reporter or NullReporter()
    refuse_generators(model.task)
    task = restrict(model.task, conf, classes)
    asked = {
        "tile": tile,
        "prompt": None if prompt is None else [prompt.clicks, prompt.box],
        "conf": conf,
        "only": classes,
    }
    predict = _function(model, task, tile, prompt)
    with processes.connected():
        return _predict_paths(model, task, predict, paths, outputs, asked, reporter)


def show_live(
    model: Predictor,
    path: Path,
    *,
    tile: int | None = None,
    conf: float | None = None,
    classes: Sequence[str] | None = None,
    reporter: Reporter | None = None,
    on_page: Callable[[str], None] = lambda address: None,
) -> None:
    """Predict for a camera, or a video, and show it on a page of this machine, until Ctrl-C.

    Args:
        model: See `predict_paths`, also for `tile`, `conf` and `classes`.
        path: The number of a camera, or a video file.
        tile: See `model`.
        conf: See `model`.
        classes: See `model`.
        reporter: Receives the address of the page.
        on_page: Receives the address too.

    Raises:
        SettingError: There is no such camera, or the task cannot do this.
        BadImage: The video cannot be read.
    """
    refuse_generators(model.task)
    if processes.size() > 1:
        raise SettingError("one process shows a camera", where="--show")
    task = restrict(model.task, conf, classes)
    predict = _function(model, task, tile, None)
    live.show(
        predict, task, live.open_source(path), model.name, reporter or NullReporter(), on_page
    )


def _function(
    model: Predictor, task: Presenter[Any], tile: int | None, prompt: Prompt | None
) -> Callable[[Images], list[Any]]:
    """What predicts for a batch."""
    # A run may leave out what is below its own thresholds.
    predict_images = model.predict_confident if task is model.task else model.predict_images

    def predict(images: Images) -> list[Any]:
        if prompt is None:
            return predict_images(images, tile)
        return [_predict_prompt(model, image, prompt) for image in images]

    return predict


def _predict_paths(
    model: Predictor,
    task: Presenter[Any],
    predict: Callable[[Images], list[Any]],
    paths: Sequence[Path],
    outputs: Outputs,
    asked: Mapping[str, Any],
    reporter: Reporter,
) -> PredictResult:
    """Predict for each image, or this rank's share of them; see `predict_paths`."""
    journal = _find_journal(model, outputs, asked)
    main = processes.is_main()
    if main:
        check_outputs(task, outputs, journal, paths)
    processes.wait()
    left_out = LeftOut(reporter)
    # One list for all ranks: a file may appear while they list them.
    files = image_files(paths, left_out.skip, reporter) if main else []
    files = processes.broadcast(files)
    with explain_kept_predictions(journal), ExitStack() as stack:
        writers = open_writers(task, outputs)
        if journal is not None:
            stack.enter_context(journal.opened(reporter))
        work = Work(
            model, task, journal, writers, left_out, reporter, tiled=asked["tile"] is not None
        )
        for batch in batches(work.images(files)):
            for job, image, prediction in predict_batch(predict, batch, left_out):
                work.add(job, image, prediction)
                del image, prediction
            del batch  # before the next one is read
        left_out.gather(files)
        work.depths.gather()
        if not main:
            return PredictResult(work.tally.images, left_out.skipped)
        work.add_others()
        if journal is not None:
            write_files(task, model, outputs, journal, left_out, asked)
            journal.remove()
    _report_result(model, outputs, work, left_out, reporter)
    left_out.raise_failure()
    return PredictResult(work.tally.images, left_out.skipped)


def refuse_generators(task: Presenter[Any]) -> None:
    """Raise SettingError for a task that generates images instead of predicting from them."""
    if isinstance(task, GeneratesImages):
        raise SettingError(
            f"the task {task.name} generates images; it predicts nothing from them",
            where="RUN",
            remedy="Use: foveate generate RUN TEXT --out DIR.",
        )


def _predict_prompt(model: Predictor, image: Image, prompt: Prompt) -> Instances:
    predictor = model.set_image(image)
    mask = predictor.predict(prompt.clicks, prompt.box)
    return Instances.from_masks(mask[None], np.array([predictor.predicted_iou]))


def _find_journal(model: Predictor, outputs: Outputs, asked: Mapping[str, Any]) -> Journal | None:
    """The journal of this command, whether there are records in it or not."""
    if outputs.journal is None:
        if processes.size() > 1:
            raise SettingError(
                "several processes write what they predict, and no output is named",
                remedy="Name one: --json, --csv or --coco FILE, --draw or --masks DIR.",
            )
        return None
    command = {
        "model": model.name,
        "weights": model.fingerprint,
        "task": model.task.name,
        "classes": model.task.classes,
        "runtime": model.runtime,
        "reading": astuple(model.reading),
        **asked,
        **{option: os.path.abspath(path) for option, path in outputs.by_option.items()},  # noqa: PTH100 - links stay
    }
    return Journal(outputs.journal, command)


def _report_result(
    model: Predictor, outputs: Outputs, work: Work, left_out: LeftOut, reporter: Reporter
) -> None:
    """The totals of each class, one line about all of it, and a warning if the test is spent."""
    for line in work.tally.lines():
        reporter.info(line)
    skipped = f", {len(left_out.skipped):,} skipped" if left_out.skipped else ""
    written = ", ".join(map(str, [*outputs.files, *outputs.folders]))
    reporter.info(
        f"{count_noun(work.tally.images, 'prediction')}{skipped}"
        + (f", in {written}" if written else "")
    )
    work.depths.report(reporter)
    if work.spent:
        reporter.warning(
            f"{count_noun(work.spent, 'image')} of the test split among these: whoever chooses by "
            f"these predictions spends it before foveate test {model.name} opens it"
        )
