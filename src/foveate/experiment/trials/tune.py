"""Tuning: many short trainings with other settings, of which the validation split chooses one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from foveate import atomic_io, models, tasks
from foveate.console import choose_reporter
from foveate.data.dataset import Dataset
from foveate.errors import DataChanged, RunError, SettingError
from foveate.experiment import pipeline, trackers
from foveate.experiment.building import recipe_of
from foveate.experiment.data_place import place_of, whole_paths
from foveate.experiment.evaluate import fit_evaluator
from foveate.experiment.prepare import collect, reopen
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run import Run
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.setting_keywords import TrialKeywords
from foveate.experiment.trials.folder import TrialsFolder, is_finished
from foveate.experiment.trials.tune_result import RESULT, WINNER, write_result
from foveate.experiment.trials.worker import Worker
from foveate.models.search import SearchSpace
from foveate.progress import Reporter
from foveate.settings import Settings
from foveate.training.device import preserved_torch_state
from foveate.wording import describe_html

DATA = "data"
"""The run folder of the split that all trials share."""
MAX_TRIALS = 100_000


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
        return describe_html(f"Tuning {str(self.path)!r}", {}, self.report_path)


def tune(
    data: str | Path | Dataset[Any],
    *,
    trials: int | None = None,
    minutes: float | None = None,
    study: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    reporter: Reporter | None = None,
    download: bool = False,
    **settings: Unpack[TrialKeywords],
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
            "postgresql+pg8000://user@host/name"; by default a file in the folder.
        out: A new folder; by default runs/DATA-MODEL-tune-N. Its name is that of the study.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.
        download: Whether a known dataset may be downloaded.
        **settings: Any of `Settings`, the same for all trials.

    Returns:
        The trials and the winner.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Cancelled: Ctrl-C or SIGTERM; the same command goes on.
    """
    reporter, began = choose_reporter(reporter, progress=progress), time.monotonic()
    _check_installed()
    _check_length(trials, minutes)
    values = whole_paths({**settings, "data": place_of(data)})
    dataset, resolved = pipeline.define(data, settings, download)
    trackers.refuse(resolved)
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
    with folder.at_work(), ExitStack() as stack:
        stack.enter_context(preserved_torch_state())
        prepared, run = _prepare(folder, resolved, dataset, reporter)
        defaults = _defaults(resolved, space)
        worker = Worker(folder, run, prepared, space, defaults, study, asked, reporter)
        stack.callback(worker.close)
        reporter.info(
            f"study in {folder.path}: {resolved.model}, searching {', '.join(space)}; the "
            "first trial has the default settings"
        )
        worker.work(trials, None if minutes is None else began + 60 * minutes)
        winner = worker.winner()
        own = {name: value for name, value in values.items() if name != "data"}

        def train(_name: str) -> None:
            reporter.info(f"training the winner, trial {winner.number}")
            chosen = {**own, **winner.params}
            pipeline.train(data, out=folder.path / WINNER, reporter=reporter, **chosen)

        folder.fill([WINNER], lambda name: is_finished(folder.path / name), train, reporter)
        with folder.locked():
            if not folder.result.exists():
                write_result(folder, worker.study, winner, run, prepared, space, asked)
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
        space = {**recipe_of(settings).search_space(), **tasks.find(settings.task).search_space}
    space = {name: what for name, what in space.items() if given.get(name) is None}
    if not space:
        raise SettingError(
            f"nothing is left to search: {settings.model} has no settings that you have not given",
            where="model",
            remedy="Leave out some settings, or train once: foveate train.",
        )
    return space


def _defaults(settings: Settings, space: SearchSpace) -> dict[str, Any]:
    """The value of each setting that a run without tuning has."""
    recipe, own = recipe_of(settings), settings.model_dump()
    return {name: getattr(recipe, name) if own[name] is None else own[name] for name in space}


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
            remedy="Such as postgresql+pg8000://USER@HOST/NAME; or leave it out, for a file in "
            "the study's folder.",
        ) from None


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
