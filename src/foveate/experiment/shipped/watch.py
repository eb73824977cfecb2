"""Images seen in service against the training data, and their predictions against validation.

How images look is compared with the train split. Features of the net and predictions are compared
with the validation split: of the images that it was fitted to, a net has other features than of
new ones, even if nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit import drift
from foveate.audit.drift import Comparison
from foveate.audit.representative import MIN_IMAGES, features
from foveate.data.dataset import SPLITS
from foveate.errors import RunError, SettingError
from foveate.experiment.data_place import Place, reopen_at
from foveate.experiment.feature_cache import cached_features
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run import Run
from foveate.experiment.shipped.observed import (
    Observed,
    Predictions,
    observe_images,
    observe_predictions,
    predicted_rates,
    predicts_alone,
)
from foveate.inference.exported.model import ExportedModel
from foveate.inference.inputs import batches
from foveate.inference.predict import refuse_generators
from foveate.inference.result_files import LINES_SUFFIX
from foveate.models.features import map_statistics
from foveate.progress import NullReporter, Reporter
from foveate.tasks.presenters.rates import Rates
from foveate.wording import count_noun

STATISTICS, FEATURES = "image statistics", "net features"
CLASSES, OBJECTS, CONFIDENCE = "predicted classes", "objects per image", "confidence"
MAX_REFERENCE = 1000
"""Images of the validation split that are predicted for the comparison."""


@dataclass(frozen=True)
class Reference:
    """What images of service are compared with.

    Attributes:
        image_stats: (N,) of IMAGE_STATS, of the train split.
        units: (N,) equal for images of it that belong together.
        features: (M, D) of the net, of the validation split.
        feature_units: (M,) likewise.
        predictions: Of the validation split; None if the task predicts from prompts.
    """

    image_stats: NDArray[Any]
    units: NDArray[np.int64]
    features: NDArray[np.float32]
    feature_units: NDArray[np.int64]
    predictions: Predictions | None

    @property
    def grouped(self) -> bool:
        """Whether many images belong together, so that single ones prove less."""
        return len(np.unique(self.feature_units)) < 0.9 * len(self.feature_units)


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
        model: A run, or an exported file in its folder.
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
    run = _open(model)
    run.device = device
    refuse_generators(run.task)
    written = [path for path in paths if path.suffix.lower() in (".json", LINES_SUFFIX)]
    if written and len(written) < len(paths):
        raise SettingError(
            "either images or files of predictions are expected, got both", where=str(written[0])
        )
    if written and not predicts_alone(run.task):
        raise SettingError(
            f"predictions of the task {run.task.name} follow their prompts and cannot be compared",
            where=str(written[0]),
            remedy="Name the images.",
        )
    with run.locked() if data is not None else nullcontext():
        prepared = reopen_at(run, data, reporter)
    service = (
        observe_predictions(run.task, paths) if written else observe_images(run, paths, reporter)
    )
    reference = reference_of(run, prepared, reporter)
    return compare(reference, service, run.task.classes)


def _open(model: str | Path) -> Run:
    if not ExportedModel.is_one(model):
        run = Run.open(model)
        if not run.finished:
            raise RunError(
                "this run was interrupted before its end, so nothing is compared with it",
                where=run.path,
                remedy=f"Finish it first: foveate train --resume {run.quoted_path}",
            )
        return run
    weights, folder = ExportedModel.open(model).record.weights, Path(model).parent
    if (folder / "config.yaml").is_file():
        run = Run.open(folder)
        if run.weights_digest() == weights:
            return run
    raise RunError(
        "an exported file does not hold what it was trained on; its run is expected in its folder",
        where=str(model),
        remedy="Name the run: foveate watch RUN IMAGES.",
    )


def reference_of(run: Run, prepared: PreparedData, reporter: Reporter) -> Reference:
    """Statistics of the train split; features and predictions of the validation split."""
    assert set(prepared.splits) == set(SPLITS)
    train, valid = prepared.splits["train"], prepared.drawn("valid", MAX_REFERENCE)
    task, net = run.load()
    width = 2 * sum(net.backbone.channels)
    points = cached_features(
        map_statistics, net, net.state_dict().items(), prepared.images, valid, width, reporter
    )
    predictions = None
    if predicts_alone(task):
        rates: list[Rates] = []
        sources = ((row, prepared.images.dataset[row].source.read()) for row in valid)
        with reporter.bar("predicting the validation split", len(valid)) as bar:
            for batch in batches(sources):
                rates += predicted_rates(run, [image for _, image in batch])
                bar(len(rates))
        predictions = Predictions.of(rates, task.classes)
    units = prepared.units
    return Reference(
        prepared.images.image_stats[train], units[train], points, units[valid], predictions
    )


def compare(reference: Reference, service: Observed, classes: Sequence[str]) -> Watched:
    """Make every comparison for which there are enough images."""
    made: list[Comparison | None] = []
    missing = []
    trained, validated = len(reference.units), len(reference.feature_units)
    if service.count < MIN_IMAGES:
        missing.append(
            f"{count_noun(service.count, 'image')} of service: at least {MIN_IMAGES} are needed "
            "before anything can be said"
        )
        return Watched(reference, service, classes, [], missing)
    if service.image_stats is None or service.features is None:
        missing.append(f"{STATISTICS} and {FEATURES}: files of predictions hold no images")
    else:
        if trained < MIN_IMAGES:
            missing.append(f"{STATISTICS}: the train split has {trained} images of {MIN_IMAGES}")
        else:
            points = features(reference.image_stats), features(service.image_stats)
            made.append(drift.compare_points(STATISTICS, *points, (reference.units, service.units)))
        if validated >= MIN_IMAGES:
            both = reference.features.astype(float), service.features.astype(float)
            made.append(
                drift.compare_points(FEATURES, *both, (reference.feature_units, service.units))
            )
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
