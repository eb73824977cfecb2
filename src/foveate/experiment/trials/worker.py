"""One process of a study: takes trials, trains them, and tells the study."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate import atomic_io
from foveate.errors import Diverged, Interrupted, RunError
from foveate.experiment import predictions_file
from foveate.experiment.evaluate import predicted
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.train import learn
from foveate.experiment.trials.folder import TrialsFolder, wait
from foveate.experiment.trials.tune_result import PREDICTIONS
from foveate.models.search import SearchSpace
from foveate.progress import NullReporter, OnStep, Reporter, TrainingProgress
from foveate.settings import Settings

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

PLACES = ("data", "root", "split", "device")
"""Settings that may differ from machine to machine: the content of data and split is compared."""
MIN_COMPLETE = 4
"""Trials that come to their end before any is stopped early."""


class Worker:
    """One process of a study.

    Args:
        folder: The study's folder.
        run: The run that holds the split of all trials.
        prepared: The data.
        space: What is searched.
        defaults: The settings of the first trial.
        url: Address of a database, or None.
        asked: What was asked for.
        reporter: Receives a line for each trial.
    """

    def __init__(
        self,
        folder: TrialsFolder,
        run: RunFolder,
        prepared: PreparedData,
        space: SearchSpace,
        defaults: Mapping[str, Any],
        url: str | None,
        asked: Mapping[str, Any],
        reporter: Reporter,
    ):
        from foveate.experiment.trials import study

        self.api, self.folder, self.run, self.prepared = study, folder, run, prepared
        self.space, self.url, self.reporter = space, url, reporter
        self.task = prepared.task
        self.metric = self.task.primary_metric
        self.maximise = self.metric not in self.task.lower_is_better
        self.journal = folder.path / "study.journal"
        self.place = study.place_of_worker(folder.path, url)
        record = {
            "data": prepared.fingerprint(),
            "split": run.data["split"]["hash"],
            "settings": atomic_io.json_line(
                {k: v for k, v in asked["settings"].items() if k not in PLACES}
            ).decode(),
        }
        self.study: optuna.Study = study.open_study(
            self.journal,
            url,
            folder.path.name,
            record,
            seed=run.settings.seed,
            maximise=self.maximise,
            defaults=defaults,
        )

    def work(self, limit: int | None, deadline: float | None) -> None:
        """Do trials until there are enough, and wait for those of other processes."""
        reported = False
        while True:
            with ExitStack() as claim:
                trial = self._take(claim, limit, deadline)
                if trial is not None:
                    with self.api.heartbeat(self.study, trial):
                        self._do(trial, limit)
                    continue
            if not self.api.running(self.study):
                return
            if not reported:
                self.reporter.info("waiting for the trials of other processes")
                reported = True
            wait()

    def _take(self, claim: ExitStack, limit: int | None, deadline: float | None) -> Trial | None:
        """A trial whose process was killed, or a new one; its lock is held until `claim` ends."""
        with self.folder.locked(), self.guard():
            self.api.retry_stale(self.study)
            for frozen in self.api.running(self.study):
                if frozen.user_attrs.get("place") == self.place and claim.enter_context(
                    self.folder.claimed(_name(frozen.number))
                ):
                    self.reporter.info(
                        f"trial {frozen.number}: its process ended; going on with it"
                    )
                    return self.api.reopened(self.study, frozen)
            late = deadline is not None and time.monotonic() > deadline
            if late and self.study.get_trials(deepcopy=False):
                return None
            trial = self.api.next_trial(self.study, limit)
            if trial is not None:
                claim.enter_context(self.folder.claimed(_name(trial.number)))
                trial.set_user_attr("place", self.place)
            return trial

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Say what is wrong with the study's file or database."""
        with self.api.storage_errors(self.journal, self.url):
            yield

    def _do(self, trial: Trial, limit: int | None) -> None:
        """Train and validate with the settings of a trial, and tell the study."""
        from optuna import TrialPruned
        from optuna.trial import TrialState

        with self.guard():
            params = self.api.suggest(trial, self.space)
        of = "" if limit is None else f" of {limit}"
        default = " (the default settings)" if trial.number == 0 else ""
        self.reporter.info(f"trial {trial.number}{of}{default}: {describe(params)}")
        path, began = self.folder.path / _name(trial.number), time.monotonic()
        try:
            value = self._train(trial, path, params)
        except TrialPruned:
            state, value = TrialState.PRUNED, None
            self.reporter.info("    stopped early: other trials were better at this point")
        except Diverged as error:
            state, value = TrialState.PRUNED, None
            trial.set_user_attr("ended", "diverged")
            self.reporter.info(f"    diverged ({error.message.split(':')[0]})")
        else:
            state = TrialState.COMPLETE
            self.reporter.info(f"    validation {self.metric} {value:.1%}")
        with self.guard():
            trial.set_user_attr("seconds", round(time.monotonic() - began, 1))
            self.study.tell(trial, value, state=state)
        for name in ("best.safetensors", "last.safetensors", "evaluator.safetensors"):
            (path / name).unlink(missing_ok=True)  # the winner is trained anew

    def _train(self, trial: Trial, path: Path, params: Mapping[str, Any]) -> float:
        path.mkdir(exist_ok=True)
        settings = Settings.of(**{**self.run.settings.model_dump(), **params})
        run = RunFolder(path, settings, self.run.dataset)
        if self.run.evaluator_path.exists():
            shutil.copyfile(self.run.evaluator_path, run.evaluator_path)
        atomic_io.remove_temporaries(path, ("best.safetensors", "last.safetensors", "curves.csv"))
        watch = _Watch(self, trial)
        result = learn(run, self.prepared, watch, time.monotonic(), resume=run.checkpoint.is_file())
        if result.reason == "interrupted":
            raise Interrupted(path, result.progress.step)
        found = predicted(run, self.prepared, "valid")
        predictions_file.write(
            path / PREDICTIONS, found.ids, found.summaries(self.task), found.stats
        )
        value = float(self.task.metric().compute(found.stats)[self.metric])
        if np.isnan(value):
            raise Diverged(f"validation {self.metric} is not a number: nothing is scored")
        return value

    def close(self) -> None:
        """Close the connections to a database."""
        self.api.close(self.study)

    def winner(self) -> FrozenTrial:
        """The best trial.

        Raises:
            RunError: No trial came to its end.
        """
        best: FrozenTrial | None = self.api.best_trial(
            self.study.get_trials(deepcopy=False), maximise=self.maximise
        )
        if best is None:
            raise RunError(
                "no trial came to its end, so there is nothing to choose",
                where=self.folder.path,
                remedy="See why with the default settings: foveate train.",
            )
        return best


class _Watch(NullReporter):
    """Reports each validation point of a trial to the study, and ends a trial that lags behind."""

    def __init__(self, worker: Worker, trial: Trial):
        self.worker, self.trial = worker, trial

    @contextmanager
    def training(
        self, per_epoch: int, metric: str, budget: float | None = None, /
    ) -> Iterator[OnStep]:
        """See `Reporter.training`."""
        del per_epoch, budget
        known = self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values
        last, rows = max(known, default=0), 0

        def on_step(progress: TrainingProgress, loss: float) -> None:
            nonlocal last, rows
            del loss
            if len(progress.rows) == rows:
                return
            rows = len(progress.rows)
            done = int(100 * progress.step / max(1, progress.total))  # percent of the training
            values = [row[f"valid_{metric}"] for row in progress.rows]
            values = [value for value in values if np.isfinite(value)]
            if values and last < done and progress.step < progress.total:
                last = done
                self._compare(max(values) if self.worker.maximise else min(values), done)

        yield on_step

    def _compare(self, value: float, done: int) -> None:
        """Raise TrialPruned if other trials were better at this point."""
        import optuna

        with self.worker.guard():
            self.trial.report(value, done)
            behind = self.trial.should_prune()  # which also notes the value for other trials
            complete = self.worker.api.complete(self.trial.study)
        if behind and complete >= MIN_COMPLETE:
            raise optuna.TrialPruned


def _name(number: int) -> str:
    return f"trial-{number:04}"


def describe(params: Mapping[str, Any]) -> str:
    """Settings in one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )
