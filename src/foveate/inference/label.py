"""Labels proposed by a run or a foundation model, as data for a person to correct: the least sure ones first."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate import atomic_io, formats
from foveate.data.dataset import Dataset, Image, Sample
from foveate.data.images import PICTURE_SUFFIXES, FileSource, decode
from foveate.errors import BadImage, DataError, RunError
from foveate.inference.predict import at_once, picture_files, refuse_from_words
from foveate.inference.predictor import Predictor
from foveate.progress import NullReporter, Reporter


@dataclass(frozen=True)
class Proposal:
    """id: of a picture; sure: how sure the least sure part of its answer is, from 0 to 1, nan where that cannot be told; told: the
    answer in a line
    """

    id: str
    sure: float
    told: str


def label(
    model: Predictor,
    images: Path,
    out: Path,
    *,
    format: str | None = None,
    reporter: Reporter | None = None,
) -> list[Proposal]:
    """Write what a model says of all pictures of a folder as labelled data in a new place, and beside it OUT.proposals.csv: each
    picture, least sure first. Where it names no classes, all that it finds is a `thing`.

    Raises DataError where there is no picture that can be read, and for what the format cannot hold.
    """
    reporter = reporter or NullReporter()
    listed = out.with_name(f"{out.name}.proposals.csv")
    for path in (out, listed):
        if path.exists():
            raise RunError(
                "this exists already and would be overwritten",
                where=path,
                remedy="Name another --out.",
            )
    task = model.task
    refuse_from_words(task)
    samples: list[Sample[Any]] = []
    proposals: list[Proposal] = []
    for some in at_once(_read(images, reporter)):
        for (path, image), prediction in zip(
            some, model.predict_images([image for _, image in some]), strict=True
        ):
            id = path.relative_to(images).as_posix() if images.is_dir() else path.name
            shown = task.confident(prediction)
            proposals.append(
                Proposal(id, prediction.min_confidence(shown), task.summary(prediction))
            )
            samples.append(
                Sample(id, FileSource(path), shown.as_target((image.shape[0], image.shape[1])))
            )
    if not samples:
        raise DataError("none of these pictures could be read", where=images)
    proposed = type(samples[0].target)
    if proposed.has_boxes and not any(
        one.target is not None and one.target.present() for one in samples
    ):
        raise DataError(
            "nothing was found in any of these pictures, so there is nothing to propose",
            where=images,
            remedy="Look at what it sees: foveate predict RUN PICTURES --draw DIR.",
        )
    classes = task.classes if task.class_aware else ("thing",)
    colours = tuple(map(tuple, task.options().get("colours", ()))) or None
    dataset = Dataset(out.name, proposed.task, classes, samples, colours=colours)
    formats.find(format or proposed.default_format).write(dataset, out)
    proposals.sort(key=lambda one: one.sure)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "sure", "answer"])
    table.writerows(
        [one.id, "" if np.isnan(one.sure) else f"{one.sure:.6f}", one.told] for one in proposals
    )
    atomic_io.write_text(listed, text.getvalue())
    return proposals


def _read(images: Path, reporter: Reporter) -> Iterator[tuple[Path, Image]]:
    """Each picture; what cannot be read is told."""
    for path in picture_files([images]):
        if path.suffix.lower() not in PICTURE_SUFFIXES and images.is_dir():
            continue  # a video: its frames are no files that could be labelled
        try:
            yield path, decode(path)
        except BadImage as error:
            reporter.warning(f"skipped {path}: {error.message}")
