"""Predictions for images, folders of images and videos, printed and written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate import atomic_io, processes
from foveate.annotations import Instances
from foveate.data.dataset import Image, Images, Skipped
from foveate.errors import SettingError
from foveate.inference.image_list import image_files
from foveate.inference.inputs import batches
from foveate.inference.interruptions import explain_kept_predictions
from foveate.inference.journal import SUFFIX, UNFINISHED, Journal
from foveate.inference.left_out import LeftOut
from foveate.inference.predictor import Predictor
from foveate.inference.result_files import (
    COCO_PREDICTIONS,
    PREDICTIONS,
    write_coco,
    write_predictions,
)
from foveate.inference.work import Work, predict_batch
from foveate.inference.writers import (
    CocoWriter,
    DrawingWriter,
    MaskWriter,
    PredictionWriter,
    ValueWriter,
    make_folder,
)
from foveate.ops.clicks import Click
from foveate.outputs import check_folder, check_output
from foveate.progress import NullReporter, Reporter
from foveate.tasks.capabilities import GeneratesImages, WritesMasks, require
from foveate.tasks.presenters.presenter import Presenter
from foveate.wording import count_noun

if TYPE_CHECKING:
    from foveate.models.interactive import Box


@dataclass(frozen=True)
class Outputs:
    """Where predictions are written, outside of the images' folders; see `foveate.outputs`.

    Attributes:
        json_file: All predictions.
        coco_file: Boxes, and masks as RLE, with scores, in COCO's format.
        drawings: A new or empty folder for images with their predictions drawn into them.
        masks: A new or empty folder for masks as label images.
        overwrite: Whether the files are replaced where they hold predictions already.
    """

    json_file: Path | None = None
    coco_file: Path | None = None
    drawings: Path | None = None
    masks: Path | None = None
    overwrite: bool = False

    @property
    def files(self) -> list[Path]:
        """The files that are asked for."""
        return [path for path in (self.json_file, self.coco_file) if path is not None]

    @property
    def folders(self) -> list[Path]:
        """The folders that are asked for."""
        return [path for path in (self.drawings, self.masks) if path is not None]

    @property
    def journal(self) -> Path | None:
        """Where predictions are kept until all are made: beside the first file, or in a folder."""
        if self.files:
            return self.files[0].with_name(self.files[0].name + SUFFIX)
        return self.folders[0] / f"predictions{SUFFIX}" if self.folders else None


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
    with processes.connected():
        return _predict_paths(model, paths, outputs, tile, prompt, reporter)


def _predict_paths(
    model: Predictor,
    paths: Sequence[Path],
    outputs: Outputs,
    tile: int | None,
    prompt: Prompt | None,
    reporter: Reporter,
) -> PredictResult:
    """Predict for each image, or this rank's share of them; see `predict_paths`."""
    journal = _find_journal(model, outputs, tile, prompt)
    main = processes.is_main()
    if main:
        _check_outputs(model.task, outputs, journal, paths)
    processes.wait()
    left_out = LeftOut(reporter)
    # One list for all ranks: a file may appear while they list them.
    files = image_files(paths, left_out.skip, reporter) if main else []
    files = processes.broadcast(files)

    def predict(images: Images) -> list[Any]:
        return _predict(model, images, tile, prompt)

    with explain_kept_predictions(journal), ExitStack() as stack:
        writers = _open_writers(model.task, outputs)
        if journal is not None:
            stack.enter_context(journal.opened(reporter))
        work = Work(model, journal, writers, left_out, reporter, tiled=tile is not None)
        for batch in batches(work.images(files)):
            for job, image, prediction in predict_batch(predict, batch, left_out):
                work.add(job, image, prediction)
                del image, prediction
            del batch  # before the next one is read
        left_out.gather(files)
        work.depths.gather()
        if not main:
            return PredictResult(work.count, left_out.skipped)
        work.add_others()
        if journal is not None:
            _write_files(model, outputs, journal, left_out)
            journal.remove()
    _report_result(model, outputs, work, left_out, reporter)
    left_out.raise_failure()
    return PredictResult(work.count, left_out.skipped)


def refuse_generators(task: Presenter[Any]) -> None:
    """Raise SettingError for a task that generates images instead of predicting from them."""
    if isinstance(task, GeneratesImages):
        raise SettingError(
            f"the task {task.name} generates images; it predicts nothing from them",
            where="RUN",
            remedy="Use: foveate generate RUN TEXT --out DIR.",
        )


def _predict(
    model: Predictor, images: Images, tile: int | None, prompt: Prompt | None
) -> list[Any]:
    if prompt is None:
        return model.predict_confident(images, tile)
    return [_predict_prompt(model, image, prompt) for image in images]


def _predict_prompt(model: Predictor, image: Image, prompt: Prompt) -> Instances:
    predictor = model.set_image(image)
    mask = predictor.predict(prompt.clicks, prompt.box)
    return Instances.from_masks(mask[None], np.array([predictor.predicted_iou]))


def _find_journal(
    model: Predictor, outputs: Outputs, tile: int | None, prompt: Prompt | None
) -> Journal | None:
    """The journal of this command, whether there are records in it or not."""
    if outputs.journal is None:
        if processes.size() > 1:
            raise SettingError(
                "several processes write what they predict, and no output is named",
                remedy="Name one: --json FILE, --coco FILE, --draw DIR or --masks DIR.",
            )
        return None
    written = {
        "json": outputs.json_file,
        "coco": outputs.coco_file,
        "draw": outputs.drawings,
        "masks": outputs.masks,
    }
    command = {
        "model": model.name,
        "weights": model.fingerprint,
        "task": model.task.name,
        "classes": model.task.classes,
        "runtime": model.runtime,
        "tile": tile,
        "reading": astuple(model.reading),
        "prompt": None if prompt is None else [prompt.clicks, prompt.box],
        **{name: None if path is None else os.path.abspath(path) for name, path in written.items()},  # noqa: PTH100 - links stay
    }
    return Journal(outputs.journal, command)


def _check_outputs(
    task: Presenter[Any], outputs: Outputs, journal: Journal | None, data: Sequence[Path]
) -> None:
    """Refuse outputs that the task's predictions do not have, or that would replace something.

    Raises:
        SettingError: The task has no such predictions, or one path is given twice.
        RunError: See `foveate.outputs`.
    """
    if outputs.coco_file is not None and not task.annotation.has_boxes:
        raise SettingError(
            f"the task {task.name} predicts no boxes",
            where="--coco",
            remedy="Use --json instead.",
        )
    if outputs.masks is not None:
        require(task, WritesMasks)
    if journal is not None:
        journal.check(overwrite=outputs.overwrite)
    resumed = journal is not None and journal.resumed
    for folder, option in ((outputs.drawings, "--draw"), (outputs.masks, "--masks")):
        if folder is not None:
            check_folder(folder, option=option, data=data, may_be_full=resumed)
    folders = [os.path.realpath(folder) for folder in outputs.folders]
    first = "--coco" if outputs.json_file is None else "--json"
    for path, kind, option, overwrite in (
        (outputs.json_file, PREDICTIONS, "--json", outputs.overwrite),
        (outputs.coco_file, COCO_PREDICTIONS, "--coco", outputs.overwrite),
        (outputs.journal, UNFINISHED, first, True),
    ):
        # In a new folder there is nothing to replace, and it is made with the folder.
        if path is not None and os.path.realpath(path.parent) not in folders:
            check_output(path, kind, option=option, overwrite=overwrite, data=data)
    paths = [*folders, *(os.path.realpath(path) for path in outputs.files)]
    if len(set(paths)) < len(paths):
        raise SettingError(
            "another path is expected for each output, got one path twice",
            where="--json, --coco, --draw and --masks",
        )


def _open_writers(task: Presenter[Any], outputs: Outputs) -> list[PredictionWriter]:
    writers: list[PredictionWriter] = []
    for folder in outputs.folders:
        make_folder(folder)
    if outputs.drawings is not None:
        writers.append(DrawingWriter(task, outputs.drawings))
    if outputs.masks is not None:
        writers.append(MaskWriter(task, outputs.masks))
    if outputs.coco_file is not None:
        writers.append(CocoWriter(task))
    if outputs.json_file is not None:
        writers.append(ValueWriter(task))
    return writers


def _write_files(model: Predictor, outputs: Outputs, journal: Journal, left_out: LeftOut) -> None:
    """Write the files from the journal. They appear together, whole, at the end."""
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_io.new_file(path)) for path in outputs.files]
        for path, file in zip(outputs.files, files, strict=True):
            if path == outputs.coco_file:
                write_coco(file, model.task, model.name, journal.records)
            else:
                write_predictions(
                    file, path, model.task, model.name, journal.records, left_out.records
                )


def _report_result(
    model: Predictor, outputs: Outputs, work: Work, left_out: LeftOut, reporter: Reporter
) -> None:
    """One line about all of it, and a warning if the test split is spent."""
    skipped = f", {len(left_out.skipped):,} skipped" if left_out.skipped else ""
    written = ", ".join(map(str, [*outputs.files, *outputs.folders]))
    reporter.info(
        f"{count_noun(work.count, 'prediction')}{skipped}" + (f", in {written}" if written else "")
    )
    work.depths.report(reporter)
    if work.spent:
        reporter.warning(
            f"{count_noun(work.spent, 'image')} of the test split among these: whoever chooses by "
            f"these predictions spends it before foveate test {model.name} opens it"
        )
