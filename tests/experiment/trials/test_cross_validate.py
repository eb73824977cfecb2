"""Each image is tested once by a model that never saw it, by one process or by several."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.errors import Cancelled, DataError, RunError, SettingError
from foveate.experiment.evaluate import Scored
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trials import folder as trials_folder
from foveate.metrics.classification import ClassificationMetric
from helpers.command_line import refused, run_cli
from helpers.interruption import interrupt_at

SETTINGS = {"epochs": 2, "batch_size": 8, "model": "tiny_cnn"}
WORDS = ("--folds", 3, "--epochs", 2, "--batch-size", 8, "--model", "tiny_cnn")


@pytest.fixture(scope="module")
def crossed(colours: Path, tmp_path_factory: pytest.TempPathFactory, quickly: None):
    assert quickly is None
    out = tmp_path_factory.mktemp("crossed") / "cv"
    return fv.cross_validate(colours, folds=3, out=out, **SETTINGS)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_is_predicted_once_by_a_model_that_never_saw_it(crossed, colours):
    table = rows(crossed.path / "predictions.csv")
    ids = [row["id"] for row in table]
    assert sorted(ids) == sorted(sample.id for sample in fv.load(colours))
    for row in table:
        split = {one["id"]: one["split"] for one in rows(crossed.path / row["run"] / "split.csv")}
        assert split[row["id"]] == "test"


def test_the_metrics_are_those_of_all_images(crossed):
    """An oracle by hand: accuracy is a share of rows, its interval that of the pooled rows."""
    table = rows(crossed.path / "predictions.csv")
    target, predicted = (
        np.array([int(row[f"stats_{name}"]) for row in table]) for name in ("target", "predicted")
    )
    accuracy = crossed.results["test"]["accuracy"]
    assert accuracy["value"] == pytest.approx((target == predicted).mean())
    assert accuracy["n"] == len(table)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    by_fold = [fold["test"]["accuracy"]["value"] for fold in crossed.results["by_fold"]]
    spread = crossed.results["spread"]["accuracy"]
    assert spread["mean"] == pytest.approx(np.mean(by_fold))
    assert spread["sd"] == pytest.approx(np.std(by_fold, ddof=1))


def test_each_fold_is_opened_once_and_noted_in_its_ledger(crossed):
    for name in crossed.results["runs"]:
        (entry,) = RunFolder.open(crossed.path / name).ledger.entries
        assert entry.result is not None


@pytest.mark.slow
def test_other_seeds_train_on_the_same_folds(colours, crossed, tmp_path):
    """Slow: six models are trained."""
    both = fv.cross_validate(colours, folds=3, seeds=2, out=tmp_path / "cv", **SETTINGS)
    one, other = (
        {row["id"]: row["split"] for row in rows(both.path / name / "split.csv")}
        for name in ("fold-2", "fold-2-seed-1")
    )
    assert one == other
    values = [one["metrics"]["log_loss"] for one in both.results["by_seed"]]
    assert len(values) == 2
    assert both.results["seed_spread"]["log_loss"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert values[0] != values[1]
    assert both.results["test"] == crossed.results["test"]  # the first seed, as without others
    assert "Spread over seeds" in both.report_path.read_text(encoding="utf-8")


def test_the_folds_predict_together_by_the_mean_of_their_probabilities(crossed, colours):
    path = colours / "red" / "000.png"
    each = [run.predict(path).probabilities for run in crossed.runs]
    mean = crossed.predict(path)
    for name, value in mean.probabilities.items():
        assert value == pytest.approx(np.mean([one[name] for one in each]), abs=2e-6)
    code, out, err = run_cli("predict", crossed.path, path)
    assert code == 0, err
    assert mean.class_name in out


def test_the_page_says_what_to_believe(crossed):
    page = crossed.report_path.read_text(encoding="utf-8")
    for text in (
        ": cross-validated in 3 folds",
        "60 test images",
        "Spread over folds",
        "The interval to quote is the one over all images",
        "Labels that look wrong",
    ):
        assert text in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_a_planted_wrong_label_is_found(folder, tmp_path):
    """Slow: three models are trained."""
    shutil.rmtree(folder / "green")
    shutil.move(folder / "red" / "003.png", folder / "blue" / "wrong.png")
    result = fv.cross_validate(folder, folds=3, out=tmp_path / "cv", **{**SETTINGS, "epochs": 20})
    assert result.label_errors[0] == "blue/wrong.png"
    assert rows(tmp_path / "cv" / "label_errors.csv")[0]["id"] == "blue/wrong.png"


@pytest.mark.slow
def test_the_command_goes_on_where_it_was_interrupted(colours, crossed, tmp_path, monkeypatch):
    out = tmp_path / "cv"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(Cancelled, match=r"interrupted in fold-1 at step 2.*same command"):
            fv.cross_validate(colours, folds=3, out=out, **SETTINGS)
    first = (out / "fold-1" / "last.safetensors").stat().st_ino
    code, printed, err = run_cli("cross-validate", colours, *WORDS, "--out", out)
    assert code == 0, err
    assert "going on with" in printed
    assert "Cross-validated in 3 folds" in printed
    assert first != (out / "fold-1" / "last.safetensors").stat().st_ino
    record = json.loads((out / "cross_validation.json").read_text())
    assert record["test"] == crossed.results["test"]  # the same bits as without the interruption


def test_a_finished_or_another_cross_validation_is_not_touched(colours, crossed, tmp_path):
    message = refused("cross-validate", colours, *WORDS, "--out", crossed.path)
    assert "would be overwritten" in message
    out = tmp_path / "cv"
    shutil.copytree(crossed.path, out)
    (out / "cross_validation.json").unlink()
    message = refused("cross-validate", colours, *WORDS, "--lr", 0.1, "--out", out)
    assert "lr None, not 0.1" in message
    changed = (out / "trials.json").read_text().replace('"version": "', '"version": "9.')
    (out / "trials.json").write_text(changed)
    message = refused("cross-validate", colours, *WORDS, "--out", out)
    assert "their results would not compare" in message
    assert "foveate cross-validate command again" in refused("predict", out, colours)


@pytest.mark.slow
def test_data_that_changes_between_two_folds_is_refused(folder, tmp_path):
    out = tmp_path / "cv"
    done = fv.cross_validate(folder, folds=3, out=out, **SETTINGS).path
    (done / "cross_validation.json").unlink()
    shutil.rmtree(done / "fold-3")
    Image.new("RGB", (16, 16), (180, 30, 70)).save(folder / "red" / "new.png")
    with pytest.raises(RunError, match="the data changed between fold-1 and fold-3"):
        fv.cross_validate(folder, folds=3, out=out, **SETTINGS)


def test_a_folder_of_the_user_is_left_as_it_is(colours, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert "would be overwritten" in refused("cross-validate", colours, *WORDS, "--out", out)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    message = refused("cross-validate", colours, *WORDS, "--out", out / "notes.txt")
    assert "would be overwritten" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"folds": 2}, "folds: a number from 3"),
        ({"folds": 1001}, "folds: a number from 3"),
        ({"seeds": 0}, "seeds: a number from 1"),
        ({"fold": "1/3"}, "fold: cross-validation makes its own folds"),
        ({"split": "split.csv"}, "split: cross-validation makes its own folds"),
        ({"lr": -1}, "lr: "),
    ],
)
def test_settings_that_cannot_work(colours, tmp_path, options, expected):
    with pytest.raises(SettingError, match=expected):
        fv.cross_validate(colours, out=tmp_path / "cv", **options)
    assert not (tmp_path / "cv").exists()


def test_torchrun_is_refused(colours, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SettingError, match="Give the command itself several times"):
        fv.cross_validate(colours, folds=3, out=tmp_path / "cv", **SETTINGS)
    assert not (tmp_path / "cv").exists()


def test_data_that_cannot_be_folded_leaves_nothing_behind(folder, tmp_path):
    for path in sorted((folder / "red").iterdir())[4:]:
        path.unlink()
    with pytest.raises(DataError, match=r"each of 5 splits needs one(.|\n)*'red': 4 images"):
        fv.cross_validate(folder, out=tmp_path / "cv", **SETTINGS)
    for name in ("red", "green"):
        shutil.rmtree(folder / name)
    with pytest.raises(DataError, match="two classes"):
        fv.cross_validate(folder, folds=3, out=tmp_path / "cv", **SETTINGS)
    assert not (tmp_path / "cv").exists()


CHILD = """
    import os, signal, sys
    import numpy as np
    import torch
    import foveate as fv
    from foveate.experiment import probing
    from foveate.metrics import resampling
    from foveate.training import fit

    torch.set_num_threads(1)
    resampling.resample.__kwdefaults__["resamples"] = 40
    probing.baseline = lambda task, prepared, split, seed, reporter: (
        [fv.Label(0, np.eye(3)[0])] * len(prepared.splits[split])
    )
    killed_in = sys.argv[3] if len(sys.argv) > 3 else None
    original = fit.steps
    def steps(*args, **kwargs):
        for step in original(*args, **kwargs):
            if killed_in and step.number == 3 and os.path.exists(f"{sys.argv[2]}/{killed_in}"):
                os.kill(os.getpid(), signal.SIGKILL)
            yield step
    fit.steps = steps
    fv.cross_validate(sys.argv[1], folds=3, out=sys.argv[2], **SETTINGS)
"""


def start(*words: object) -> subprocess.Popen[str]:
    script = textwrap.dedent(CHILD).replace("SETTINGS", repr(SETTINGS))
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)], stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_processes_share_the_folds_and_a_killed_one_loses_nothing(colours, crossed, tmp_path):
    """Slow: three processes import torch and train. One is killed in its second fold."""
    out = tmp_path / "cv"
    killed = start(colours, out, "fold-2")
    other = start(colours, out)
    _, errors = killed.communicate(timeout=200)
    assert killed.returncode in (-signal.SIGKILL, 0), errors  # 0: the other one took fold 2
    _, errors = other.communicate(timeout=200)
    assert other.returncode == 0, errors
    record = json.loads((out / "cross_validation.json").read_text())
    assert record["test"] == crossed.results["test"]
    assert [len(RunFolder.open(out / f"fold-{k}").ledger.entries) for k in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.slow
def test_a_process_waits_for_a_fold_and_takes_it_up_when_its_process_is_killed(
    colours, crossed, tmp_path, monkeypatch
):
    """Slow: a process that imports torch is killed while this one waits for its fold."""
    out, seen = tmp_path / "cv", []
    shutil.copytree(crossed.path, out)
    (out / "cross_validation.json").unlink()
    shutil.rmtree(out / "fold-1")
    script = """
import filelock, sys, time
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(99)
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(out / ".fold-1.lock")], stdout=subprocess.PIPE, text=True
    )

    def sleep(seconds: float) -> None:
        seen.append(seconds)
        holder.kill()
        holder.wait()

    monkeypatch.setattr(trials_folder.time, "sleep", sleep)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        result = fv.cross_validate(colours, folds=3, out=out, **SETTINGS)
    assert seen
    assert result.results["test"] == crossed.results["test"]


def test_the_lift_is_that_of_the_pooled_rows():
    """Where a baseline predicts like the model, the lift is 0 with an interval around it."""
    stats = {
        "target": np.arange(40) % 2,
        "predicted": np.zeros(40, np.int64),
        "likelihood": np.full(40, 0.5),
        "confidence": np.full(40, 0.5),
    }
    scored = Scored(ClassificationMetric(2), stats, np.arange(40))
    lift = scored.lift_over(scored)["accuracy"]
    assert (lift["value"], lift["low"] < 0 < lift["high"]) == (0.0, True)
