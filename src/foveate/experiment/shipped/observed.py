"""What `foveate watch` keeps of images: numbers, never an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import record_io
from foveate.data.dataset import Image
from foveate.data.image_stats import ImageStatsCollector, content_hash
from foveate.data.images import FileInfo, examine
from foveate.data.resizing import convertible
from foveate.data.video import VIDEO_SUFFIXES
from foveate.errors import BadImage, RunError
from foveate.inference.image_list import image_files
from foveate.inference.inputs import batches
from foveate.inference.predictor import Predictor
from foveate.inference.result_files import CHOSEN, LINES_SUFFIX, PREDICTIONS
from foveate.progress import Reporter
from foveate.tasks.capabilities import Interactive
from foveate.tasks.presenters.presenter import Presenter
from foveate.tasks.presenters.rates import Rates
from foveate.wording import count_noun

MAX_IMAGES = 2000
"""Images of service whose features are compared: as many as the two-sample test takes."""
MAX_JSON_BYTES = 1_000_000_000
_REMEDY = "Write it again: foveate predict RUN IMAGES --json FILE."


FeaturesOf = Callable[[Sequence[Image]], NDArray[np.float32]]
"""From N images to their features, (N, D)."""


@dataclass(frozen=True)
class Predictions:
    """What is predicted for N images.

    Attributes:
        amounts: (N, K) for each class, see `Rates`.
        objects: (N,) number of objects, or empty where the task predicts none.
        confidences: The confidence of each image that has one.
    """

    amounts: NDArray[np.float64]
    objects: NDArray[np.float64]
    confidences: NDArray[np.float64]

    @classmethod
    def of(cls, rates: Sequence[Rates], classes: Sequence[str]) -> Predictions:
        """Gather the predictions of several images.

        Raises:
            ValueError: A class is unknown.
        """
        column = {name: k for k, name in enumerate(classes)}
        amounts = np.zeros((len(rates), len(classes)))
        for row, one in enumerate(rates):
            for name, amount in one.amounts.items():
                if name not in column:
                    raise ValueError(f"the class {name!r} is unknown to the model")
                amounts[row, column[name]] = amount
        objects = [one.objects for one in rates if one.objects is not None]
        confidences = [one.confidence for one in rates if one.confidence is not None]
        return cls(amounts, np.array(objects, float), np.array(confidences, float))


@dataclass(frozen=True)
class Observed:
    """What is known of the images of service.

    Attributes:
        count: How many there are.
        image_stats: (N,) of IMAGE_STATS; None if only predictions are known.
        features: (N, D) of the net; None also of an exported model, which gives none.
        units: (N,) equal for copies of an image.
        predictions: What is predicted for them; None if the task predicts from prompts.
        notes: What the user should know.
    """

    count: int
    image_stats: NDArray[Any] | None
    features: NDArray[np.float32] | None
    units: NDArray[np.int64]
    predictions: Predictions | None
    notes: tuple[str, ...] = ()


def predicts_alone(task: Presenter[Any]) -> bool:
    """Whether a task predicts without prompts."""
    return not isinstance(task, Interactive)


def predicted_rates(model: Predictor, images: Sequence[Image]) -> list[Rates]:
    """Predict for some images, as `foveate predict` does."""
    return rates_of(model.task, model.predict_confident(images))


def rates_of(task: Presenter[Any], predictions: Sequence[Any]) -> list[Rates]:
    """Predictions in a few numbers each."""
    values = map(task.to_dict, predictions)
    return [rates for one in values if (rates := task.rates(one)) is not None]


def observe_images(
    model: Predictor,
    paths: Sequence[Path],
    reporter: Reporter,
    features_of: FeaturesOf | None = None,
) -> Observed:
    """Look at images and at what a model predicts for them.

    Args:
        model: A run, or an exported model.
        paths: Images, and folders of them.
        reporter: Receives the progress, and what is left out.
        features_of: See `FeaturesOf`; None for an exported model, which gives no features.
    """
    notes: list[str] = []
    listed = image_files(paths, lambda path, why: reporter.warning(f"{path}: {why}"), reporter)
    files = [path for path in listed if path.suffix.lower() not in VIDEO_SUFFIXES]
    if len(files) < len(listed):
        left = count_noun(len(listed) - len(files), "video")
        notes.append(f"{left} left out: frames of a video are no independent images")
    if len(files) > MAX_IMAGES:
        rows = np.random.default_rng(0).permutation(len(files))[:MAX_IMAGES]
        notes.append(f"of {len(files):,} images {MAX_IMAGES:,} were drawn at random")
        files = [files[row] for row in sorted(rows)]
    task, stats, hashes = model.task, ImageStatsCollector(), list[str]()
    features: list[NDArray[np.float32]] = []
    rates: list[Rates] = []
    alone = predicts_alone(task)
    with reporter.bar("comparing images", len(files)) as bar:
        for batch in batches(_read(model, files, reporter)):
            images = [image for _, image in batch]
            for info, image in batch:
                stats.add(image, info)
                hashes.append(content_hash(image))
            if features_of is not None:
                features.append(features_of(images))
            rates += predicted_rates(model, images) if alone else []
            bar(len(hashes))
    if len(hashes) < len(files):
        notes.append(f"{count_noun(len(files) - len(hashes), 'image')} could not be read")
    _, units = np.unique(hashes, return_inverse=True)
    if (copies := len(hashes) - len(set(hashes))) > 0:
        are = "is a copy of another" if copies == 1 else "are copies of others"
        notes.append(f"{count_noun(copies, 'image')} {are}")
    points = np.concatenate(features) if features else None
    return Observed(
        len(hashes), stats.rows(), points, units.astype(np.int64),
        Predictions.of(rates, task.classes) if alone else None, tuple(notes),
    )  # fmt: skip


def _read(
    model: Predictor, files: Iterable[Path], reporter: Reporter
) -> Iterator[tuple[FileInfo, Image]]:
    for path in files:
        try:
            image, info = examine(path, model.reading)
            convertible(image, model.channels or image.shape[2])  # other bands cannot be predicted
        except BadImage as error:
            reporter.warning(f"{path}: {error.message}")
            continue
        yield info, image


def observe_predictions(task: Presenter[Any], paths: Sequence[Path]) -> Observed:
    """Read what `foveate predict --json` wrote.

    Raises:
        RunError: A file is missing, damaged, of another model's classes, or of chosen objects.
    """
    rates: list[Rates] = []
    for path in paths:
        read = _lines if path.suffix.lower() == LINES_SUFFIX else _object
        try:
            for values in read(path, tuple(task.classes)):
                if (one := task.rates(values)) is not None:
                    rates.append(one)
            found = Predictions.of(rates, task.classes)
        except FileNotFoundError:
            raise RunError("there is no such file", where=path) from None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise record_io.damaged(path, repr(error), remedy=_REMEDY) from None
    count = len(rates)
    return Observed(count, None, None, np.arange(count), found if rates else None)


def _object(path: Path, classes: Sequence[str]) -> list[dict[str, Any]]:
    content = record_io.read_json(path, MAX_JSON_BYTES, remedy=_REMEDY)
    if not isinstance(content, dict) or content.get("foveate") != PREDICTIONS.name:
        raise _no_predictions(path)
    _check_complete(path, content)
    if tuple(content["classes"]) != tuple(classes):
        raise RunError(
            f"predictions of the classes {', '.join(classes)} are expected, these are of "
            f"{', '.join(map(str, content['classes']))}",
            where=path,
            remedy="Name the run that made them.",
        )
    predictions: list[dict[str, Any]] = content["predictions"]
    return predictions


def _lines(path: Path, _classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Predictions of a file with one on a line; images that were skipped have a reason."""
    with record_io.open_file(path, MAX_JSON_BYTES, remedy=_REMEDY) as file:
        for line in file:
            values = record_io.parse_json(line)
            if not isinstance(values, dict) or values.get("foveate") != PREDICTIONS.name:
                raise _no_predictions(path)
            _check_complete(path, values)
            if "reason" not in values:
                yield values


def _check_complete(path: Path, head: Mapping[str, Any]) -> None:
    """Refuse predictions of which some objects were left out: they compare with no run."""
    if options := [option for key, option in CHOSEN.items() if key in head]:
        raise RunError(
            f"predictions of all objects are expected, these were made with {', '.join(options)}",
            where=path,
            remedy="Write it again without: foveate predict RUN IMAGES --json FILE.",
        )


def _no_predictions(path: Path) -> RunError:
    return RunError(
        "predictions that foveate predict --json wrote are expected", where=path, remedy=_REMEDY
    )
