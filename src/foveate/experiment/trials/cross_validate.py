"""Cross-validation: every image is predicted once, by a model that never saw it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from foveate import tasks
from foveate.console import choose_reporter
from foveate.data.dataset import Dataset
from foveate.errors import SettingError
from foveate.experiment import pipeline, test_split, trackers
from foveate.experiment.data_place import place_of, whole_paths
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.setting_keywords import SettingKeywords
from foveate.experiment.trials.ensemble import RESULT, CrossValidation
from foveate.experiment.trials.folder import (
    MAX_SEEDS,
    TrialsFolder,
    check_count,
    check_same_data,
    is_finished,
    shared_choices,
)
from foveate.experiment.trials.merge import merge
from foveate.progress import Reporter
from foveate.settings import Settings
from foveate.tasks.capabilities import HasEvaluator
from foveate.training.device import preserved_torch_state

MIN_FOLDS = 3
MAX_FOLDS = 1000


def cross_validate(
    data: str | Path | Dataset[Any],
    *,
    folds: int = 5,
    seeds: int = 1,
    out: str | Path | None = None,
    progress: bool = True,
    reporter: Reporter | None = None,
    download: bool = False,
    **settings: Unpack[SettingKeywords],
) -> CrossValidation:
    """Train a model for each fold, and test it on that fold: each image is tested once.

    Of K folds, one is the test split of a model, the next one its validation split, and the others
    its train split. If the same command was interrupted before, it goes on in its folder; given
    several times at once, on one machine or on several with a shared disk, the processes share
    the folds.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        folds: K.
        seeds: Models a fold, with the seeds `seed`, `seed` + 1, ..., to see the spread over seeds.
        out: A new folder; by default runs/DATA-MODEL-cv-N.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.
        download: Whether a known dataset may be downloaded.
        **settings: Any of `Settings` for each of the models; `minutes` is the time of one.

    Returns:
        The metrics over all images, and the models of all folds as one that predicts.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Cancelled: Ctrl-C or SIGTERM; the same command goes on.
    """
    reporter = choose_reporter(reporter, progress=progress)
    check_count("folds", folds, MIN_FOLDS, MAX_FOLDS, "one tests, one validates, the rest train")
    check_count("seeds", seeds, 1, MAX_SEEDS, "models a fold")
    for name in ("fold", "split", "time_by"):
        if settings.get(name) is not None:
            raise SettingError(
                "cross-validation makes its own folds", where=name, remedy="Leave it out."
            )
    values = whole_paths({**settings, "data": place_of(data)})
    dataset, resolved = pipeline.define(data, settings, download)
    trackers.refuse(resolved)
    task = tasks.find(resolved.task)
    if issubclass(task, HasEvaluator):
        raise SettingError(
            f"the task {task.name} is scored by a network that each fold would train for itself, "
            "so the folds share no metric",
            where="task",
            remedy="Train once and test: foveate train, foveate test.",
        )
    asked = {
        "kind": "cross-validation",
        "folds": folds,
        "seeds": seeds,
        "settings": Settings.of(**values).model_dump(mode="json"),
    }
    folder = TrialsFolder.taken(
        Path(out) if out is not None else None, f"{dataset.name}-{resolved.model}-cv", asked, RESULT
    )
    all_seeds = range(resolved.seed, resolved.seed + seeds)
    members = _Members(data, folder, folds, all_seeds, values, resolved.model)
    reporter.info(
        f"cross-validation in {folder.path}: {folds} folds, each tested once by a model that "
        "never saw it"
    )
    with folder.at_work():
        folder.fill(members.names, members.done, members.work_with(reporter), reporter)
        with folder.locked(), preserved_torch_state():
            if not folder.result.exists():
                merge(folder, members.by_seed(), asked, members.dataset, reporter)
    return CrossValidation.open(folder.path)


class _Members:
    """The runs of a cross-validation: one for each fold and seed."""

    def __init__(
        self,
        data: str | Path | Dataset[Any],
        folder: TrialsFolder,
        folds: int,
        seeds: Sequence[int],
        values: dict[str, Any],
        model: str,
    ):
        self.data, self.folder, self.values, self.model = data, folder, values, model
        self.dataset = data if isinstance(data, Dataset) else None
        self.folds, self.seeds = folds, seeds
        self._of = {
            self._name(fold, seed): (fold, seed) for seed in seeds for fold in range(1, folds + 1)
        }

    def _name(self, fold: int, seed: int) -> str:
        return f"fold-{fold}" if seed == self.seeds[0] else f"fold-{fold}-seed-{seed}"

    @property
    def names(self) -> list[str]:
        """Of the run folders: all folds of the first seed come first."""
        return list(self._of)

    def by_seed(self) -> dict[int, list[RunFolder]]:
        """The runs of each seed, by fold."""
        return {
            seed: [self._open(self._name(fold, seed)) for fold in range(1, self.folds + 1)]
            for seed in self.seeds
        }

    def _open(self, name: str) -> RunFolder:
        run = RunFolder.open(self.folder.path / name)
        run.dataset = self.dataset
        return run

    def done(self, name: str) -> bool:
        """Whether a run is trained and tested."""
        path = self.folder.path / name
        return is_finished(path) and self._open(name).results["test"] is not None

    def work_with(self, reporter: Reporter) -> Any:
        """A function that trains a run and tests it on its fold."""

        def work(name: str) -> None:
            fold, seed = self._of[name]
            of_seed = f", seed {seed}" if len(self.seeds) > 1 else ""
            reporter.info(f"fold {fold} of {self.folds}{of_seed}")
            path = self.folder.path / name
            if is_finished(path):
                run = self._open(name)
            else:
                seeded = {"seed": seed, "split_seed": self.seeds[0]} if seed else {}
                done = [self._open(one) for one in self.names if self.done(one)]
                shared = shared_choices(done, self.values, self.model)
                settings = {**self.values, **seeded, **shared, "fold": f"{fold}/{self.folds}"}
                del settings["data"]
                run = pipeline.train(self.data, out=path, reporter=reporter, **settings)
            test_split.test(run, reporter=reporter)
            check_same_data([self._open(one) for one in self.names if self.done(one)])

        return work
