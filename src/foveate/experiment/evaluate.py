"""Steps 4 and 6: score the baselines and the model, with intervals, on one split."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from foveate import models, record_io
from foveate.data.dataset import SplitName
from foveate.experiment import probing
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.ranks import predict_split
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.intervals import MetricValue, bootstrap, lift
from foveate.metrics.metric import PerImageStats
from foveate.metrics.resampling import BootstrapSamples, resample
from foveate.progress import Reporter
from foveate.settings import FORMAT
from foveate.tasks.capabilities import HasEvaluator, with_prompts
from foveate.tasks.classification import Classification
from foveate.training import device
from foveate.training.doctor import diagnose
from foveate.training.fit import TrainResult

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
) -> dict[str, PerImageStats]:
    """Per-image statistics on a split of each baseline, fitted on the train split."""
    task, seed = prepared.task, run.settings.seed
    pixels, targets, _ = prepared.of("train")
    predictors = task.baselines(pixels, targets, seed)
    prepared = prepared.for_evaluation(split)
    pixels, fitted, _ = prepared.of(split)
    targets = prepared.targets(split)
    predictions = predictors(with_prompts(task, pixels, fitted))
    if isinstance(task, Classification) and run.settings.model != models.PROBE:
        predictions[probing.NAME] = probing.baseline(task, prepared, split, seed, reporter)
    return {
        name: task.metric().per_image(prepared.to_original(split, one), targets)
        for name, one in predictions.items()
    }


def evaluate(
    run: RunFolder,
    prepared: PreparedData,
    split: SplitName,
    baselines: Mapping[str, PerImageStats],
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
    task, _ = run.load()
    if task.classes != prepared.task.classes:
        raise record_io.damaged(run.weights, "its classes are not those of the data")
    predictions: list[Any] = predict_split(run, prepared, split)
    prepared = prepared.for_evaluation(split)
    _, _, ids = prepared.of(split)
    targets = prepared.targets(split)
    metric = task.metric()
    stats = metric.per_image(predictions, targets)
    clusters = prepared.units[prepared.splits[split]]
    model = resample(len(ids), metric.scorer(stats), clusters=clusters)
    samples = {
        name: resample(len(ids), metric.scorer(one), clusters=clusters)
        for name, one in baselines.items()
    }

    rules: Any = {"ranges": metric.ranges, "min_images": metric.min_images}

    def with_intervals(samples: BootstrapSamples, stats: PerImageStats) -> dict[str, Any]:
        rough, exact = metric.rough(stats, clusters), metric.exact_values(stats, clusters)
        return _to_json(bootstrap(samples, **rules, rough=rough) | exact)

    results = run.unscored_results
    results[split] = with_intervals(model, stats)
    results["baseline"][split] = {
        name: with_intervals(one, baselines[name]) for name, one in samples.items()
    }
    if split == "valid":
        sign = -1 if task.primary_metric in task.lower_is_better else 1
        values = {name: sign * one.value[task.primary_metric] for name, one in samples.items()}
        results["best_baseline"] = max(values, key=lambda name: values[name])
        wrong = metric.label_errors(predictions, targets)
        verdicts = diagnose(
            run.curves,
            metric=task.curve_metric,
            floor=task.loss_floor,
            suspects=None if wrong is None else len(wrong) / len(ids),
        )
        results["verdicts"] = [verdict.to_json() for verdict in verdicts]
    best = samples[results["best_baseline"]]
    both = stats, baselines[results["best_baseline"]]
    rough = frozenset().union(*(metric.rough(one, clusters) for one in both))
    exact = metric.exact_lifts(*both, clusters)
    results["lift"][split] = _to_json(lift(model, best, **rules, rough=rough) | exact)
    summaries = [
        (task.summary(target), task.summary(prediction))
        for target, prediction in zip(targets, predictions, strict=True)
    ]
    run.write_predictions(split, ids, summaries, stats)
    return results


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
        "baseline": {},
        "lift": {},
        "valid": None,
        "test": None,
        "verdicts": [],
        "seconds": {},
        "hardware": device.hardware(str(net.mean.device)),
        "versions": {name: version(name) for name in _PACKAGES},
    }
