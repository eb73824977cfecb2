"""Labels proposed by a model, as a dataset for a person to correct: the least confident first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import csv_file, formats, outputs
from foveate.annotations import Annotation
from foveate.data.dataset import Dataset, Image, Sample
from foveate.data.images import IMAGE_SUFFIXES, FileSource, decode
from foveate.errors import BadImage, DataError
from foveate.inference.inputs import batches
from foveate.inference.kept import told_what_is_kept
from foveate.inference.predict import image_files, refuse_generators
from foveate.inference.predictor import Predictor
from foveate.progress import NullReporter, Reporter
from foveate.tasks.task import Task


@dataclass(frozen=True)
class Proposal:
    """The proposed label of one image.

    Attributes:
        id: Path of the image, relative to its folder.
        confidence: Lowest confidence of any decision in the prediction, from 0 to 1; NaN if
            unknown.
        summary: The prediction in one line.
    """

    id: str
    confidence: float
    summary: str


def label(
    model: Predictor,
    images: Path,
    out: Path,
    *,
    format: str | None = None,
    reporter: Reporter | None = None,
) -> list[Proposal]:
    """Write a model's predictions for a folder of images as a labelled dataset.

    OUT.proposals.csv next to it lists the images, the least confident first. Objects of a model
    without classes get the class `object`.

    Args:
        model: A run or a foundation model.
        images: A folder of images, or one image.
        out: A new folder.
        format: Name of the format; None for the task's default.
        reporter: Receives warnings about images that cannot be read.

    Returns:
        The proposals, the least confident first.

    Raises:
        RunError: An output exists already, or lies in the folder of images.
        StorageError: An output cannot be written; the error says what is kept.
        Cancelled: Ctrl-C; likewise.
        DataError: No image can be read, nothing was predicted, or the format cannot hold it.
    """
    reporter = reporter or NullReporter()
    table = out.with_name(f"{out.name}.proposals.csv")
    refuse_generators(model.task)
    outputs.check_folder(out, option="--out", data=[images])
    outputs.check_output(table, None, option="--out", data=[images])
    with told_what_is_kept(files=[out, table]):
        return _label(model, images, out, table, format, reporter)


def _label(
    model: Predictor,
    images: Path,
    out: Path,
    table: Path,
    format: str | None,
    reporter: Reporter,
) -> list[Proposal]:
    proposals, samples = _propose(model, images, reporter)
    if not samples:
        raise DataError("none of these images could be read", where=images)
    targets = [sample.target for sample in samples if isinstance(sample.target, Annotation)]
    annotation = type(targets[0])
    if annotation.has_boxes and not any(target.present() for target in targets):
        raise DataError(
            "no objects were predicted in any of these images, so there is nothing to propose",
            where=images,
            remedy="Look at the predictions: foveate predict RUN IMAGES --draw DIR.",
        )
    dataset = _dataset(model.task, out.name, annotation.task, samples)
    formats.find_writer(format or annotation.default_format or "").write(dataset, out)
    proposals.sort(key=lambda proposal: proposal.confidence)
    _write_table(table, proposals)
    return proposals


def _propose(
    model: Predictor, images: Path, reporter: Reporter
) -> tuple[list[Proposal], list[Sample[Any]]]:
    task = model.task
    proposals: list[Proposal] = []
    samples: list[Sample[Any]] = []
    for batch in batches(_read_images(images, reporter)):
        predictions = model.predict_images([image for _, image in batch])
        for (path, image), prediction in zip(batch, predictions, strict=True):
            id = path.relative_to(images).as_posix() if images.is_dir() else path.name
            confident = task.confident(prediction)
            confidence = prediction.min_confidence(confident)
            proposals.append(Proposal(id, confidence, task.summary(prediction)))
            target = confident.as_target((image.shape[0], image.shape[1]))
            samples.append(Sample(id, FileSource(path), target))
    return proposals, samples


def _read_images(images: Path, reporter: Reporter) -> Iterator[tuple[Path, Image]]:
    for path in image_files([images]):
        if path.suffix.lower() not in IMAGE_SUFFIXES and images.is_dir():
            continue  # the frames of a video are no files, so they cannot be labelled
        try:
            yield path, decode(path)
        except BadImage as error:
            reporter.warning(f"skipped {path}: {error.message}")


def _dataset(
    task: Task[Any], name: str, target_task: str, samples: list[Sample[Any]]
) -> Dataset[Any]:
    classes = task.classes if task.class_aware else ("object",)
    colours = tuple(map(tuple, task.options.get("colours", ()))) or None
    return Dataset(name, target_task, classes, samples, colours=colours)


def _write_table(path: Path, proposals: list[Proposal]) -> None:
    csv_file.write(
        path,
        ["id", "confidence", "prediction"],
        [
            (one.id, None if math.isnan(one.confidence) else f"{one.confidence:.6f}", one.summary)
            for one in proposals
        ],
    )
