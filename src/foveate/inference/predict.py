"""Predictions for images, folders of images and videos, printed and written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from foveate.annotations import Instances
from foveate.data import video
from foveate.data.dataset import Image, Skipped
from foveate.data.images import IMAGE_SUFFIXES, decode
from foveate.errors import BadImage, FoveateError, SettingError
from foveate.inference.predictor import Predictor
from foveate.inference.writers import (
    CocoWriter,
    DrawingWriter,
    JsonWriter,
    MaskWriter,
    PredictionWriter,
)
from foveate.models.interactive import Box
from foveate.ops.clicks import Click
from foveate.progress import NullReporter, Reporter
from foveate.tasks.capabilities import GeneratesImages, WritesMasks, require
from foveate.tasks.task import Task

T = TypeVar("T")

_BATCH_SIZE, _BATCH_BYTES = 64, 1 << 28


@dataclass(frozen=True)
class Outputs:
    """Where predictions are written; folders must be new or empty.

    Attributes:
        json_file: All predictions.
        coco_file: Boxes, and masks as RLE, with scores, in COCO's format.
        drawings: A folder for images with their predictions drawn into them.
        masks: A folder for masks as label images.
    """

    json_file: Path | None = None
    coco_file: Path | None = None
    drawings: Path | None = None
    masks: Path | None = None


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
        RunError: An output folder is not empty.
        FoveateError: A folder contains no image.
    """
    if prompt is not None and tile is not None:
        raise SettingError("either a tile size or a prompt is expected, got both", where="--tile")
    reporter = reporter or NullReporter()
    task = model.task
    _check_outputs(task, outputs)
    writers = _open_writers(model, outputs)
    count, skipped = 0, list[Skipped]()

    def skip(name: str, error: BadImage) -> None:
        skipped.append(Skipped(name, error.message))
        reporter.warning(f"skipped {name}: {error.message}")

    for batch in batches(_read_images(paths, skip)):
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
            count += 1
    for writer in writers:
        writer.close(skipped)
    return PredictResult(count, skipped)


def batches(images: Iterable[tuple[T, Image]]) -> Iterator[list[tuple[T, Image]]]:
    """Group images into batches that fit into memory.

    Args:
        images: (key, image) pairs.
    """
    batch: list[tuple[T, Image]] = []
    for one in images:
        batch.append(one)
        if len(batch) == _BATCH_SIZE or sum(image.nbytes for _, image in batch) > _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


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
    paths: Sequence[Path], skip: Callable[[str, BadImage], None]
) -> Iterator[tuple[str, Image]]:
    """Each image with its name; a frame's name has its number, from 0, after "#"."""
    for path in image_files(paths):
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


def _check_outputs(task: Task[Any], outputs: Outputs) -> None:
    """Raise SettingError for an output that the task's predictions do not have."""
    refuse_generators(task)
    if outputs.coco_file is not None and not task.annotation.has_boxes:
        raise SettingError(
            f"the task {task.name} predicts no boxes",
            where="--coco",
            remedy="Use --json instead.",
        )
    if outputs.masks is not None:
        require(task, WritesMasks)
    if outputs.masks is not None and outputs.masks == outputs.drawings:
        raise SettingError("two folders are expected, got one for both", where="--masks and --draw")


def _open_writers(model: Predictor, outputs: Outputs) -> list[PredictionWriter]:
    """The writers; JSON comes last, as it refers to the files of the others."""
    task = model.task
    drawings = None if outputs.drawings is None else DrawingWriter(task, outputs.drawings)
    masks = None if outputs.masks is None else MaskWriter(task, outputs.masks)
    coco = None if outputs.coco_file is None else CocoWriter(task, outputs.coco_file)
    json = (
        None
        if outputs.json_file is None
        else JsonWriter(task, outputs.json_file, model.name, drawings, masks)
    )
    return [writer for writer in (drawings, masks, coco, json) if writer is not None]
