"""Labels proposed by a model, as a dataset for a person to correct: the least confident first."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from foveate import csv_file, formats, outputs, processes
from foveate.annotations import Annotation
from foveate.annotations.records import from_record, to_record
from foveate.data.dataset import Dataset, Image, Sample
from foveate.data.image_reading import ImageReading
from foveate.data.images import FileSource, decode
from foveate.data.video import VIDEO_SUFFIXES
from foveate.errors import BadImage, DataError
from foveate.inference.image_list import image_files
from foveate.inference.inputs import batches
from foveate.inference.interruptions import explain_kept_predictions
from foveate.inference.journal import SUFFIX, UNFINISHED, ImageName, Journal
from foveate.inference.left_out import LeftOut
from foveate.inference.predict import refuse_generators
from foveate.inference.predictor import Predictor
from foveate.inference.work import file_stamp, predict_batch
from foveate.inference.writers import Job
from foveate.progress import NullReporter, Reporter
from foveate.tasks.presenters.presenter import Presenter


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

    Each label is kept as soon as it is proposed: if the same command was stopped before, it goes
    on after them; see `journal`. OUT.proposals.csv next to it lists the images, the least
    confident first. Objects of a model without classes get the class `object`.

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
    with processes.connected():
        return _label(model, images, out, format, reporter)


def _label(
    model: Predictor, images: Path, out: Path, format: str | None, reporter: Reporter
) -> list[Proposal]:
    """Label each image, or this rank's share of them; see `label`."""
    table = out.with_name(f"{out.name}.proposals.csv")
    refuse_generators(model.task)
    journal = _find_journal(model, images, out)
    if processes.is_main():
        journal.check(overwrite=False)
        outputs.check_folder(out, option="--out", data=[images])
        outputs.check_output(table, None, option="--out", data=[images])
        outputs.check_output(
            journal.path, UNFINISHED, option="--out", overwrite=True, data=[images]
        )
    processes.wait()
    left_out = LeftOut(reporter)
    with explain_kept_predictions(journal):
        with journal.opened(reporter):
            labelled = _propose(model, images, journal, left_out, reporter)
            processes.wait()
            if not processes.is_main():
                return []
            _check_labelled(labelled, images, journal)
        proposals = _write(model.task, labelled, out, table, format)
        journal.remove()
    left_out.raise_failure()
    return proposals


@dataclass(frozen=True)
class _Labelled:
    """An image with its proposed label."""

    proposal: Proposal
    sample: Sample[Annotation]


def _find_journal(model: Predictor, images: Path, out: Path) -> Journal:
    """The journal of this command, whether there are records in it or not."""
    command = {
        "model": model.name,
        "weights": model.fingerprint,
        "task": model.task.name,
        "classes": model.task.classes,
        "reading": astuple(model.reading),
        "images": os.path.abspath(images),  # noqa: PTH100 - links stay as they are
        "out": os.path.abspath(out),  # noqa: PTH100
    }
    return Journal(out.with_name(f"{out.name}{SUFFIX}"), command)


def _propose(
    model: Predictor, images: Path, journal: Journal, left_out: LeftOut, reporter: Reporter
) -> list[_Labelled]:
    """Label each image, in their order."""
    labelled: dict[int, _Labelled] = {}
    # One list for all ranks: a file may appear while they list them.
    files = image_files([images], left_out.skip, reporter) if processes.is_main() else []
    files = processes.broadcast(files)
    for batch in batches(_read_images(images, files, model.reading, journal, labelled, left_out)):
        for job, image, prediction in predict_batch(model.predict_images, batch, left_out):
            confident = model.task.confident(prediction)
            confidence = prediction.min_confidence(confident)
            record = {
                "stamp": job.stamp,
                "confidence": None if math.isnan(confidence) else confidence,
                "summary": model.task.summary(prediction),
                "target": to_record(confident.as_target((image.shape[0], image.shape[1]))),
            }
            journal.add(job.place, job.name, record)
            labelled[job.place] = _of_record(images, Path(job.name.path), record)
    left_out.gather(files)
    if processes.is_main():
        for place, record in journal.take_from_others():
            labelled[place] = _of_record(images, Path(record["path"]), record)
    return [labelled[place] for place in sorted(labelled)]


def _read_images(
    images: Path,
    files: Sequence[Path],
    reading: ImageReading,
    journal: Journal,
    labelled: dict[int, _Labelled],
    left_out: LeftOut,
) -> Iterator[tuple[Job, Image]]:
    """Read the images that no earlier process has labelled; the others join `labelled`."""
    for path in files:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            left_out.skip(str(path), "the frames of a video are no files, so they have no labels")
            continue
        name, stamp = ImageName(str(path)), file_stamp(path)
        place, record = journal.place(name)
        if record is not None and record.get("stamp") == stamp:
            try:
                labelled[place] = _of_record(images, path, record)
                continue
            except ValueError:
                pass  # it is damaged, so the image is labelled again
        if not journal.is_own(place):
            continue
        try:
            yield Job(name, place, stamp, ""), decode(path, reading)
        except BadImage as error:
            left_out.skip(str(path), error.message)


def _of_record(images: Path, path: Path, record: Mapping[str, Any]) -> _Labelled:
    """What the record of an image says; what is new goes the same way, so both are equal.

    Raises:
        ValueError: It is damaged.
    """
    id = path.relative_to(images).as_posix() if images.is_dir() else path.name
    confidence, target = record.get("confidence"), from_record(record.get("target"))
    proposal = Proposal(
        id, math.nan if confidence is None else float(confidence), str(record.get("summary"))
    )
    return _Labelled(proposal, Sample(id, FileSource(path), target))


def _check_labelled(labelled: Sequence[_Labelled], images: Path, journal: Journal) -> None:
    """Refuse to write a dataset without any label."""
    targets = [one.sample.target for one in labelled]
    if not labelled:
        raise DataError("none of these images could be read", where=images)
    if not any(target is None or not target.has_boxes or target.present() for target in targets):
        journal.remove()
        raise DataError(
            "no objects were predicted in any of these images, so there is nothing to propose",
            where=images,
            remedy="Look at the predictions: foveate predict RUN IMAGES --draw DIR.",
        )


def _write(
    task: Presenter[Any], labelled: Sequence[_Labelled], out: Path, table: Path, format: str | None
) -> list[Proposal]:
    """Write the dataset and the table; return the proposals, the least confident first."""
    samples = [one.sample for one in labelled]
    assert samples[0].target is not None
    annotation = type(samples[0].target)
    dataset = _dataset(task, out.name, annotation.task, samples)
    formats.find_writer(format or annotation.default_format or "").write(dataset, out)
    proposals = sorted((one.proposal for one in labelled), key=lambda one: one.confidence)
    _write_table(table, proposals)
    return proposals


def _dataset(
    task: Presenter[Any], name: str, target_task: str, samples: Sequence[Sample[Any]]
) -> Dataset[Any]:
    classes = task.classes if task.class_aware else ("object",)
    colours = None if task.colours is None else tuple((r, g, b) for r, g, b in task.colours)
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
