"""Steps 4 and 6: score the baselines and the model, with intervals, on one split."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import models, processes, record_io
from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.experiment import probing
from foveate.experiment.prepare import MIN_INCLUDED_SIZE
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.ranks import predict_split
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.intervals import MetricValue, bootstrap, lift
from foveate.metrics.metric import Metric, PerImageStats
from foveate.metrics.names import display_name
from foveate.metrics.resampling import resample
from foveate.progress import Reporter
from foveate.settings import FORMAT, Settings
from foveate.tasks.capabilities import HasEvaluator, with_prompts
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.training import device, helping, reproducibility
from foveate.training.doctor import LabelEvidence, diagnose
from foveate.training.fit import TrainResult
from foveate.wording import count_noun

_PACKAGES = ("foveate", "torch", "torchvision", "numpy", "scikit-learn")


def fit_evaluator(run: RunFolder, prepared: PreparedData, reporter: Reporter) -> None:
    """Train the task's evaluator, if it needs one to be scored; leaves evaluator.safetensors."""
    if not isinstance(prepared.task, HasEvaluator):
        return
    if not run.evaluator_path.is_file():
        pixels, targets, _ = prepared.of("train")
        evaluator = prepared.task.fit_evaluator(
            pixels, targets, run.settings.seed, reporter.info, device=run.device_name
        )
        run.save_evaluator(*evaluator)
    run.load_evaluator(prepared.task)


def score_baselines(
    run: RunFolder, prepared: PreparedData, split: SplitName, reporter: Reporter
) -> dict[str, Scored]:
    """Each baseline scored on a split, fitted on the train split."""
    with helping.helped():
        scored = _score_baselines(run, prepared, split, reporter)
    processes.wait()
    return scored


def _score_baselines(
    run: RunFolder, prepared: PreparedData, split: SplitName, reporter: Reporter
) -> dict[str, Scored]:
    task, seed = prepared.task, run.settings.seed
    pixels, targets, _ = prepared.of("train")
    predictors = task.baselines(pixels, targets, seed)
    prepared = prepared.for_evaluation(split)
    pixels, fitted, _ = prepared.of(split)
    targets = prepared.targets(split)
    predictions = predictors(with_prompts(task, pixels, fitted))
    if isinstance(task, Classification) and run.settings.model != models.PROBE:
        predictions[probing.NAME] = probing.baseline(task, prepared, split, seed, reporter)
    metric, units = task.metric(), prepared.units[prepared.splits[split]]
    scored = {}
    for name, one in predictions.items():
        began = time.monotonic()
        stats = metric.per_image(prepared.to_original(split, one), targets)
        scored[name] = Scored(metric, stats, units)
        scored[name].seconds = time.monotonic() - began
        if split == "valid" and math.isnan(scored[name].samples.value[task.primary_metric]):
            raise _unscorable(task, len(targets))
    return scored


def _unscorable(task: Task[Any], images: int) -> DataError:
    """The error for a validation split on which the primary metric has no value."""
    return DataError(
        f"the {display_name(task.primary_metric)} has no value on {count_noun(images, 'image')} of "
        f"the valid split, so nothing could be chosen or compared there: at least "
        f"{task.metric().min_images} images are advised",
        remedy="Add images, or put more of them into that split with --split FILE.",
    )


def evaluate(
    run: RunFolder,
    prepared: PreparedData,
    split: SplitName,
    baselines: Mapping[str, Scored],
) -> dict[str, Any]:
    """Score the model on a split; writes predictions_SPLIT.csv.

    The lift is measured over the baseline that was best on the validation split, so that the test
    split chooses nothing.

    Args:
        run: The run.
        prepared: Its data.
        split: The split.
        baselines: From `score_baselines`, on the same split.

    Returns:
        The contents of results.json, with this split added.
    """
    task, found = run.load()[0], predicted(run, prepared, split)
    metric = task.metric()
    model = Scored(metric, found.stats, found.units)
    results = run.unscored_results
    results[split] = model.values()
    results["baseline"][split] = {name: one.values() for name, one in baselines.items()}
    if split == "valid":
        sign = -1 if task.primary_metric in task.lower_is_better else 1
        values = {
            name: sign * one.samples.value[task.primary_metric] for name, one in baselines.items()
        }
        results["best_baseline"] = max(values, key=lambda name: values[name])
        results["verdicts"] = [
            verdict.to_json()
            for verdict in diagnose(
                run.curves,
                metric=task.curve_metric,
                floor=task.loss_floor,
                perfect=task.curve_reaches_one,
                kept_by=task.kept_by,
                fitted=(results["fitted"] or {}).get(task.curve_metric),
                pretrained=run.settings.weights is not None and not run.settings.freeze,
                weights_option=_weights_option(task, run.settings),
                minutes=run.settings.minutes,
                valid_images=len(np.unique(found.units)),
                check_labels=partial(_check_labels, task, prepared, run.settings.seed),
            )
        ]
    results["lift"][split] = model.lift_over(baselines[results["best_baseline"]])
    run.write_predictions(split, found.ids, found.summaries(task), found.stats)
    return results


def _weights_option(task: Task[Any], settings: Settings) -> str | None:
    """The options that start from the included weights; None where that is done, or impossible."""
    if settings.weights is not None or task.pretrained_model is None:
        return None
    assert settings.size is not None, "it is resolved"
    least = models.find(task.pretrained_model).smallest_size(pretrained=True)
    larger = "" if settings.size >= least else f" --size {MIN_INCLUDED_SIZE}"
    return f"--model {task.pretrained_model}{larger}"


def _check_labels(task: Task[Any], prepared: PreparedData, seed: int) -> LabelEvidence | None:
    """What out-of-fold predictions say about the labels; None if images have no single class."""
    if not isinstance(task, Classification):
        return None
    return probing.check_labels(task, prepared, seed)


@dataclass(frozen=True)
class Predicted:
    """What a model predicts for N images.

    Attributes:
        ids: Of the images.
        targets: Their targets.
        predictions: In the pixels of the original images, as the targets are.
        units: (N,) int64, equal for images that belong together.
        stats: Per-image statistics.
    """

    ids: list[str]
    targets: list[Any]
    predictions: list[Any]
    units: NDArray[np.int64]
    stats: PerImageStats

    def summaries(self, task: Task[Any]) -> list[tuple[str, str]]:
        """Target and prediction of each image, in a line for people."""
        return [
            (task.summary(target), task.summary(prediction))
            for target, prediction in zip(self.targets, self.predictions, strict=True)
        ]


def predicted(run: RunFolder, prepared: PreparedData, split: SplitName) -> Predicted:
    """Predict for the images of a split that the task evaluates.

    Raises:
        RunError: The model has other classes than the data.
    """
    task, _ = run.load()
    if task.classes != prepared.task.classes:
        raise record_io.damaged(run.weights, "its classes are not those of the data")
    predictions: list[Any] = predict_split(run, prepared, split)
    prepared = prepared.for_evaluation(split)
    _, _, ids = prepared.of(split)
    targets = prepared.targets(split)
    stats = task.metric().per_image(predictions, targets)
    return Predicted(ids, targets, predictions, prepared.units[prepared.splits[split]], stats)


class Scored:
    """Metrics of one set of predictions with their intervals.

    Args:
        metric: Of the task.
        stats: Per-image statistics of N images.
        units: (N,) equal for images that belong together.

    Attributes:
        seconds: Seconds that it took, where that was measured.
    """

    def __init__(self, metric: Metric[Any], stats: PerImageStats, units: NDArray[np.int64]):
        self.metric, self.stats, self.units = metric, stats, units
        self.samples = resample(len(units), metric.scorer(stats), clusters=units)
        self._rough = metric.rough(stats, units)
        self._rules: Any = {"ranges": metric.ranges, "min_images": metric.min_images}
        self.seconds = 0.0

    def values(self) -> dict[str, Any]:
        """Each metric as JSON values."""
        exact = self.metric.exact_values(self.stats, self.units)
        return _to_json(bootstrap(self.samples, **self._rules, rough=self._rough) | exact)

    def lift_over(self, baseline: Scored) -> dict[str, Any]:
        """The lift of each metric over a baseline on the same images, as JSON values."""
        rough = self._rough | baseline._rough
        exact = self.metric.exact_lifts(self.stats, baseline.stats, self.units)
        lifts = lift(self.samples, baseline.samples, **self._rules, rough=rough)
        return _to_json(lifts | exact)


def _to_json(metrics: Mapping[str, MetricValue]) -> dict[str, Any]:
    return {name: metric.to_json() for name, metric in metrics.items()}


def unscored_results(run: RunFolder, result: TrainResult) -> dict[str, Any]:
    """The contents of results.json before anything is scored."""
    task, net = run.load()
    progress = result.progress
    best = next((row for row in progress.rows if row["step"] == progress.best_step), None)
    if best is None:
        raise record_io.damaged(run.checkpoint, "its curves have no row of the best step")
    return {
        "format": FORMAT,
        "task": task.name,
        "model": run.settings.model,
        "primary": task.primary_metric,
        "weights": sum(parameter.numel() for parameter in net.parameters()),
        "ended": result.reason,
        "best_epoch": best["epoch"],
        "epochs": progress.rows[-1]["epoch"],
        "steps": progress.step,
        "fitted": _named(result.fitted, task.curve_metric),
        "baseline": {},
        "lift": {},
        "valid": None,
        "test": None,
        "verdicts": [],
        "seconds": {},
        "hardware": device.hardware(str(net.mean.device)),
        "reproducible": reproducibility.record(
            net.mean.device.type, result.irreproducible, compiled=run.settings.compile
        ),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _named(fitted: tuple[float, float] | None, metric: str) -> dict[str, float | None] | None:
    """Loss and metric as JSON values; None stands for what is unknown."""
    if fitted is None:
        return None
    named = zip(("loss", metric), fitted, strict=True)
    return {name: value if math.isfinite(value) else None for name, value in named}
