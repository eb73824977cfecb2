"""Predictions for images, folders of images and videos, printed and written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate import atomic_io
from foveate.annotations import Instances
from foveate.data import video
from foveate.data.dataset import Image, Skipped
from foveate.data.image_stats import content_hash
from foveate.data.images import IMAGE_SUFFIXES, decode
from foveate.errors import BadImage, FoveateError, SettingError
from foveate.inference.inputs import batches
from foveate.inference.kept import told_what_is_kept
from foveate.inference.predictor import Predictor
from foveate.inference.writers import (
    COCO_PREDICTIONS,
    PREDICTIONS,
    CocoWriter,
    DrawingWriter,
    JsonWriter,
    MaskWriter,
    PredictionWriter,
)
from foveate.models.interactive import Box
from foveate.ops.clicks import Click
from foveate.outputs import check_folder, check_output
from foveate.progress import NullReporter, Reporter
from foveate.tasks.capabilities import GeneratesImages, WritesMasks, require
from foveate.tasks.task import Task
from foveate.wording import count_noun


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
    """Predict for each image and report each prediction at once.

    A folder stands for all images and videos in it, a video for all its frames. Images that cannot
    be read are skipped with a warning.

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
    """
    if prompt is not None and tile is not None:
        raise SettingError("either a tile size or a prompt is expected, got both", where="--tile")
    reporter = reporter or NullReporter()
    task = model.task
    refuse_generators(task)
    _check_outputs(task, outputs, paths)
    files = list(image_files(paths))
    locked, spent = model.locked_images, 0
    skipped: list[Skipped] = []

    def skip(name: str, error: BadImage) -> None:
        skipped.append(Skipped(name, error.message))
        reporter.warning(f"skipped {name}: {error.message}")

    count = 0
    with told_what_is_kept(files=outputs.files, folders=outputs.folders), ExitStack() as stack:
        writers = _open_writers(model, outputs, stack)
        for batch in batches(_read_images(files, skip)):
            images = [image for _, image in batch]
            predictions = (
                model.predict_images(images, tile)
                if prompt is None
                else [_predict_prompt(model, image, prompt) for image in images]
            )
            for (name, image), prediction in zip(batch, predictions, strict=True):
                reporter.info(f"{name}  {task.summary(prediction)}")
                for writer in writers:
                    writer.add(name, image, prediction)
                # Hashing takes as long as decoding: only an image with the name of one is hashed.
                hashes = locked.get(Path(name).stem)
                spent += hashes is not None and content_hash(image) in hashes
            count += len(batch)
            del batch, images, predictions  # before the next batch is read
        for writer in writers:
            writer.close(skipped)
    if spent:
        reporter.warning(
            f"{count_noun(spent, 'image')} of the test split among these: whoever chooses by these "
            f"predictions spends it before foveate test {model.name} opens it"
        )
    return PredictResult(count, skipped)


def refuse_generators(task: Task[Any]) -> None:
    """Raise SettingError for a task that generates images instead of predicting from them."""
    if isinstance(task, GeneratesImages):
        raise SettingError(
            f"the task {task.name} generates images; it predicts nothing from them",
            where="RUN",
            remedy="Use: foveate generate RUN TEXT --out DIR.",
        )


def image_files(paths: Sequence[Path]) -> Iterator[Path]:
    """List these files, and all images and videos in these folders.

    Raises:
        FoveateError: A folder contains none.
    """
    for path in paths:
        if not path.is_dir():
            yield path  # decoding reports a path that does not exist
            continue
        files = [
            Path(folder) / name
            for folder, _, names in os.walk(path)
            for name in names
            if Path(name).suffix.lower() in IMAGE_SUFFIXES | video.VIDEO_SUFFIXES
            and not name.startswith(".")
        ]
        if not files:
            raise FoveateError("there are no images in this folder", where=path)
        yield from sorted(files)


def _read_images(
    files: Iterable[Path], skip: Callable[[str, BadImage], None]
) -> Iterator[tuple[str, Image]]:
    """Each image with its name; a frame's name has its number, from 0, after "#"."""
    for path in files:
        try:
            if path.suffix.lower() not in video.VIDEO_SUFFIXES:
                yield str(path), decode(path)
                continue
            for number, frame in enumerate(video.frames(path)):
                yield f"{path}#{number:06d}", frame
        except BadImage as error:
            skip(str(path), error)


def _predict_prompt(model: Predictor, image: Image, prompt: Prompt) -> Instances:
    predictor = model.set_image(image)
    mask = predictor.predict(prompt.clicks, prompt.box)
    return Instances.from_masks(mask[None], np.array([predictor.predicted_iou]))


def _check_outputs(task: Task[Any], outputs: Outputs, data: Sequence[Path]) -> None:
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
    for folder, option in ((outputs.drawings, "--draw"), (outputs.masks, "--masks")):
        if folder is not None:
            check_folder(folder, option=option, data=data)
    folders = [os.path.realpath(folder) for folder in outputs.folders]
    for path, kind, option in (
        (outputs.json_file, PREDICTIONS, "--json"),
        (outputs.coco_file, COCO_PREDICTIONS, "--coco"),
    ):
        # In a new folder there is nothing to replace, and it is made with the folder.
        if path is not None and os.path.realpath(path.parent) not in folders:
            check_output(path, kind, option=option, overwrite=outputs.overwrite, data=data)
    paths = [*folders, *(os.path.realpath(path) for path in outputs.files)]
    if len(set(paths)) < len(paths):
        raise SettingError(
            "another path is expected for each output, got one path twice",
            where="--json, --coco, --draw and --masks",
        )


def _open_writers(model: Predictor, outputs: Outputs, stack: ExitStack) -> list[PredictionWriter]:
    """The writers; JSON comes last, as it refers to the files of the others.

    Their files appear when the stack is closed without an error.
    """
    task = model.task
    drawings = None if outputs.drawings is None else DrawingWriter(task, outputs.drawings)
    masks = None if outputs.masks is None else MaskWriter(task, outputs.masks)
    writers: list[PredictionWriter] = [one for one in (drawings, masks) if one is not None]
    if outputs.coco_file is not None:
        file = stack.enter_context(atomic_io.new_file(outputs.coco_file))
        writers.append(CocoWriter(task, file, model.name))
    if outputs.json_file is not None:
        file = stack.enter_context(atomic_io.new_file(outputs.json_file))
        writers.append(JsonWriter(task, file, model.name, drawings, masks))
    return writers
