"""Optuna's study of a tuning: its storage, its sampler, and trials that a killed process left.

Imported when it is used: Optuna is an extra.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from foveate.atomic_io import storage_cure
from foveate.data.rng import derive_seed
from foveate.errors import RunError, SettingError, StorageError
from foveate.experiment.trials.folder import check_version
from foveate.experiment.trials.journal import Journal
from foveate.models.search import SearchChoice, SearchSpace

HEARTBEAT_SECONDS = 30
GRACE_SECONDS = 120
"""Seconds without a heartbeat after which a trial in a database counts as killed."""
MAX_RETRIES = 3
STARTUP_TRIALS = 10
"""Trials that are drawn at random before the sampler learns from the earlier ones."""
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_study(
    path: Path,
    url: str | None,
    name: str,
    record: Mapping[str, str],
    *,
    seed: int,
    maximise: bool,
    defaults: Mapping[str, Any],
) -> optuna.Study:
    """Create a study, or open it where another process has created it.

    Args:
        path: The journal file, if there is no address.
        url: The address of a database, or None.
        name: Of the study.
        record: What all processes of the study must agree on: "data", "settings", ...
        seed: Of the sampler.
        maximise: Whether more of the metric is better.
        defaults: The settings of the first trial.

    Raises:
        SettingError: The address cannot be opened.
        RunError: The study is of other data or settings, or of another version of foveate.
        StorageError: The journal cannot be written to.
    """
    with storage_errors(path, url):
        study = optuna.create_study(
            storage=_storage(path, url),
            study_name=name,
            load_if_exists=True,
            direction="maximize" if maximise else "minimize",
            sampler=_Sampler(seed, defaults),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=25, reduction_factor=2),
        )
    try:
        with storage_errors(path, url):
            _agree(study, record, path if url is None else f"study {name}")
    except BaseException:
        close(study)
        raise
    return study


def _agree(study: optuna.Study, record: Mapping[str, str], place: Path | str) -> None:
    """Refuse a study that was begun for something else; write down what it is for, if it is new."""
    known = study.user_attrs
    for key, value in record.items():
        if key not in known:
            study.set_user_attr(key, value)
        elif known[key] != value:
            raise RunError(
                f"this study is of other {key}",
                where=place,
                remedy=f"Use the same {key} on each machine, or begin another study with "
                "another --out.",
            )
    if "foveate" in known:
        check_version(known["foveate"], place)
    else:
        study.set_user_attr("foveate", version("foveate"))


def close(study: optuna.Study) -> None:
    """Close the connections to a database."""
    storage: Any = study._storage
    storage = getattr(storage, "_backend", storage)  # behind Optuna's cache
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def _storage(path: Path, url: str | None) -> BaseStorage:
    if url is None:
        return JournalStorage(Journal(str(path)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
                MAX_RETRIES
            ),
        )


@contextlib.contextmanager
def storage_errors(path: Path, url: str | None) -> Iterator[None]:
    """Say what is wrong with the place of a study, in the words of foveate.

    Raises:
        StorageError: The journal cannot be written to.
        SettingError: The database cannot be reached.
        RunError: The journal is damaged.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the study cannot be written to ({error.strerror or error})",
            where=path,
            cure=storage_cure(error),
        ) from None
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        first = str(error.__cause__ or error).strip().splitlines()[0][:200]
        raise SettingError(
            f"the database of the study cannot be used ({first})",
            where="study",
            remedy="Give an address such as postgresql+pg8000://USER@HOST/NAME, of a server that "
            "runs and whose driver is installed; or leave it out, for a file in a shared folder.",
        ) from None
    except (ValueError, KeyError, AssertionError) as error:
        if url is not None:
            raise
        raise RunError(
            f"the journal of the study is damaged ({error})",
            where=path,
            remedy="Restore it from a backup, or begin another study with another --out.",
        ) from None


class _Sampler(BaseSampler):
    """TPE, with the default settings as first trial.

    Each value is drawn with a seed of its own, from the study's seed, the number of the trial and
    the name of the setting. So one process gives the same trials each time, and several never draw
    the same ones.
    """

    def __init__(self, seed: int, defaults: Mapping[str, Any]):
        self.seed, self.defaults = seed, defaults

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: each setting is drawn for itself."""
        del study, trial
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Nothing: each setting is drawn for itself."""
        del study, trial, search_space
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of one setting."""
        if is_default(trial):
            return self.defaults[param_name]
        seed = derive_seed(self.seed, trial.number, *param_name.encode()) % 2**32
        sampler = TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def is_default(trial: FrozenTrial) -> bool:
    """Whether a trial is the one of the default settings, or its repetition after a kill."""
    return trial.number == 0 or trial.system_attrs.get("failed_trial") == 0


def suggest(trial: Trial, space: SearchSpace) -> dict[str, Any]:
    """The settings of a trial."""
    return {
        name: trial.suggest_categorical(name, list(what.options))
        if isinstance(what, SearchChoice)
        else trial.suggest_float(name, what.low, what.high, log=what.log)
        for name, what in space.items()
    }


# --- trials and the processes that work on them


def next_trial(study: optuna.Study, limit: int | None) -> Trial | None:
    """A new trial, or None if there are as many as `limit`.

    Processes in several folders may ask at once: the number of a trial decides who was late.
    """
    if limit is not None and _counted(study) >= limit and not _waiting(study):
        return None
    trial = study.ask()
    earlier = sum(
        one.state in COUNTED and one.number < trial.number
        for one in study.get_trials(deepcopy=False)
    )
    if limit is not None and earlier >= limit:
        study.tell(trial, state=TrialState.FAIL)
        return None
    return trial


def _counted(study: optuna.Study) -> int:
    return sum(one.state in COUNTED for one in study.get_trials(deepcopy=False))


def _waiting(study: optuna.Study) -> bool:
    return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def complete(study: optuna.Study) -> int:
    """How many trials came to their end."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def running(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that are under way, or whose process was killed."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def reopened(study: optuna.Study, trial: FrozenTrial) -> Trial:
    """A trial that is under way, to go on with it."""
    return Trial(study, trial._trial_id)


def retry_stale(study: optuna.Study) -> None:
    """Have the trials of killed processes on other machines tried again; a database knows them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    late = datetime.now() - timedelta(seconds=GRACE_SECONDS)  # Optuna's times have no zone
    for trial in running(study):  # killed before the first heartbeat
        if "place" not in trial.user_attrs and (trial.datetime_start or late) < late:
            with contextlib.suppress(ValueError, RuntimeError):
                study.tell(trial.number, state=TrialState.FAIL)


def place_of_worker(folder: Path, url: str | None) -> str:
    """Who can see whether a trial's process lives: a shared folder, or a folder on one machine."""
    return "folder" if url is None else f"{socket.gethostname()}:{folder.resolve()}"


@contextlib.contextmanager
def heartbeat(study: optuna.Study, trial: Trial) -> Iterator[None]:
    """Tell a database that the process of a trial lives; a journal needs no heartbeat."""
    storage: Any = study._storage
    if not hasattr(storage, "record_heartbeat"):
        yield
        return
    ended = threading.Event()

    def beat() -> None:
        while True:
            with contextlib.suppress(Exception):  # the next one may come through
                storage.record_heartbeat(trial._trial_id)
            if ended.wait(HEARTBEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# --- what the study says


def best_trial(trials: Sequence[FrozenTrial], *, maximise: bool) -> FrozenTrial | None:
    """The complete trial with the best value; of equal ones the first."""
    sign = 1 if maximise else -1
    complete = [one for one in trials if one.state is TrialState.COMPLETE and one.values]
    return max(complete, key=lambda one: (sign * one.values[0], -one.number), default=None)


def importances(study: optuna.Study, seed: int) -> dict[str, float]:
    """Share of the variance of the metric that each setting explains; empty if it is unknown.

    Functional ANOVA on a forest over all complete trials (Hutter, Hoos and Leyton-Brown, 2014).
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 4 or len({one.values[0] for one in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (RuntimeError, ValueError):
            return {}
