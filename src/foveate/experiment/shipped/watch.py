"""Images seen in service against the training data, and their predictions against validation.

How images look is compared with the train split. Features of the net and predictions are compared
with the validation split: of the images that it was fitted to, a net has other features than of
new ones, even if nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit import drift
from foveate.audit.drift import Comparison
from foveate.audit.representative import MIN_IMAGES, features
from foveate.data.dataset import Image
from foveate.data.resizing import fit
from foveate.errors import RunError, SettingError
from foveate.experiment.data_place import Place, reopen_at
from foveate.experiment.run import Run
from foveate.experiment.shipped.observed import (
    Observed,
    Predictions,
    observe_images,
    observe_predictions,
    predicts_alone,
)
from foveate.experiment.shipped.reference import Reference, from_record, reference_of
from foveate.inference.exported.model import ExportedModel
from foveate.inference.predict import refuse_generators
from foveate.inference.predictor import Predictor
from foveate.inference.result_files import LINES_SUFFIX
from foveate.models.features import map_statistics
from foveate.models.model import VisionModel
from foveate.progress import NullReporter, Reporter
from foveate.tasks.task import Task
from foveate.wording import count_noun

STATISTICS, FEATURES = "image statistics", "net features"
CLASSES, OBJECTS, CONFIDENCE = "predicted classes", "objects per image", "confidence"


@dataclass(frozen=True)
class Watched:
    """What was found.

    Attributes:
        reference: What was compared with.
        service: The images of service.
        classes: The class names.
        comparisons: All comparisons that could be made.
        missing: What could not be compared, and why.
    """

    reference: Reference
    service: Observed
    classes: Sequence[str]
    comparisons: Sequence[Comparison]
    missing: Sequence[str]

    @property
    def changed(self) -> list[Comparison]:
        """The comparisons that alarm, in the order in which they were made."""
        found = drift.alarms(self.comparisons)
        return [one for one in self.comparisons if one in found]


def watch(
    model: str | Path,
    paths: Sequence[Path],
    *,
    data: Place | None = None,
    device: str | None = None,
    reporter: Reporter | None = None,
) -> Watched:
    """Compare images of service, or their predictions, with the data of a run.

    Args:
        model: A run, or an exported file, which predicts itself. If the file lies in the folder of
            its run, the run gives data and features.
        paths: Images and folders of them; or files of `foveate predict --json`.
        data: Where the data of the run lies now, if it was moved.
        device: What computes.
        reporter: Receives the progress.

    Raises:
        RunError: The run is not finished or damaged, or predictions are not its own.
        SettingError: The task generates images, or images and predictions are mixed.
        DataError: The data of the run cannot be read.
    """
    reporter = reporter or NullReporter()
    opened, run = _open(model)
    (run or opened).device = device
    task = opened.task
    refuse_generators(task)
    written = [path for path in paths if path.suffix.lower() in (".json", LINES_SUFFIX)]
    if written and len(written) < len(paths):
        raise SettingError(
            "either images or files of predictions are expected, got both", where=str(written[0])
        )
    if written and not predicts_alone(task):
        raise SettingError(
            f"predictions of the task {task.name} follow their prompts and cannot be compared",
            where=str(written[0]),
            remedy="Name the images.",
        )
    if run is not None:
        with run.locked() if data is not None else nullcontext():
            prepared = reopen_at(run, data, reporter)
    elif data is not None:
        raise SettingError("an exported file needs no data", where="--data", remedy="Leave it out.")
    if written:
        service = observe_predictions(task, paths)
    else:
        features_of = None if run is None else partial(_features_of, *run.load())
        service = observe_images(opened, paths, reporter, features_of)
    if run is not None:
        reference = reference_of(run, opened, prepared, reporter)
    else:
        assert isinstance(opened, ExportedModel)
        reference = from_record(opened)
    return compare(reference, service, task.classes)


def _features_of(task: Task[Any], net: VisionModel, images: Sequence[Image]) -> NDArray[np.float32]:
    """The features of some images, as those of the validation split are computed."""
    fitted = [fit(image, net.size, net.channels, letterbox=task.letterbox) for image in images]
    return map_statistics(net, np.stack(fitted))


def _open(model: str | Path) -> tuple[Predictor, Run | None]:
    """What predicts, a run or an exported file; and the run, if it is there."""
    if not ExportedModel.is_one(model):
        run = Run.open(model)
        if not run.finished:
            raise RunError(
                "this run was interrupted before its end, so nothing is compared with it",
                where=run.path,
                remedy=f"Finish it first: foveate train --resume {run.quoted_path}",
            )
        return run, run
    exported, folder = ExportedModel.open(model), Path(model).parent
    if (folder / "config.yaml").is_file():
        run = Run.open(folder)
        if run.weights_digest() == exported.record.weights:
            return exported, run
    return exported, None


def compare(reference: Reference, service: Observed, classes: Sequence[str]) -> Watched:
    """Make every comparison for which there are enough images."""
    made: list[Comparison | None] = []
    missing = []
    trained, validated = len(reference.units), len(reference.valid_units)
    if service.count < MIN_IMAGES:
        missing.append(
            f"{count_noun(service.count, 'image')} of service: at least {MIN_IMAGES} are needed "
            "before anything can be said"
        )
        return Watched(reference, service, classes, [], missing)
    if service.image_stats is None:
        missing.append(f"{STATISTICS} and {FEATURES}: files of predictions hold no images")
    elif trained < MIN_IMAGES:
        missing.append(f"{STATISTICS}: the train split has {trained} images of {MIN_IMAGES}")
    else:
        points = features(reference.image_stats), features(service.image_stats)
        made.append(drift.compare_points(STATISTICS, *points, (reference.units, service.units)))
    known, seen = reference.features, service.features
    if known is None and service.image_stats is not None:
        missing.append(f"{FEATURES}: an exported file gives none, its run does")
    if known is not None and seen is not None and validated >= MIN_IMAGES:
        both = known.astype(float), seen.astype(float)
        made.append(drift.compare_points(FEATURES, *both, (reference.valid_units, service.units)))
    if validated < MIN_IMAGES:
        missing.append(
            f"{FEATURES}, and predictions: the validation split has {validated} images, at least "
            f"{MIN_IMAGES} are needed"
        )
    elif reference.predictions is not None and service.predictions is not None:
        made += _predictions(reference.predictions, service.predictions, classes)
    return Watched(reference, service, classes, [one for one in made if one], missing)


def _predictions(
    reference: Predictions, service: Predictions, classes: Sequence[str]
) -> list[Comparison | None]:
    return [
        drift.compare_amounts(CLASSES, classes, reference.amounts, service.amounts),
        drift.compare_values(OBJECTS, reference.objects, service.objects),
        drift.compare_values(CONFIDENCE, reference.confidences, service.confidences, ".1%"),
    ]
