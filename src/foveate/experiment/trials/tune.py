"""Tuning: many short trainings with other settings, of which the validation split chooses one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate import atomic_io, models, tasks
from foveate.data.dataset import Dataset
from foveate.errors import Cancelled, DataChanged, Diverged, Interrupted, RunError, SettingError
from foveate.experiment import pipeline, predictions_file
from foveate.experiment.data_place import place_of, whole_paths
from foveate.experiment.evaluate import fit_evaluator, predict_split
from foveate.experiment.prepare import collect, reopen
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run import Run
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.train import learn
from foveate.experiment.trials.folder import TrialsFolder, wait
from foveate.experiment.trials.tune_result import PREDICTIONS, RESULT, WINNER, write_result
from foveate.models.search import SearchSpace
from foveate.progress import NullReporter, OnStep, Reporter, TrainingProgress
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.training.device import preserved_torch_state

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

DATA = "data"
"""The run folder of the split that all trials share."""
MAX_TRIALS = 100_000
MIN_COMPLETE = 4
"""Trials that come to their end before any is stopped early."""


@dataclass
class Tuning:
    """A finished study.

    Attributes:
        path: Its folder.
        results: The contents of study.json: the trials, the winner and how far to believe its lead.
    """

    path: Path
    results: dict[str, Any] = field(repr=False)

    @property
    def winner(self) -> Run:
        """The run of the best settings, its test split still locked."""
        return Run.open(self.path / WINNER)

    @property
    def report_path(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    def _repr_html_(self) -> str:
        return f'<a href="{self.report_path.absolute().as_uri()}">{self.path.name}</a>'


def tune(
    data: str | Path | Dataset[Any],
    *,
    trials: int | None = None,
    minutes: float | None = None,
    study: str | None = None,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    download: bool = False,
    **settings: Any,
) -> Tuning:
    """Search settings by many trials, and train the best ones.

    The first trial has the default settings. Only the validation split chooses; the test split
    stays locked. Settings that you give stay as they are, and are not searched. The same command
    goes on with a study that was interrupted; given several times at once, the processes share it.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        trials: How many, in all processes together.
        minutes: No trial begins later than this; at least one of both is needed.
        study: Address of a database that machines without a shared disk use together, such as
            "postgresql+psycopg://user@host/name"; by default a file in the folder.
        out: A new folder; by default runs/DATA-MODEL-tune-N. Its name is that of the study.
        reporter: Receives the progress.
        download: Whether a known dataset may be downloaded.
        **settings: Any of `Settings`, the same for all trials.

    Returns:
        The trials and the winner.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Cancelled: Ctrl-C or SIGTERM; the same command goes on.
    """
    reporter, began = reporter or NullReporter(), time.monotonic()
    _check_installed()
    _check_length(trials, minutes)
    values = whole_paths({**settings, "data": place_of(data)})
    dataset, resolved = pipeline.define(data, settings, download)
    space = search_space(resolved, settings)
    asked = {
        "kind": "study",
        "study": None if study is None else _without_password(study),
        "settings": Settings.of(**values).model_dump(mode="json"),
    }
    folder = TrialsFolder.taken(
        Path(out) if out is not None else None,
        f"{dataset.name}-{resolved.model}-tune",
        asked,
        RESULT,
    )
    try:
        with preserved_torch_state():
            prepared, run = _prepare(folder, resolved, dataset, reporter)
            worker = _Worker(folder, run, prepared, space, study, asked, reporter)
            reporter.info(
                f"study in {folder.path}: {resolved.model}, searching {', '.join(space)}; the "
                "first trial has the default settings"
            )
            worker.work(trials, None if minutes is None else began + 60 * minutes)
        winner = worker.winner()
        chosen = {**{k: v for k, v in values.items() if k != "data"}, **winner.params}

        def train(_name: str) -> None:
            reporter.info(f"training the winner, trial {winner.number}")
            pipeline.train(data, out=folder.path / WINNER, reporter=reporter, **chosen)

        folder.fill([WINNER], lambda name: _is_finished(folder.path / name), train, reporter)
        with folder.locked():
            if not folder.result.exists():
                write_result(folder, worker.study, winner, run, prepared, space, asked)
    except Interrupted as stop:
        raise Cancelled(
            f"interrupted in {stop.path.name} at step {stop.step:,}; what is done is kept in "
            f"{folder.path}: give the same command again to go on"
        ) from None
    except BaseException:
        folder.discard_if_empty()
        raise
    return Tuning(folder.path, atomic_io.read_json(folder.result))


def search_space(settings: Settings, given: Mapping[str, Any]) -> SearchSpace:
    """What the model and the task declare, without what the user has set.

    Args:
        settings: The settings, resolved.
        given: What the user has set.

    Raises:
        SettingError: Nothing is left to search.
    """
    space: SearchSpace = {}
    if settings.model != models.PROBE:
        recipe = models.find(settings.model).recipe(
            pretrained=settings.weights is not None,
            frozen=settings.freeze,
            dense=settings.task != Classification.name,
        )
        space = {**recipe.search_space(), **tasks.find(settings.task).search_space}
    space = {name: what for name, what in space.items() if given.get(name) is None}
    if not space:
        raise SettingError(
            f"nothing is left to search: {settings.model} has no settings that you have not given",
            where="model",
            remedy="Leave out some settings, or train once: foveate train.",
        )
    return space


def _check_installed() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise SettingError(
            "tuning needs Optuna, which is not installed",
            remedy="Install it: pip install 'foveate[tune]'",
        ) from None


def _check_length(trials: int | None, minutes: float | None) -> None:
    if trials is None and minutes is None:
        raise SettingError(
            "a number of trials or of minutes is expected",
            where="trials",
            remedy="Try: --trials 20, or --minutes 60.",
        )
    if trials is not None and not 1 <= trials <= MAX_TRIALS:
        raise SettingError(
            f"a number from 1 to {MAX_TRIALS:,} is expected, got {trials}", where="trials"
        )
    if minutes is not None and not minutes > 0:
        raise SettingError(f"a number above 0 is expected, got {minutes}", where="minutes")


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        raise SettingError(
            f"the address of a database is expected, got {url!r}",
            where="study",
            remedy="Such as postgresql+psycopg://USER@HOST/NAME; or leave it out, for a file in "
            "the study's folder.",
        ) from None


def _is_finished(path: Path) -> bool:
    return (path / "results.json").exists() and RunFolder.open(path).finished


def _prepare(
    folder: TrialsFolder, settings: Settings, dataset: Dataset[Any], reporter: Reporter
) -> tuple[PreparedData, RunFolder]:
    """The data and its split, which all trials of all processes share."""
    path = folder.path / DATA
    with folder.locked():
        if (path / "data.json").exists():
            run = RunFolder.open(path)
            run.dataset = dataset
            try:
                return reopen(run, reporter), run
            except DataChanged:
                raise RunError(
                    "this study is of other data: its images or labels have changed",
                    where=folder.path,
                    remedy="Bring the data back as it was, or begin another study with another "
                    "--out.",
                ) from None
        path.mkdir(exist_ok=True)
        run = RunFolder(path, settings, dataset)
        try:
            prepared = collect(run, dataset, reporter)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        fit_evaluator(run, prepared, reporter)
        return prepared, run


class _Worker:
    """One process of a study."""

    def __init__(
        self,
        folder: TrialsFolder,
        run: RunFolder,
        prepared: PreparedData,
        space: SearchSpace,
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
                {k: v for k, v in asked["settings"].items() if k not in ("data", "root", "device")}
            ).decode(),
        }
        self.study: optuna.Study = study.open_study(
            self.journal,
            url,
            folder.path.name,
            record,
            seed=run.settings.seed,
            maximise=self.maximise,
            defaults=_defaults(run.settings, space),
        )

    def work(self, limit: int | None, deadline: float | None) -> None:
        """Do trials until there are enough, and wait for those of other processes."""
        told = False
        while True:
            with ExitStack() as claim:
                trial = self._take(claim, limit, deadline)
                if trial is not None:
                    with self.api.heartbeat(self.study, trial):
                        self._do(trial, limit)
                    continue
            if not self.api.running(self.study):
                return
            if not told:
                self.reporter.info("waiting for the trials of other processes")
                told = True
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
        found = predict_split(run, self.prepared, "valid")
        predictions_file.write(
            path / PREDICTIONS, found.ids, found.summaries(self.task), found.stats
        )
        value = float(self.task.metric().compute(found.stats)[self.metric])
        if np.isnan(value):
            raise Diverged(f"validation {self.metric} is not a number: nothing is scored")
        return value

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

    def __init__(self, worker: _Worker, trial: Trial):
        self.worker, self.trial = worker, trial

    @contextmanager
    def training(self, per_epoch: int, metric: str, /) -> Iterator[OnStep]:
        """See `Reporter.training`."""
        del per_epoch
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


def _defaults(settings: Settings, space: SearchSpace) -> dict[str, Any]:
    """The value of each setting that a run without tuning has."""
    recipe = models.find(settings.model).recipe(
        pretrained=settings.weights is not None,
        frozen=settings.freeze,
        dense=settings.task != Classification.name,
    )
    own = settings.model_dump()
    return {name: getattr(recipe, name) if own[name] is None else own[name] for name in space}


def describe(params: Mapping[str, Any]) -> str:
    """Settings in one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )
