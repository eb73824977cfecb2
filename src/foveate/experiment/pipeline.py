"""The seven steps: define, collect, audit and split, baseline, train, evaluate, use.

Whoever has read this file has understood the system.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate import models, tasks
from foveate.data import task_views
from foveate.data.dataset import Dataset
from foveate.datasets.load import load
from foveate.errors import DataError, Interrupted, RunError
from foveate.experiment.evaluate import (
    evaluate,
    fit_evaluator,
    score_baselines,
    unscored_results,
)
from foveate.experiment.prepare import collect, reopen
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.report import write_report
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.train import learn
from foveate.progress import NullReporter, Reporter
from foveate.settings import Settings
from foveate.training.device import preserved_torch_state


def train(
    data: str | Path | Dataset[Any],
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    download: bool = False,
    **settings: Any,
) -> RunFolder:
    """From images to a trained, evaluated and reported model. The test split stays locked.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        out: A new run folder; by default runs/DATA-MODEL-N.
        reporter: Told of the progress.
        download: Whether a known dataset may be downloaded.
        **settings: Any of `Settings`.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    reporter, clock = reporter or NullReporter(), _Clock()
    with preserved_torch_state():
        dataset, resolved = _define(data, settings, download)  # 1. define
        run = RunFolder.create(Path(out) if out is not None else None, resolved, dataset.name)
        run.dataset = dataset if isinstance(data, Dataset) else None
        try:
            prepared = collect(run, dataset, reporter)  # 2. collect, 3. audit and split
            clock.lap("collect")
            return _baseline_to_report(run, prepared, reporter, clock, resume=False)
        except BaseException:
            run.discard_if_untrained()
            raise


def resume(run: str | Path | RunFolder, *, reporter: Reporter | None = None) -> RunFolder:
    """Resume an interrupted run. It ends with the bits of a run that was never interrupted.

    Args:
        run: The run, or its folder.
        reporter: Told of the progress.

    Raises:
        RunError: The run has no checkpoint, or its data has changed.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed again.
    """
    reporter, clock = reporter or NullReporter(), _Clock()
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if not run.checkpoint.is_file():
        raise RunError(
            "there is nothing to go on from: it has no last.safetensors",
            where=run.path,
            remedy="Train again into another --out.",
        )
    with preserved_torch_state():
        prepared = reopen(run, reporter)
        clock.lap("collect")
        return _baseline_to_report(run, prepared, reporter, clock, resume=True)


def _define(
    data: str | Path | Dataset[Any], values: dict[str, Any], download: bool
) -> tuple[Dataset[Any], Settings]:
    """The dataset, not yet decoded, and the settings with the defaults of the task."""
    origin = (data.origin or data.name) if isinstance(data, Dataset) else data
    values = {**values, "data": str(origin)}
    settings = Settings.of(**values)
    tasks.find(settings.task)  # a wrong name is reported before any data is read
    values["weights"] = models.initial_weights(
        settings.model, settings.weights, frozen=settings.freeze
    )
    dataset = load(
        data if isinstance(data, Dataset) else settings.data,
        root=Path(settings.root) if settings.root else None,
        download=download,
        format=settings.data_format,
    )
    task = tasks.find(values.get("task") or task_views.infer_task(dataset, tasks.all()))
    settings = Settings.of(**{**task.default_settings, **values, "task": task.name})
    tasks.check_settings(task, settings)
    return dataset, settings


def _baseline_to_report(
    run: RunFolder, prepared: PreparedData, reporter: Reporter, clock: _Clock, *, resume: bool
) -> RunFolder:
    """Steps 4 to 7."""
    fit_evaluator(run, prepared, reporter)
    baselines = score_baselines(run, prepared, "valid")  # 4. baseline
    metric = prepared.task.primary_metric
    values = {
        name: prepared.task.metric().compute(stats)[metric] for name, stats in baselines.items()
    }
    reporter.baselines(values, metric)
    clock.lap("baseline")

    result = learn(run, prepared, reporter, clock.began, resume=resume)  # 5. train
    if result.reason == "interrupted":
        raise Interrupted(run.path, result.progress.step)
    clock.lap("train")

    run.save_results(unscored_results(run, result))
    results = evaluate(run, prepared, "valid", baselines)  # 6. evaluate
    clock.lap("evaluate")
    run.save_results({**results, "seconds": clock.seconds})

    write_report(run, prepared)  # 7. use
    return run


def test(run: RunFolder, *, reporter: Reporter | None = None) -> Mapping[str, Any]:
    """Open the locked test split, and record that in the ledger.

    The same weights are tested once: asked again, the first result is returned, so that nobody can
    draw until a lucky one comes.

    Args:
        run: A trained run.
        reporter: Told of the progress.

    Returns:
        Each metric with value, low, high and n.

    Raises:
        RunError: The weights are damaged, or the data has changed.
    """
    reporter = reporter or NullReporter()
    run.load()  # damaged weights must not open the test split
    weights = run.weights_digest()
    if entry := run.ledger.find(weights):
        reporter.info(
            f"These weights were tested on {entry.when}; this is that result. "
            "A test split is opened once."
        )
        return entry.result
    if before := len(run.ledger.entries):
        reporter.warning(
            f"The test split of this run was opened {'once' if before == 1 else f'{before} times'} "
            "before, for other weights. If those results led to what you changed since, this "
            "result is no longer one on unseen images."
        )
    with preserved_torch_state():
        prepared = reopen(run, reporter)
        fit_evaluator(run, prepared, reporter)
        baselines = score_baselines(run, prepared, "test")
        results = evaluate(run, prepared, "test", baselines)
        run.ledger.record(weights, results["test"])
        run.save_results(results)
        write_report(run, prepared)
    metrics: Mapping[str, Any] = results["test"]
    return metrics


def report(run: RunFolder) -> Path:
    """Write report.html again from the record. Images are left out if the data has changed."""
    with preserved_torch_state():
        try:
            prepared: PreparedData | None = reopen(run, NullReporter())
        except (DataError, RunError):
            prepared = None
        return write_report(run, prepared)


class _Clock:
    """The seconds that each step took."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 2)
        self._last = now
