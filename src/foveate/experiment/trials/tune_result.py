"""What a study has found: study.json and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate import atomic_io
from foveate.experiment import predictions_file
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trials.folder import TrialsFolder
from foveate.experiment.trials.optimism import Optimism, in_words, optimism_of
from foveate.metrics.metric import PerImageStats
from foveate.metrics.names import display_name
from foveate.models.search import SearchRange, SearchSpace
from foveate.report.page import write_html
from foveate.report.panels import Card, Code, Note, Notes, Page, Panel, Table, Tone, share_bars
from foveate.tasks.task import Task
from foveate.wording import count_noun, percent

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

RESULT = "study.json"
"""The record of a study."""
WINNER = "winner"
"""The run of the best settings."""
PREDICTIONS = "predictions_valid.csv"
"""In the folder of each trial."""


def write_result(
    folder: TrialsFolder,
    study: optuna.Study,
    winner: FrozenTrial,
    run: RunFolder,
    prepared: PreparedData,
    space: SearchSpace,
    asked: Mapping[str, Any],
) -> None:
    """Write the report and then study.json.

    Args:
        folder: The study's folder, with the winner's finished run in it.
        study: The study.
        winner: Its best trial.
        run: The run that holds the shared split.
        prepared: The data.
        space: What was searched.
        asked: What was asked for.
    """
    from foveate.experiment.trials.study import importances, is_default

    task, seed = prepared.task, run.settings.seed
    trials = [one for one in study.get_trials(deepcopy=False) if one.state.is_finished()]
    complete = [one for one in trials if one.state.name == "COMPLETE"]
    default = next((one.number for one in complete if is_default(one)), None)
    stats = _read_stats(folder.path, task, [one.number for one in complete], winner, prepared)
    corrected = optimism_of(
        task.metric(),
        task.primary_metric,
        stats,
        prepared.units[prepared.for_evaluation("valid").splits["valid"]],
        winner.number,
        default if default in stats else None,
        maximise=task.primary_metric not in task.lower_is_better,
        seed=seed,
    )
    record = {
        "foveate": "study",
        "version": version("foveate"),
        "name": folder.path.name,
        "task": task.name,
        "model": run.settings.model,
        "metric": task.primary_metric,
        "fingerprint": prepared.fingerprint(),
        "asked": dict(asked),
        "space": {name: _in_words(what) for name, what in space.items()},
        "trials": [_trial_record(one, default) for one in trials],
        "winner": {"number": winner.number, "value": winner.value, "settings": winner.params},
        "importance": importances(study, seed),
        "optimism": None if corrected is None else corrected.to_json(),
        "in_words": list(in_words(corrected, display_name(task.primary_metric), len(complete))),
    }
    _write_report(folder.path, record, corrected, run)
    atomic_io.write_json(folder.result, record)


def _read_stats(
    folder: Path,
    task: Task[Any],
    numbers: Sequence[int],
    winner: FrozenTrial,
    prepared: PreparedData,
) -> dict[int, PerImageStats]:
    """Per-image statistics of the trials whose predictions lie in this folder, and the winner's."""
    images = len(prepared.for_evaluation("valid").splits["valid"])
    stats: dict[int, PerImageStats] = {}
    for number in numbers:
        path = folder / f"trial-{number:04}" / PREDICTIONS
        if number == winner.number and not path.exists():  # it was trained anew here
            path = folder / WINNER / PREDICTIONS
        if path.exists():
            stats[number] = predictions_file.read(path, task.metric(), images)[1]
    return stats


def _trial_record(trial: FrozenTrial, default: int | None) -> dict[str, Any]:
    diverged = trial.user_attrs.get("ended") == "diverged"
    ended = {"COMPLETE": "complete", "PRUNED": "stopped early", "FAIL": "killed"}[trial.state.name]
    points = trial.intermediate_values
    return {
        "number": trial.number,
        "ended": "diverged" if diverged else ended,
        "default": trial.number == default,
        "value": trial.value if trial.state.name == "COMPLETE" else None,
        "stopped_at": max(points) / 100 if trial.state.name == "PRUNED" and points else None,
        "seconds": trial.user_attrs.get("seconds"),
        "settings": trial.params,
    }


def _in_words(what: Any) -> str:
    if isinstance(what, SearchRange):
        scale = ", logarithmic" if what.log else ""
        return f"{what.low:g} to {what.high:g}{scale}"
    return " or ".join(what.options)


def conclusion(record: Mapping[str, Any], folder: Path) -> list[str]:
    """The lines that a command prints at its end."""
    return [
        "",
        f"{_headline(record)} {_settings(record)}".strip(),
        *record["in_words"],
        "",
        f"report  {folder / 'report.html'}",
        "The winner's test split is still locked. To open it, once:",
        f"        foveate test {folder / WINNER}",
    ]


# --- the page


def _headline(record: Mapping[str, Any]) -> str:
    winner, metric = record["winner"], display_name(record["metric"])
    wins = f"validation {metric} {percent(winner['value'])}"
    if _default_wins(record):
        return f"The default settings win: {wins}. No trial of {len(record['trials'])} is better."
    return f"Trial {winner['number']} of {len(record['trials'])} wins: {wins}."


def _default_wins(record: Mapping[str, Any]) -> bool:
    number = record["winner"]["number"]
    return any(one["default"] and one["number"] == number for one in record["trials"])


def _settings(record: Mapping[str, Any]) -> str:
    """The settings of the winner in a sentence."""
    settings = record["winner"]["settings"].items()
    listed = ", ".join(f"{name} {_shown(value)}" for name, value in settings)
    return "" if _default_wins(record) else f"Its settings: {listed}."


def _write_report(
    folder: Path,
    record: Mapping[str, Any],
    corrected: Optimism | None,
    run: RunFolder,
) -> None:
    name, metric = run.data["name"], record["metric"]
    sentence, tone = _verdict(corrected)
    cards = [Card(f"Validation {display_name(metric)}", percent(record["winner"]["value"]))]
    if corrected is not None:
        cards.append(
            Card(
                "Corrected for the choice",
                percent(corrected.corrected),
                f"{percent(corrected.low)} to {percent(corrected.high)}",
            )
        )
    page = Page(
        title=f"{name} · study · foveate",
        subtitle=f"{name} · {record['model']} · {count_noun(len(record['trials']), 'trial')}",
        headline=_headline(record),
        verdict=sentence,
        tone=tone,
        context=_settings(record),
        cards=cards,
        panels=[
            _optimism_panel(record),
            *_importance(record),
            _trials(record, metric),
            Table(
                "What was searched",
                "Declared by the model's recipe and the task. Settings that were given stay as "
                "they are.",
                ["setting", "range"],
                [[one, words] for one, words in record["space"].items()],
                2,
            ),
            Code(
                "How to go on",
                "The winner is a run like any other, with its own report. Its test split is "
                "locked: no trial has seen it, so it gives the result to quote.",
                f"foveate test {folder / WINNER}",
            ),
        ],
        kind="study",
    )
    write_html(page, folder / "report.html")


def _verdict(one: Optimism | None) -> tuple[str, Tone]:
    locked = "The test split is still locked: it gives the number to quote."
    if one is None or one.corrected_lead is None:
        return f"Careful: how far the choice is luck is unknown. {locked}", "careful"
    if one.lead == 0:
        return f"The search brought nothing. {locked}", "plain"
    if one.corrected_lead <= 0:
        return f"Careful: the lead over the default settings is luck. {locked}", "careful"
    return f"Better than the default settings, also once corrected for luck. {locked}", "plain"


def _optimism_panel(record: Mapping[str, Any]) -> Panel:
    text = (
        "Only the validation split chooses. Images are drawn from it with replacement: the trial "
        "that is best on those drawn is scored on the others (bootstrap bias correction, "
        "Tsamardinos et al., 2018). Trials that were stopped early are not among them, so the "
        "correction is a little too small."
    )
    note = Note("what to expect", " ".join(record["in_words"]))
    return Notes("How much of the lead is luck", text, [note])


def _importance(record: Mapping[str, Any]) -> list[Panel]:
    if not record["importance"]:
        return []
    title, metric = "Importance of the settings", display_name(record["metric"])
    text = (
        f"Share of the variance of the validation {metric} that each setting explains, within what "
        "was searched (functional ANOVA, Hutter et al., 2014). With few trials it is a rough guess."
    )
    return [share_bars(title, text, list(record["importance"].items()))]


def _trials(record: Mapping[str, Any], metric: str) -> Panel:
    names = list(record["space"])
    order = sorted(
        record["trials"],
        key=lambda one: (one["value"] is None, -(one["value"] or 0.0), one["number"]),
    )
    rows = [
        [
            f"{one['number']}{' (default)' if one['default'] else ''}",
            _ended(one),
            "–" if one["value"] is None else percent(one["value"]),
            *(_shown(one["settings"].get(name)) for name in names),
        ]
        for one in order
    ]
    return Table(
        "The trials",
        "Each trains for the same number of epochs. Once four have come to their end, one is "
        "stopped after a quarter or half of its epochs, unless it is in the better half of the "
        "trials that came as far (successive halving).",
        ["trial", "ended", display_name(metric), *map(display_name, names)],
        rows,
        2,
    )


def _ended(one: Mapping[str, Any]) -> str:
    at = one["stopped_at"]
    return one["ended"] if at is None else f"stopped at {at:.0%}"


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
