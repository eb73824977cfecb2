"""Tuning: the validation split alone chooses, processes share a study, nothing is lost."""

from __future__ import annotations

import builtins
import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import foveate as fv
from foveate import models, tasks
from foveate.errors import Cancelled, Diverged, RunError, SettingError, StorageError
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trials import worker as module
from foveate.experiment.trials.tune import search_space
from foveate.models.search import SearchRange
from foveate.settings import Settings
from helpers import postgres
from helpers.command_line import refused, run_cli
from helpers.interruption import interrupt_at
from helpers.small_disk import fill, small_disk

optuna = pytest.importorskip("optuna")
SETTINGS = {"epochs": 4, "batch_size": 16, "model": "tiny_cnn"}
WORDS = ("--epochs", 4, "--batch-size", 16, "--model", "tiny_cnn")


@pytest.fixture(scope="module")
def tuned(colours: Path, tmp_path_factory: pytest.TempPathFactory, quickly: None):
    assert quickly is None
    out = tmp_path_factory.mktemp("tuned") / "study"
    return fv.tune(colours, trials=6, out=out, **SETTINGS)


def trials_of(path: Path) -> list[dict[str, Any]]:
    """What a study says of its trials, without the time that they took."""
    record = json.loads((path / "study.json").read_text())
    return [{**one, "seconds": None} for one in record["trials"]]


def test_the_first_trial_has_the_default_settings(tuned):
    first = tuned.results["trials"][0]
    recipe, usual = models.find("tiny_cnn").recipe(pretrained=False), Settings()
    assert first["default"]
    assert first["settings"] == {
        "lr": recipe.lr,
        "weight_decay": usual.weight_decay,
        "augment": usual.augment,
        "label_smoothing": usual.label_smoothing,
    }
    assert len(tuned.results["trials"]) == 6
    drawn = [tuple(one["settings"].items()) for one in tuned.results["trials"]]
    assert len(set(drawn)) == 6


def test_the_winner_is_the_best_on_the_validation_split_and_its_test_split_is_locked(tuned):
    complete = [one for one in tuned.results["trials"] if one["ended"] == "complete"]
    best = max(one["value"] for one in complete)
    winner = tuned.winner
    assert tuned.results["winner"]["value"] == best
    assert winner.results["valid"]["accuracy"]["value"] == best  # trained anew: the same bits
    assert winner.results["test"] is None
    assert not winner.ledger.entries
    for name, value in tuned.results["winner"]["settings"].items():
        assert getattr(winner.settings, name) == value


def test_all_trials_share_one_split_and_keep_no_weights(tuned):
    split = (tuned.path / "data" / "split.csv").read_bytes()
    assert (tuned.path / "winner" / "split.csv").read_bytes() == split
    kept = {path.name for path in (tuned.path / "trial-0000").iterdir()}
    assert kept == {"config.yaml", "curves.csv", "predictions_valid.csv"}


def test_the_page_shows_trials_importance_and_optimism_in_words(tuned):
    page = tuned.report_path.read_text(encoding="utf-8")
    for text in ("The trials", "0 (default)", "How much of the lead is luck", "is luck"):
        assert text in page
    assert "accuracy" in " ".join(tuned.results["in_words"])
    assert tuned.results["optimism"]["corrected"] <= tuned.results["optimism"]["value"]
    assert set(tuned.results["importance"]) <= set(tuned.results["space"])


@pytest.mark.slow
def test_the_command_repeats_and_goes_on_where_it_was_interrupted(
    colours, tuned, tmp_path, monkeypatch
):
    """Slow: five trials and a winner. The same trials, although one was stopped in its middle."""
    out = tmp_path / "study"
    code, _, err = run_cli("tune", colours, "--trials", 2, *WORDS, "--seed", 0, "--out", out)
    assert code == 0, err
    assert trials_of(out) == trials_of(tuned.path)[:2]
    out = tmp_path / "other"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        with pytest.raises(Cancelled, match=r"interrupted in trial-0000 at step 6.*same command"):
            fv.tune(colours, trials=2, out=out, **SETTINGS)
    code, printed, err = run_cli("tune", colours, "--trials", 2, *WORDS, "--out", out)
    assert code == 0, err
    assert "trial 0: its process ended; going on with it" in printed
    assert "foveate test" in printed
    assert trials_of(out) == trials_of(tuned.path)[:2]


@pytest.mark.slow
def test_a_trial_that_diverges_does_not_end_the_study(colours, tmp_path, monkeypatch):
    """Slow: two trials and a winner."""
    learn, seen = module.learn, []

    def diverging(run: RunFolder, *words: Any, **options: Any) -> Any:
        seen.append(run.path.name)
        if run.path.name == "trial-0001":
            raise Diverged("the loss is nan: training has diverged")
        return learn(run, *words, **options)

    monkeypatch.setattr(module, "learn", diverging)
    found = fv.tune(colours, trials=2, out=tmp_path / "study", **SETTINGS)
    assert seen == ["trial-0000", "trial-0001"]
    assert [one["ended"] for one in found.results["trials"]] == ["complete", "diverged"]
    assert found.results["winner"]["number"] == 0


def test_a_study_of_which_no_trial_ends_says_so(colours, tmp_path, monkeypatch):
    def diverging(*_: Any, **__: Any) -> Any:
        raise Diverged("the loss is nan: training has diverged")

    monkeypatch.setattr(module, "learn", diverging)
    with pytest.raises(RunError, match="no trial came to its end"):
        fv.tune(colours, trials=2, out=tmp_path / "study", **SETTINGS)


# --- bad input


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "a number of trials or of minutes is expected"),
        ({"trials": 0}, "trials: a number from 1"),
        ({"minutes": 0}, "minutes: a number above 0"),
        ({"trials": 2, "study": "nowhere"}, "study: the address of a database is expected"),
        ({"trials": 2, "study": "postgresql+pg8000://foveate@127.0.0.1:9/x"}, "cannot be used"),
        ({"trials": 2, "model": "probe"}, "nothing is left to search"),
        ({"trials": 2, "lr": -1}, "lr: "),
    ],
)
def test_settings_that_cannot_work(colours, tmp_path, options, expected):
    with pytest.raises(SettingError, match=expected):
        fv.tune(colours, out=tmp_path / "study", **options)


def test_without_optuna_the_message_says_what_to_install(colours, monkeypatch):
    original = builtins.__import__

    def without(name: str, *words: Any, **options: Any) -> Any:
        if name.split(".")[0] == "optuna":
            raise ImportError(name)
        return original(name, *words, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'foveate[tune]'" in refused("tune", colours, "--trials", 2)


@pytest.fixture
def unfinished(tuned, tmp_path: Path) -> Path:
    """A study before its winner was trained."""
    out = tmp_path / "study"
    shutil.copytree(tuned.path, out)
    (out / "study.json").unlink()
    shutil.rmtree(out / "winner")
    return out


def test_a_finished_study_and_one_of_other_settings_are_not_touched(colours, tuned, unfinished):
    message = refused("tune", colours, "--trials", 6, *WORDS, "--out", tuned.path)
    assert "would be overwritten" in message
    message = refused("tune", colours, "--trials", 6, *WORDS, "--lr", 0.1, "--out", unfinished)
    assert "lr None, not 0.1" in message
    message = refused("cross-validate", colours, *WORDS, "--out", unfinished)
    assert "another command began this folder" in message


def test_a_study_of_other_data_is_refused(folder, tmp_path, monkeypatch):
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    out = tmp_path / "study"
    with monkeypatch.context() as patch:
        patch.setattr(module, "learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fv.tune(folder, trials=2, out=out, **SETTINGS)
    Image.new("RGB", (16, 16), (180, 30, 70)).save(folder / "red" / "new.png")
    message = refused("tune", folder, "--trials", 2, *WORDS, "--out", out)
    assert "this study is of other data" in message


def test_a_machine_with_another_version_is_refused(colours, unfinished):
    changed = (unfinished / "trials.json").read_text().replace('"version": "', '"version": "9.')
    (unfinished / "trials.json").write_text(changed)
    message = refused("tune", colours, "--trials", 6, *WORDS, "--out", unfinished)
    assert "foveate 9." in message
    assert "their results would not compare" in message


def test_half_a_line_of_a_killed_process_does_not_spoil_the_journal(colours, unfinished, tuned):
    journal = unfinished / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":5,"worker')
    found = fv.tune(colours, trials=6, out=unfinished, **SETTINGS)
    assert trials_of(found.path) == trials_of(tuned.path)
    damaged = unfinished.with_name("damaged")
    shutil.copytree(unfinished, damaged)
    (damaged / "study.json").unlink()
    (damaged / "study.journal").write_bytes(b"no JSON\n" + whole)
    message = refused("tune", colours, "--trials", 6, *WORDS, "--out", damaged)
    assert "the journal of the study is damaged" in message


def test_a_full_shared_disk_stops_the_study_and_loses_nothing(colours, tuned, tmp_path):
    with small_disk(tmp_path / "disk", 4096) as disk:
        out = disk / "study"
        shutil.copytree(tuned.path, out, ignore=shutil.ignore_patterns("winner", "study.json"))
        whole = (out / "study.journal").read_bytes()
        filler = fill(disk)
        with pytest.raises(StorageError, match=r"No space left on device"):
            fv.tune(colours, trials=8, out=out, **SETTINGS)
        assert (out / "study.journal").read_bytes().startswith(whole)
        assert (out / "study.journal").read_bytes().endswith(b"\n")
        filler.unlink()


# --- several processes

CHILD = """
    import os, signal, sys
    import numpy as np
    import torch
    import foveate as fv
    from foveate.experiment import probing
    from foveate.experiment.trials import tune
    from foveate.metrics import resampling

    torch.set_num_threads(1)
    resampling.resample.__kwdefaults__["resamples"] = 40
    probing.baseline = lambda task, prepared, split, seed, reporter: (
        [fv.Label(0, np.eye(3)[0])] * len(prepared.splits[split])
    )
    data, out, url, killed_in = sys.argv[1], sys.argv[2], sys.argv[3] or None, sys.argv[4]
    from foveate.experiment.trials import study
    if url:
        study.HEARTBEAT_SECONDS, study.GRACE_SECONDS = 1, 3
    from foveate.training import fit
    original = fit.steps
    def steps(*args, **kwargs):
        for step in original(*args, **kwargs):
            if step.number == 5 and os.path.exists(f"{out}/{killed_in}"):
                os.kill(os.getpid(), signal.SIGKILL)
            yield step
    if killed_in:
        fit.steps = steps
    fv.tune(data, trials=4, study=url, out=out, **SETTINGS)
"""


def start(data: Path, out: Path, url: str = "", killed_in: str = "") -> subprocess.Popen[str]:
    script = textwrap.dedent(CHILD).replace("SETTINGS", repr({**SETTINGS, "save_seconds": 0.0}))
    words = [sys.executable, "-c", script, str(data), str(out), url, killed_in]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], *codes: int) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode in codes, errors


@pytest.mark.slow
def test_two_processes_share_a_study_and_a_killed_trial_is_taken_up(colours, tuned, tmp_path):
    """Slow: three processes import torch and train; one is killed in the first trial."""
    out = tmp_path / "study"
    ended(start(colours, out, killed_in="trial-0000"), -signal.SIGKILL)
    both = [start(colours, out), start(colours, out)]
    for process in both:
        ended(process, 0)
    found = trials_of(out)
    assert [one["number"] for one in found] == [0, 1, 2, 3]
    assert all(one["ended"] != "killed" for one in found)
    assert found[0] == trials_of(tuned.path)[0]  # the same bits, resumed from its checkpoint


@pytest.mark.slow
def test_machines_share_a_study_in_a_real_postgresql(colours, tmp_path):
    """Slow: two folders stand for two machines; the process of one is killed in a trial."""
    with postgres.server() as url:
        folders = [tmp_path / name / "study" for name in ("one", "other")]
        ended(start(colours, folders[0], url, killed_in="trial-0001"), -signal.SIGKILL)
        ended(start(colours, folders[1], url), 0)
        found = trials_of(folders[1])
        assert sum(one["ended"] == "killed" for one in found) == 1
        assert sum(one["ended"] != "killed" for one in found) == 4
        killed = next(one for one in found if one["ended"] == "killed")
        again = [one for one in found if one["settings"] == killed["settings"]]
        assert len(again) == 2  # the same settings, tried again on the other machine
        record = json.loads((folders[1] / "study.json").read_text())
        assert record["optimism"]["trials"] == len(
            list(folders[1].glob("trial-*/predictions_valid.csv"))
            + ([0] if record["winner"]["number"] == 0 else [])  # trained anew on this machine
        )
        message = refused(
            "tune", "digits", "--trials", 4, *WORDS, "--study", url, "--out", tmp_path / "study"
        )
        assert "this study is of other data" in message


# --- search spaces


@pytest.mark.parametrize("name", sorted(tasks.all()))
def test_each_task_and_model_declares_ranges_around_its_defaults(name):
    task = tasks.find(name)
    for model in models.all():
        for pretrained in {False, model.has_weights}:
            recipe = model.recipe(pretrained=pretrained, dense=name != "classification")
            settings = Settings.of(**{**task.default_settings, "task": name})
            for setting, what in {**recipe.search_space(), **task.search_space}.items():
                default = getattr(settings, setting)
                default = getattr(recipe, setting) if default is None else default
                if isinstance(what, SearchRange):
                    assert what.low <= default <= what.high, (model.name, setting)
                    tried = [what.low, what.high]
                else:
                    assert default in what.options
                    tried = list(what.options)
                for value in tried:
                    Settings.of(**{setting: value})


def test_settings_that_the_user_gives_are_not_searched():
    settings = Settings.of(task="classification", model="tiny_cnn", lr=0.1)
    assert "lr" not in search_space(settings, {"lr": 0.1})
    assert "weight_decay" in search_space(settings, {"lr": 0.1})
