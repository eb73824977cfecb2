"""The seven steps, in order: define, collect, split, baseline, train, evaluate, use. Whoever has read this file has
understood the system.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from foveate import atomic_io, models, settings, tasks
from foveate.progress import NullReporter, Reporter
from foveate.data import task_views
from foveate.data.dataset import Dataset, SplitName
from foveate.data.load import load
from foveate.errors import DataError, Interrupted, RunError
from foveate.experiment.prepare import PreparedData, collect, reopen
from foveate.experiment.report import write_report
from foveate.experiment.run import Run
from foveate.experiment.train import learn
from foveate.metrics.intervals import MetricValue, bootstrap, lift, resampled
from foveate.settings import Settings
from foveate.tasks.task import PerImageStats
from foveate.training import checkpoint, device, fit
from foveate.training.doctor import diagnose


def train(
    data: Any,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    download: bool = False,
    **given: Any,
) -> Run:
    """From pictures to a trained, scored and reported model, in a new run folder. The test part stays locked.

    data: a path, the name of a known set, or a Dataset
    out: the run folder, which must not exist; by default runs/DATA-MODEL-N
    given: any of `Settings`
    Raises FoveateError for whatever is wrong with data or settings, before training where it can be known before.
    """
    reporter, began = reporter or NullReporter(), time.monotonic()
    known = data if isinstance(data, Dataset) else None
    given["data"] = str(data) if known is None else str(known.origin or known.name)
    wanted = Settings.of(**given)
    tasks.find(wanted.task)  # a wrong name is said before any data is read
    given["weights"] = models.start(wanted.model, wanted.weights, frozen=wanted.freeze)
    root = Path(wanted.root) if wanted.root else None
    dataset = load(
        wanted.data if known is None else known,
        root=root,
        download=download,
        format=wanted.data_format,
    )
    kind = tasks.find(given.get("task") or task_views.suited(dataset, tasks.all()))  # 1. define
    wanted = Settings.of(**{**kind.default_settings, **given, "task": kind.name})
    kind.check_settings(wanted)
    run = Run.create(Path(out) if out is not None else None, wanted, dataset.name)
    run.dataset = known
    try:
        prepared = collect(run, dataset, reporter)  # 2. collect, 3. split
        return _learn(run, prepared, reporter, began)
    except BaseException:
        run.discard_if_untrained()
        raise


def resume(run: str | Path | Run, *, reporter: Reporter | None = None) -> Run:
    """Go on with an interrupted run; it ends with the same weights, bit for bit, as if it had not been interrupted."""
    reporter, began = reporter or NullReporter(), time.monotonic()
    run = run if isinstance(run, Run) else Run.open(run)
    if not (run.path / "last.safetensors").is_file():
        raise RunError(
            "there is nothing to go on from: it has no last.safetensors",
            where=run.path,
            remedy="Train again into another --out.",
        )
    return _learn(run, reopen(run, reporter), reporter, began, again=True)


def test(run: Run, *, reporter: Reporter | None = None) -> Mapping[str, Any]:
    """Open the locked test part, and write that down. The same weights are tested only once: asked again, the first
    result is told again, so that nobody can draw until a lucky figure comes.
    """
    reporter = reporter or NullReporter()
    run.load()  # damaged weights must not open the test part
    weights = checkpoint.digest(run.weights)
    if entry := run.ledger.find(weights):
        reporter.info(
            f"These weights were tested on {entry.when}; this is that result. A test part is opened once."
        )
        return entry.result
    if before := run.ledger.entries:
        reporter.warning(
            f"This run's test part was opened {len(before)} time(s) before, for other weights. If what you changed since "
            "was chosen by those results, this figure is no longer one on unseen pictures."
        )
    prepared = reopen(run, reporter)
    _study(run, prepared, reporter)
    results = _judge(run, prepared, "test", _rivals(run, prepared, "test"))
    run.ledger.record(weights, results["test"])
    atomic_io.write_json(run.path / "results.json", results)
    write_report(run, prepared)
    return results["test"]


def report(run: Run) -> Path:
    """Write report.html again from the record. Where the data has gone or changed, it has every figure but no picture."""
    try:
        prepared: PreparedData | None = reopen(run, NullReporter())
    except (DataError, RunError):
        prepared = None
    return write_report(run, prepared)


def _learn(
    run: Run, prepared: PreparedData, reporter: Reporter, began: float, again: bool = False
) -> Run:
    """Steps 4 to 7."""
    marks = [began, time.monotonic()]
    _study(run, prepared, reporter)
    theirs = _rivals(run, prepared, "valid")  # 4. baseline
    primary_metric = prepared.task.primary_metric
    reporter.baselines(
        {name: prepared.task.metrics(stats)[primary_metric] for name, stats in theirs.items()},
        primary_metric,
    )
    marks.append(time.monotonic())
    outcome = learn(run, prepared, reporter, began, again)  # 5. train
    if outcome.reason == "interrupted":
        raise Interrupted(run.path, outcome.progress.step)
    marks.append(time.monotonic())
    atomic_io.write_json(run.path / "results.json", _record(run, outcome))
    results = _judge(run, prepared, "valid", theirs)  # 6. evaluate
    marks.append(time.monotonic())
    took = [round(end - start, 2) for start, end in pairwise(marks)]
    results["seconds"] = dict(zip(("collect", "baseline", "train", "evaluate"), took, strict=True))
    atomic_io.write_json(run.path / "results.json", results)
    write_report(run, prepared)  # 7. use
    return run


def _study(run: Run, prepared: PreparedData, reporter: Reporter) -> None:
    """Let the task learn what scoring needs to know, once; leaves referee.safetensors where there is something."""
    if not run.studied.is_file():
        pixels, targets, _ = prepared.of("train")
        tensors, record = prepared.task.fit_evaluator(
            pixels, targets, run.settings.seed, reporter.info
        )
        if tensors:
            run.keep_studied(tensors, record)
    run.load_evaluator(prepared.task)


def _rivals(run: Run, prepared: PreparedData, split: SplitName) -> dict[str, PerImageStats]:
    """What the baselines, fitted on the train part, get right and wrong on another."""
    pixels, targets, _ = prepared.of("train")
    predictions = prepared.task.baselines(pixels, targets, run.settings.seed)
    prepared = prepared.for_evaluation(split)
    pixels, fitted, _ = prepared.of(split)
    targets, given = (
        prepared.targets(split),
        predictions(prepared.task.make_prompts(pixels, fitted)),
    )
    return {
        name: prepared.task.per_image_stats(prepared.to_original(split, theirs), targets)
        for name, theirs in given.items()
    }


def _judge(
    run: Run, prepared: PreparedData, split: SplitName, theirs: dict[str, PerImageStats]
) -> dict[str, Any]:
    """Score model and baselines on a part; writes predictions_PART.csv and returns results.json with the part added.

    The lift is over the baseline that was best on the validation part, so that the test part chooses nothing.
    """
    task, _ = run.load()
    prepared = prepared.for_evaluation(split)
    pixels, fitted, ids = prepared.of(split)
    targets, predictions = (
        prepared.targets(split),
        prepared.to_original(split, run.predict_images(task.make_prompts(pixels, fitted))),
    )
    stats = task.per_image_stats(predictions, targets)
    results = run.results
    mine = resampled(len(ids), task.bootstrap_scorer(stats))
    baselines = {
        name: resampled(len(ids), task.bootstrap_scorer(other)) for name, other in theirs.items()
    }
    results["baseline"][split] = {
        name: _figures(bootstrap(baseline)) for name, baseline in baselines.items()
    }
    results[split] = _figures(bootstrap(mine))
    if split == "valid":
        sign = -1 if task.primary_metric in task.lower_is_better else 1
        metrics = {
            name: sign * baseline.value[task.primary_metric] for name, baseline in baselines.items()
        }
        results["best_baseline"] = max(metrics, key=lambda name: metrics[name])
        noisy = task.label_errors(predictions, targets)
        share = None if noisy is None else len(noisy) / len(ids)
        verdicts = diagnose(
            run.curves, metric=task.curve_metric, floor=task.loss_floor(), suspects=share
        )
        results["verdicts"] = [verdict.to_json() for verdict in verdicts]
    results["lift"][split] = _figures(lift(mine, baselines[results["best_baseline"]]))
    told = [
        (task.summary(target), task.summary(prediction))
        for target, prediction in zip(targets, predictions, strict=True)
    ]
    run.write_predictions(split, ids, told, stats)
    return results


def _figures(metrics: Mapping[str, MetricValue]) -> dict[str, Any]:
    return {name: metric.to_json() for name, metric in metrics.items()}


def _record(run: Run, outcome: fit.TrainResult) -> dict[str, Any]:
    """results.json before anything is scored."""
    task, net = run.load()
    best = next(row for row in outcome.progress.rows if row["step"] == outcome.progress.best_step)
    return {
        "format": settings.FORMAT,
        "task": task.name,
        "model": run.settings.model,
        "primary": task.primary_metric,
        "weights": sum(parameter.numel() for parameter in net.parameters()),
        "ended": outcome.reason,
        "best_epoch": best["epoch"],
        "epochs": outcome.progress.rows[-1]["epoch"],
        "steps": outcome.progress.step,
        "baseline": {},
        "lift": {},
        "valid": None,
        "test": None,
        "verdicts": [],
        "seconds": {},
        "hardware": device.hardware(),
        "versions": {
            name: version(name)
            for name in ("foveate", "torch", "torchvision", "numpy", "scikit-learn")
        },
    }
