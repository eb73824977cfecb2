"""The seven steps: define, collect, audit and split, baseline, train, evaluate, use.

Whoever has read this file has understood the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate import models, processes, tasks
from foveate.data import task_views
from foveate.data.dataset import Dataset
from foveate.datasets.load import load
from foveate.errors import DataChanged, Interrupted, StorageError
from foveate.experiment import choice, ranks, trackers
from foveate.experiment.clock import Clock
from foveate.experiment.data_place import (
    Place,
    move,
    place_of,
    refuse_changes,
    reopen_at,
    whole_paths,
)
from foveate.experiment.evaluate import (
    evaluate,
    fit_evaluator,
    score_baselines,
    unscored_results,
)
from foveate.experiment.live_report import watched
from foveate.experiment.prepare import collect, load_again
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.report import write_report
from foveate.experiment.report_again import write_again
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.test_split import restore_test
from foveate.experiment.train import learn
from foveate.experiment.typed_command import typed
from foveate.progress import NullReporter, Reporter
from foveate.settings import Settings
from foveate.training import helping
from foveate.training.device import find as find_device
from foveate.training.device import preserved_torch_state


def train(
    data: str | Path | Dataset[Any],
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    download: bool = False,
    began: float | None = None,
    **settings: Any,
) -> RunFolder:
    """From images to a trained, evaluated and reported model. The test split stays locked.

    If the same command was interrupted before, it goes on in its folder.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        out: A new run folder; by default runs/DATA-MODEL-N.
        reporter: Receives the progress.
        download: Whether a known dataset may be downloaded.
        began: time.monotonic() at which the time budget begins; by default, now.
        **settings: Any of `Settings`.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    reporter, clock = reporter or NullReporter(), Clock(began)
    with preserved_torch_state(), ranks.connected(settings.get("device")):
        if not processes.is_main():
            return ranks.join_training(settings.get("device"), data)
        with helping.helped():
            dataset, resolved = define(data, settings, download)  # 1. define
        path = Path(out) if out is not None else None
        try:
            return _train(data, dataset, path, resolved, reporter, clock)
        except DataChanged as error:
            if path is not None:
                raise
            reporter.info(f"{error.where}: the data has changed since it was interrupted")
        return _train(data, dataset, None, resolved, reporter, clock, new=True)


def _train(
    data: str | Path | Dataset[Any],
    dataset: Dataset[Any],
    path: Path | None,
    settings: Settings,
    reporter: Reporter,
    clock: Clock,
    *,
    new: bool = False,
) -> RunFolder:
    """Steps 2 to 7, in a new folder or in the one where the same command was interrupted."""
    with RunFolder.taken(path, settings, dataset.name, new=new) as run:
        run.dataset = dataset if isinstance(data, Dataset) else None
        if run.checkpoint.is_file():
            reporter.info(f"going on with {run.path}, which this command began and did not finish")
        try:
            return _collect_to_report(run, dataset, reporter, clock)
        except BaseException:
            run.discard_if_untrained()
            raise


def resume(
    run: str | Path | RunFolder,
    *,
    data: Place | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> RunFolder:
    """Resume an interrupted run. It ends with the bits of a run that was never interrupted.

    A run that was interrupted before its first checkpoint begins anew. One that is finished stays
    as it is; its report is written again.

    Args:
        run: The run, or its folder.
        data: Where its data lies now, if it was moved.
        reporter: Receives the progress.
        **settings: Settings that the run must have, as it began; only `device` may be another.

    Raises:
        RunError: The run is in use by another process, has other settings, or its data has changed.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed again.
    """
    reporter, clock = reporter or NullReporter(), Clock()
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    run.device = settings.pop("device", run.device)
    refuse_changes(run, settings)
    with preserved_torch_state(), ranks.connected(run.device or run.settings.device):
        if not processes.is_main():
            return ranks.join_training(run.device, data)
        with run.locked():
            if run.finished:
                reporter.info("this run is finished: there is nothing to resume")
                restore_test(run)
                with helping.helped():
                    write_again(run, data, reporter)
                ranks.announce(run, None)
                return run
            return _collect_to_report(run, None, reporter, clock, data)


def _collect_to_report(
    run: RunFolder,
    dataset: Dataset[Any] | None,
    reporter: Reporter,
    clock: Clock,
    data: Place | None = None,
) -> RunFolder:
    """Steps 2 to 7, from the checkpoint on if there is one; `data` is the new place of the data."""
    resume = run.checkpoint.is_file()
    try:
        if resume:
            with helping.helped():
                prepared = reopen_at(run, data, reporter)
        else:
            run.restart()
            if data is not None:
                move(run, data)
            with helping.helped():
                if dataset is None:
                    dataset = load_again(run)
                prepared = collect(run, dataset, reporter, clock.began)  # 2. collect, 3. split
        ranks.announce(run, prepared, resume=resume)
        clock.lap("collect")
        _baseline_to_report(run, prepared, reporter, clock, resume=resume)
    except StorageError as error:
        if not run.checkpoint.is_file():
            raise
        raise error.with_advice(
            f"Then go on from the last checkpoint: foveate train --resume {run.quoted_path}"
        ) from None
    run.finish()
    processes.wait()
    return run


def define(
    data: str | Path | Dataset[Any], values: Mapping[str, Any], download: bool
) -> tuple[Dataset[Any], Settings]:
    """The dataset, not yet decoded, and the settings with the defaults of the task."""
    values = whole_paths({**values, **typed(), "data": place_of(data)})
    settings = Settings.of(**values)
    tasks.find(settings.task)  # a wrong name is reported before any data is read
    find_device(settings.device)
    if settings.model != choice.AUTO:
        models.initial_weights(settings.model, settings.weights, frozen=settings.freeze)
    dataset = load(
        data if isinstance(data, Dataset) else settings.data,
        root=Path(settings.root) if settings.root else None,
        download=download,
        format=settings.data_format,
        task=values.get("task"),
        over_machines=helping.over_machines,
    )
    task = tasks.find(values.get("task") or task_views.infer_task(dataset, tasks.all()))
    settings = Settings.of(**{**task.default_settings, **values, "task": task.name})
    if values.get("model", choice.AUTO) == choice.AUTO:
        settings = choice.with_model(settings, task, dataset)
    weights = models.initial_weights(settings.model, settings.weights, frozen=settings.freeze)
    settings = settings.model_copy(update={"weights": weights})
    tasks.check_settings(task, settings)
    choice.check(settings, task)
    trackers.check(settings)
    return dataset, settings


def _baseline_to_report(
    run: RunFolder, prepared: PreparedData, reporter: Reporter, clock: Clock, *, resume: bool
) -> None:
    """Steps 4 to 7."""
    fit_evaluator(run, prepared, reporter)
    baselines = score_baselines(run, prepared, "valid", reporter)  # 4. baseline
    metric = prepared.task.primary_metric
    reporter.baselines({name: one.samples.value[metric] for name, one in baselines.items()}, metric)
    clock.lap("baseline")

    scoring = max(one.seconds for one in baselines.values())
    tracked = trackers.Tracked(run, reporter)
    with watched(run, prepared, tracked, reporter) as (watching, page):
        result = learn(run, prepared, watching, clock.began, scoring, resume=resume)  # 5. train
        if result.reason == "interrupted":
            raise Interrupted(run.path, result.progress.step)
        page.trained()
        clock.lap("train")

        run.save_results(unscored_results(run, result))
        results = evaluate(run, prepared, "valid", baselines)  # 6. evaluate
        clock.lap("evaluate")
        run.save_results({**results, "seconds": clock.seconds})
        restore_test(run)

        write_report(run, prepared)  # 7. use
    tracked.finished(run.results)
