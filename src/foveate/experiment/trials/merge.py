"""The folds of a cross-validation together: metrics over all images, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import atomic_io, csv_file
from foveate.data.dataset import Dataset
from foveate.data.split import file
from foveate.experiment import predictions_file
from foveate.experiment.evaluate import Predicted, Scored, predicted, score_baselines
from foveate.experiment.prepare import reopen
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trials.cv_report import write_report
from foveate.experiment.trials.folder import TrialsFolder, check_same_data
from foveate.experiment.trials.spread import spread_of, values_of
from foveate.metrics.metric import PerImageStats
from foveate.progress import NullReporter, Reporter

PREDICTIONS = "predictions.csv"
LABEL_ERRORS = "label_errors.csv"


@dataclass(frozen=True)
class Pooled:
    """The predictions of all folds.

    Attributes:
        found: What was predicted for each image, fold after fold.
        fold: (N,) the fold of each image, counted from 1.
        baselines: Per-image statistics of each baseline, in the same order.
    """

    found: Predicted
    fold: NDArray[np.int64]
    baselines: dict[str, PerImageStats]


def merge(
    folder: TrialsFolder,
    runs: Mapping[int, Sequence[RunFolder]],
    asked: Mapping[str, Any],
    dataset: Dataset[Any] | None,
    reporter: Reporter,
) -> None:
    """Write the metrics over all images, their table and the report.

    Args:
        folder: The cross-validation.
        runs: The runs of each seed, by fold; each is tested.
        asked: What was asked for.
        dataset: The data, if it was built in memory.
        reporter: Receives the progress.

    Raises:
        RunError: The data changed between two folds.
    """
    first = next(iter(runs.values()))
    check_same_data([run for of_seed in runs.values() for run in of_seed])
    first[0].dataset = dataset
    prepared = reopen(first[0], reporter)
    reporter.info("pooling the predictions of all folds")
    pooled = _pool(first, prepared)
    task, results = first[0].load()[0], [run.results for run in first]
    metric, primary = task.metric(), task.primary_metric
    model = Scored(metric, pooled.found.stats, pooled.found.units)
    baselines = {
        name: Scored(metric, stats, pooled.found.units) for name, stats in pooled.baselines.items()
    }
    best = _best_baseline(results, primary, lower=primary in task.lower_is_better)
    by_seed = {seed: _of_seed(of_seed, pooled) for seed, of_seed in runs.items()}
    wrong = metric.label_errors(pooled.found.predictions, pooled.found.targets)
    record = {
        "foveate": "cross-validation",
        "version": version("foveate"),
        "task": task.name,
        "model": results[0]["model"],
        "primary": primary,
        "folds": len(first),
        "runs": [run.path.name for run in first],
        "settings": asked["settings"],
        "fingerprint": first[0].data["fingerprint"],
        "test": model.values(),
        "baseline": {"test": {name: one.values() for name, one in baselines.items()}},
        "best_baseline": best,
        "lift": {"test": model.lift_over(baselines[best])},
        "by_fold": [
            {"run": run.path.name, "test": one["test"], "lift": one["lift"]["test"]}
            for run, one in zip(first, results, strict=True)
        ],
        "spread": spread_of([values_of(one["test"]) for one in results]),
        "by_seed": [{"seed": seed, "metrics": values} for seed, values in by_seed.items()],
        "seed_spread": spread_of([*by_seed.values()]) if len(by_seed) > 1 else None,
        "label_errors": None if wrong is None else [pooled.found.ids[row] for row in wrong],
    }
    summaries = pooled.found.summaries(task)
    predictions_file.write(
        folder.path / PREDICTIONS,
        pooled.found.ids,
        summaries,
        pooled.found.stats,
        runs=[f"fold-{fold}" for fold in pooled.fold],
    )
    if wrong is not None:
        csv_file.write(
            folder.path / LABEL_ERRORS,
            ["id", "label", "prediction"],
            [[pooled.found.ids[row], *summaries[row]] for row in wrong],
        )
    write_report(folder.path, record, first, pooled.found, wrong, prepared)
    atomic_io.write_json(folder.result, record)


def _pool(runs: Sequence[RunFolder], prepared: PreparedData) -> Pooled:
    """Predict each fold by the model that never saw it."""
    founds, baselines = [], []
    for run in runs:
        of_fold = _with_split(prepared, run)
        founds.append(predicted(run, of_fold, "test"))
        baselines.append(score_baselines(run, of_fold, "test", NullReporter()))
    return Pooled(
        Predicted(
            [id for found in founds for id in found.ids],
            [target for found in founds for target in found.targets],
            [prediction for found in founds for prediction in found.predictions],
            np.concatenate([found.units for found in founds]),
            _stacked([found.stats for found in founds]),
        ),
        np.repeat(np.arange(1, len(runs) + 1), [len(found.ids) for found in founds]),
        {name: _stacked([one[name].stats for one in baselines]) for name in baselines[0]},
    )


def _with_split(prepared: PreparedData, run: RunFolder) -> PreparedData:
    """The same images, split as in a run."""
    path = run.path / "split.csv"
    rows = file.read(path)
    file.check_unchanged(rows, run.data["split"], path)
    made = PreparedData.of_rows(prepared.task, prepared.images, rows, prepared.notes)
    return replace(prepared, splits=made.splits, units=made.units)


def _stacked(stats: Sequence[PerImageStats]) -> PerImageStats:
    return {name: np.concatenate([one[name] for one in stats]) for name in stats[0]}


def _of_seed(runs: Sequence[RunFolder], pooled: Pooled) -> dict[str, float]:
    """Metrics over all images of the models of one seed."""
    stats = _stacked([run.read_predictions("test")[1] for run in runs])
    task = runs[0].load()[0]
    assert len(next(iter(stats.values()))) == len(pooled.found.ids), "each image once"
    return task.metric().compute(stats)


def _best_baseline(results: Sequence[Mapping[str, Any]], metric: str, *, lower: bool) -> str:
    """The best baseline on the validation splits, so that no test split chooses."""
    sign = -1 if lower else 1
    names: list[str] = list(results[0]["baseline"]["valid"])
    total = {
        name: sum(sign * one["baseline"]["valid"][name][metric]["value"] for one in results)
        for name in names
    }
    return max(total, key=lambda name: float(total[name]))
