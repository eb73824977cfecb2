"""Steps 2 and 3: decode every image once, audit it, split it, and write that down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate import atomic_io, formats, models, record_io, tasks
from foveate.audit import LEAK, UNUSABLE, Audit, audit
from foveate.data import depth, task_views
from foveate.data.cache import decoding
from foveate.data.cache.encoded import QUALITY, Encoding
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped
from foveate.data.image_reading import ImageReading
from foveate.data.natural_size import natural_size
from foveate.data.split import assign, file
from foveate.data.split.rare_classes import Handled
from foveate.data.unique_ids import check_unique_ids
from foveate.datasets.load import list_datasets, load
from foveate.errors import DataChanged, DataError
from foveate.experiment import spread_images
from foveate.experiment.affordable_size import affordable_size
from foveate.experiment.prepared_data import PreparedData, first_finding
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.shares import read_images
from foveate.experiment.split import make_split, with_groups, with_rare_classes
from foveate.progress import Reporter
from foveate.settings import MAX_SIZE, Settings
from foveate.tasks.task import Task
from foveate.training import helping

MAX_SKIPPED = 0.05
"""Share of unreadable images above which a run is refused, without --allow-skipped."""
MAX_SKIPPED_LINES = 5
"""Skipped samples that the console lists."""
PUBLISHED_SIZE = 224
"""Side in pixels of the images that most published weights were trained on."""
MIN_INCLUDED_SIZE = 96
"""Side in pixels that smaller images are enlarged to for the included weights."""
_STRIDE = 32  # of the coarsest feature map of most nets


def collect(
    run: RunFolder, dataset: Dataset[Any], reporter: Reporter, began: float | None = None
) -> PreparedData:
    """Prepare the data of a new run; leaves config.yaml, data.json and split.csv.

    Args:
        run: The new run.
        dataset: What it is to learn from.
        reporter: Receives findings and skipped samples.
        began: time.monotonic() at which the time budget began; by default, now.

    Raises:
        DataError: The data cannot be trained on; with what is wrong, and where.
        SettingError: The settings do not fit the data.
    """
    settings = run.settings
    if settings.model_reason:
        reporter.info(f"model {settings.model}: {settings.model_reason}")
    task_type, model = tasks.find(settings.task), models.find(settings.model)
    dataset = task_views.for_task(dataset, settings.task)
    check_unique_ids(dataset)
    handled = with_rare_classes(dataset, settings)
    dataset = handled.dataset
    if not len(dataset):
        raise DataError(
            "there is no image in this dataset",
            where=str(dataset.origin or dataset.name),
            remedy="Name another folder, or see what was left out: foveate audit DATA.",
        )
    dataset = depth.with_reading(dataset, ImageReading.of(settings))
    task = task_type(dataset.classes)
    size = settings.size or max(model.min_size, default_size(dataset, task_type, settings.weights))
    reduced = None
    if settings.size is None and settings.minutes is not None:
        size, reduced = affordable_size(task, dataset, settings, size, began)
    model.check(size, pretrained=settings.weights is not None)
    max_skipped = 1.0 if settings.allow_skipped else MAX_SKIPPED
    images = depth.decode_measured(
        dataset,
        ImageReading.of(settings),
        lambda dataset: _decode(task, dataset, size, max_skipped, reporter),
        reporter.info,
    )
    images = _with_left_out(images, handled)
    reporter.info("auditing: checking images and targets, searching for copies")
    result = audit(images.dataset, images.hashes, images.image_stats)
    _refuse_errors(result, settings)
    split, samples = _split(task, images, result, settings)
    if settings.drop_leaks:
        rest = tuple(finding for finding in result.findings if finding.check != LEAK)
        result = replace(result, findings=rest)

    black, white = depth.reading_of(images.dataset).points or (settings.black, settings.white)
    run.save_settings(size=size, black=black, white=white)
    rows = file.rows_of(samples, images.hashes, split)
    file.write(run.path / "split.csv", rows)
    notes = (
        *images.dataset.notes,
        *handled.notes,
        *split.notes,
        *([reduced] if reduced else [] if settings.size else _reduced(task, images)),
        *_encoded(images),
    )
    prepared = PreparedData.of_rows(task, images, rows, notes, split.leaks)
    record = {**prepared.to_json(result), "split": file.record(rows)}
    atomic_io.write_json(run.path / "data.json", record)
    _report(prepared, result, reporter)
    return prepared


def load_again(run: RunFolder) -> Dataset[Any]:
    """Load the data of an existing run from its origin.

    Raises:
        DataError: The data cannot be read.
    """
    settings = run.settings
    try:
        return run.dataset or load(
            settings.data,
            root=Path(settings.root) if settings.root else None,
            format=settings.data_format,
            task=settings.task,
            over_machines=helping.over_machines,
        )
    except DataError as error:
        known = [one.name for one in list_datasets()]
        if settings.data in known or _holds_something(formats.expand_user(settings.data)):
            raise
        raise DataError(
            "the data of this run is not there",
            where=settings.data,
            remedy="If it was moved, name its new place: --data PLACE.",
        ) from error


def _holds_something(path: Path) -> bool:
    """Whether there is a file or a folder that is not empty; a disk may not be mounted there."""
    try:
        return path.exists() and not (path.is_dir() and not any(path.iterdir()))
    except OSError:  # reading it tells why
        return True


def reopen(
    run: RunFolder, reporter: Reporter, images: decoding.DecodedImages[Any] | None = None
) -> PreparedData:
    """Prepare the data of an existing run again, from its origin.

    Args:
        run: The run.
        reporter: Receives the progress.
        images: The decoded images, if machines share them; else they are read.

    Raises:
        DataChanged: The data has changed since the run began.
        RunError: The record is damaged, or the split was edited.
        DataError: The data cannot be read.
    """
    settings, record = run.settings, run.data
    images = images or _read_again(run, reporter)
    task = tasks.find(settings.task)(images.dataset.classes)
    path = run.path / "split.csv"
    rows = file.read(path)
    file.check_unchanged(rows, record["split"], path)
    file.apply(images.dataset, images.hashes, rows, path)
    prepared = PreparedData.of_rows(task, images, rows, tuple(record["notes"]))
    if prepared.fingerprint() != record["fingerprint"]:
        raise DataChanged(
            "the data has changed since this run began, so its split and metrics no longer fit",
            where=settings.data,
            remedy="Bring the data back as it was, or train again into another --out.",
        )
    return prepared


def _read_again(run: RunFolder, reporter: Reporter) -> decoding.DecodedImages[Any]:
    settings, encoding = run.settings, run.data.get("encoding", "raw")
    dataset = load_again(run)
    handled = with_rare_classes(task_views.for_task(dataset, settings.task), settings)
    dataset = handled.dataset
    task = tasks.find(settings.task)(dataset.classes)
    if settings.size is None:  # collect has resolved it
        raise record_io.damaged(run.path / "config.yaml", "size: a number is expected")
    dataset = depth.with_reading(dataset, ImageReading.of(settings))
    images = _decode(task, dataset, settings.size, 1.0, reporter, encoding)
    return _with_left_out(images, handled)


def _decode(
    task: Task[Any],
    dataset: Dataset[Any],
    size: int,
    max_skipped: float,
    reporter: Reporter,
    encoding: Encoding | None = None,
) -> decoding.DecodedImages[Any]:
    """Every image with a usable target at size x size; the other samples are skipped.

    A run is resumed with the encoding that it began with, whatever the cache may take by then.
    """
    usable = _with_usable_targets(task, dataset)
    spec = DecodeSpec(size, letterbox=task.letterbox, encoding=encoding)
    if (images := spread_images.decode(usable, spec, max_skipped, reporter)) is not None:
        return images
    with reporter.bar("reading images", len(dataset)) as bar:
        return decoding.decode(
            usable,
            size,
            letterbox=task.letterbox,
            encoding=encoding,
            max_skipped=max_skipped,
            read=read_images,
            on_progress=lambda done, _: bar(done),
            on_message=reporter.warning,
            on_plan=reporter.info,
        )


def _with_usable_targets(task: Task[Any], dataset: Dataset[Any]) -> Dataset[Any]:
    """The samples with a usable target; the others join `skipped` with the reason."""
    problems = {sample.id: reasons for sample in dataset if (reasons := task.audit(sample))}
    if not problems:
        return dataset
    skipped = tuple(Skipped(id, "; ".join(reasons)) for id, reasons in problems.items())
    usable = [sample for sample in dataset if sample.id not in problems]
    return replace(dataset, samples=usable, skipped=dataset.skipped + skipped)


def _with_left_out(
    images: decoding.DecodedImages[Any], handled: Handled
) -> decoding.DecodedImages[Any]:
    """With the samples that were left out before decoding among those that were skipped."""
    skipped = (*images.dataset.skipped, *handled.left_out)
    return replace(images, dataset=replace(images.dataset, skipped=skipped))


def _split(
    task: Task[Any], images: decoding.DecodedImages[Any], result: Audit, settings: Settings
) -> tuple[assign.SplitAssignment, Sequence[Sample[Any]]]:
    """The split, and the samples with the groups and the split file that the settings name."""
    dataset, left_out = with_groups(images.dataset, settings.group_by), set[str]()
    if settings.split is not None:
        path = Path(settings.split)
        rows = file.read(path)
        dataset = file.apply(dataset, images.hashes, rows, path)
        left_out = {id for id, row in rows.items() if row.split is None}
    split = make_split(
        dataset.samples,
        dataset.classes,
        result.duplicates,
        settings,
        single_class_ok=task.single_class_ok,
        left_out=left_out,
    )
    targets = {sample.id: sample.target for sample in dataset}
    for name in SPLITS:
        task.metric().check_targets(
            name, [targets[id] for id, own in split.splits.items() if own == name]
        )
    return split, dataset.samples


def default_size(dataset: Dataset[Any], task_type: type[Task[Any]], weights: str | None) -> int:
    """Side in pixels at which most of these images keep their size, up to the task's maximum.

    Published weights know larger images; those that are included take most sizes.
    """
    if weights and not (task_type.letterbox and weights == models.INCLUDED):
        least = MIN_INCLUDED_SIZE if weights == models.INCLUDED else PUBLISHED_SIZE
        return min(max(natural_size(dataset), least), PUBLISHED_SIZE)
    if not task_type.letterbox:
        return min(natural_size(dataset), task_type.max_default_size)
    # A larger canvas costs smaller images nothing but time; whole strides lose no row of it.
    return min(_whole_strides(natural_size(dataset, 0.95)), task_type.max_default_size)


def _whole_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE


def _reduced(task: Task[Any], images: decoding.DecodedImages[Any]) -> Iterator[str]:
    """A note if most images lose more than half of their size, and with it small objects."""
    longest = np.maximum(images.image_stats["height"], images.image_stats["width"])
    usual, size = int(np.median(longest)), images.pixels.shape[1]
    if task.letterbox and usual > 2 * size:
        yield (
            f"images of about {usual:,} px are reduced to {size}: objects smaller than "
            f"{usual / size:.0f} px in them are lost; "
            f"--size {min(MAX_SIZE, _whole_strides(usual))} keeps more, and takes longer"
        )


def _encoded(images: decoding.DecodedImages[Any]) -> Iterator[str]:
    """A note if the pixels are not those of the files."""
    if images.encoding == "jpeg":
        yield (
            f"this run trains on images stored as JPEG of quality {QUALITY}, because they exceed "
            "the cache as they are; it is evaluated on the files themselves"
        )


def _refuse_errors(result: Audit, settings: Settings) -> None:
    """Refuse data with errors. Leaks and unreadable images have switches of their own."""
    errors = [
        group
        for group in result.groups
        if group.severity == "error" and group.check not in (LEAK, UNUSABLE)
    ]
    if errors and not settings.allow_errors:
        raise DataError(
            "the audit finds errors:",
            where=str(result.dataset.origin or result.dataset.name),
            details=[f"{group.check}: {first_finding(group)}" for group in errors],
            remedy="See them all with: foveate audit DATA. Repair them (--fix writes a repaired "
            "copy), or pass --allow-errors to train all the same; the record will say so.",
        )


def _report(prepared: PreparedData, result: Audit, reporter: Reporter) -> None:
    """Summary, notes, findings and skipped samples."""
    reporter.info(prepared.summary())
    for note in prepared.notes:
        reporter.warning(note)
    for group in result.groups:
        if group.severity != "note" and group.check != UNUSABLE:
            reporter.warning(f"{group.check}: {first_finding(group)}")
    skipped = prepared.images.dataset.skipped
    for one in skipped[:MAX_SKIPPED_LINES]:
        reporter.warning(f"skipped {one.id}: {one.reason}")
    if len(skipped) > MAX_SKIPPED_LINES:
        more = len(skipped) - MAX_SKIPPED_LINES
        reporter.warning(f"... and {more:,} more; all of them are listed in data.json")
