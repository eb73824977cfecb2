"""Runs and their data move: whole paths are recorded, and the content decides what is the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

import foveate as fv
from foveate.errors import DataError, Interrupted, RunError, SettingError
from foveate.experiment.data_place import whole_paths
from foveate.training import checkpoint, fit
from helpers.command_line import hurry, refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = {"epochs": 2, "batch_size": 16, "save_seconds": 0.0}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    hurry(monkeypatch)


def config(run: Path, name: str = "config.yaml") -> dict:
    return yaml.safe_load((run / name).read_text())


@pytest.fixture
def interrupted(folder: Path, tmp_path: Path, monkeypatch) -> Path:
    """A run that was stopped after two steps of six."""
    original = fit.steps

    def stopped(*args, **kwargs):
        for step in original(*args, **kwargs):
            if step.number == 1:
                import signal

                signal.raise_signal(signal.SIGINT)
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(fit, "steps", stopped)
        with pytest.raises(Interrupted):
            fv.train(folder, out=tmp_path / "run", **SETTINGS)
    return tmp_path / "run"


def moved(folder: Path) -> Path:
    place = folder.parent / "elsewhere" / "images"
    place.parent.mkdir()
    shutil.move(folder, place)
    return place


@pytest.mark.parametrize("written", ["colours", "./x/../colours", "~/colours", "link"])
def test_a_run_records_the_whole_path_of_its_data(written, folder, tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    run = fv.train(written, out="run", epochs=1)
    place = str(tmp_path / "link" if written == "link" else folder)
    assert config(run.path)["data"] == place
    assert json.loads((run.path / "data.json").read_text())["origin"] == place
    monkeypatch.chdir("/")
    fv.test(tmp_path / "run")


def test_a_path_through_a_link_to_elsewhere_stays_the_right_one(folder, tmp_path, monkeypatch):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "away")
    shutil.copytree(folder, tmp_path / "far" / "colours")
    monkeypatch.chdir(tmp_path)
    run = fv.train("near/../colours", out="run", epochs=1)  # not ./colours
    assert (Path(config(run.path)["data"]) / "red").samefile(tmp_path / "far" / "colours" / "red")


def test_the_name_of_a_known_dataset_stays_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = fv.train("digits", out="run", epochs=0.1, size=8)
    assert config(run.path)["data"] == "digits"
    fv.test(run)


def test_moved_data_is_named_once_and_found_from_then_on(folder, tmp_path, monkeypatch):
    run = fv.train(folder, out=tmp_path / "run", epochs=1).path
    place = moved(folder)
    for command in ("test", "report"):
        if command == "test":
            error = refused("test", run)
            assert f"{folder}: the data of this run is not there" in error
            assert "--data PLACE" in error
        else:
            code, text, _ = run_cli("report", run)
            assert code == 0
            assert "written without images" in text
    monkeypatch.chdir(place.parent)
    code, text, err = run_cli("report", run, "--data", "images")
    assert code == 0, err
    assert f"the same data, at its new place: {place}" in text
    assert config(run)["data"] == str(place)
    assert json.loads((run / "data.json").read_text())["origin"] == str(place)
    assert "without images" not in run_cli("report", run)[1]
    assert run_cli("test", run)[0] == 0


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another folder"])
def test_what_is_left_at_the_old_place_does_not_hide_that_the_data_moved(left, folder, tmp_path):
    """The folder of a disk that is not mounted is empty."""
    run = fv.train(folder, out=tmp_path / "run", epochs=1)
    place = moved(folder)
    if left != "nothing":
        folder.mkdir()
    if left == "another folder":
        shutil.copytree(place / "red", folder / "red")
        shutil.copytree(place / "red", folder / "green")
    assert "--data" in refused("test", run.path)
    assert run_cli("test", run.path, "--data", place)[0] == 0


def test_whole_paths_are_those_of_files_and_folders_only(tmp_path, monkeypatch):
    (tmp_path / "download").mkdir()
    (tmp_path / "clip").mkdir()
    (tmp_path / "split.csv").touch()
    monkeypatch.chdir(tmp_path)
    given = {
        "data": "mnist", "root": "download", "split": "split.csv", "weights": "download",
        "text_encoder": "clip:clip", "epochs": 3,
    }  # fmt: skip
    assert whole_paths(given) == {
        **given, "root": str(tmp_path / "download"), "split": str(tmp_path / "split.csv"),
        "text_encoder": f"clip:{tmp_path / 'clip'}",
    }  # fmt: skip


def test_a_test_takes_the_new_place_even_if_it_was_opened_before(folder, tmp_path):
    run = fv.train(folder, out=tmp_path / "run", epochs=1)
    first = run.test()
    place = moved(folder)
    assert fv.test(run, data=place) == first
    assert config(run.path)["data"] == str(place)
    assert len(run.ledger.entries) == 1


def test_other_data_is_not_the_data_of_the_run(folder, tmp_path):
    run = fv.train(folder, out=tmp_path / "run", epochs=1)
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    place = moved(folder)
    (place / "red" / "000.png").write_bytes((place / "red" / "001.png").read_bytes())
    for command in (["test", run.path], ["report", run.path], ["train", "--resume", run.path]):
        error = refused(*command, "--data", place)
        assert f"{place}: " in error
        assert "this is not the data that the run began with" in error
        assert "red/000.png (changed)" in error
        nowhere = refused(*command, "--data", tmp_path / "nowhere")
        assert f"{tmp_path / 'nowhere'}: the data of this run is not there" in nowhere
    with pytest.raises(RunError, match="not the data that the run began with"):
        run.report(data=place)
    assert run.settings.data == str(folder)
    assert {
        path.name: path.read_bytes() for path in run.path.iterdir() if path.name in before
    } == before
    assert not run.ledger.entries


@pytest.mark.parametrize("way", ["command", "python", "python, in memory"])
def test_an_interrupted_run_goes_on_with_moved_data_to_the_same_bits(
    way, interrupted, folder, tmp_path
):
    whole = fv.train(folder, out=tmp_path / "whole", **SETTINGS)
    place = moved(folder)
    assert "--data PLACE" in refused("train", "--resume", interrupted)
    if way == "command":
        code, text, err = run_cli("train", "--resume", interrupted, "--data", place)
        assert code == 0, err
        assert "the same data, at its new place" in text
    elif way == "python":
        fv.resume(interrupted, data=place)
    else:
        fv.resume(interrupted, data=fv.load(place))
    assert config(interrupted)["data"] == str(place)
    one, other = (
        checkpoint.read(path / "best.safetensors")[0] for path in (interrupted, whole.path)
    )
    assert all((one[key] == other[key]).all() for key in one)
    fv.test(interrupted)


def test_the_command_at_the_new_place_tells_how_to_go_on(interrupted, folder):
    place = moved(folder)
    words = ["--epochs", 2, "--batch-size", 16, "--set", "save_seconds=0"]
    error = refused("train", place, "--out", interrupted, *words)
    assert f"foveate train --resume {interrupted} --data {place}, if its data was moved" in error
    assert "--data" not in refused("train", place, "--out", interrupted, "--epochs", 3)


def test_a_run_without_a_checkpoint_begins_anew_at_the_new_place(interrupted, folder):
    (interrupted / "last.safetensors").unlink()
    place = moved(folder)
    with pytest.raises(DataError, match="not there"):
        fv.resume(interrupted)
    fv.resume(interrupted, data=place)
    assert config(interrupted)["data"] == str(place)


def test_a_run_folder_may_be_renamed_and_copied(interrupted, folder, tmp_path, monkeypatch):
    copy = tmp_path / "a b" / "copy"
    shutil.copytree(interrupted, copy)
    shutil.rmtree(interrupted)
    monkeypatch.chdir(copy.parent)
    assert run_cli("train", "--resume", "copy")[0] == 0
    copy.rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    assert run_cli("test", "renamed")[0] == 0
    assert run_cli("report", "renamed")[0] == 0
    assert run_cli("predict", "renamed", folder / "red" / "000.png")[0] == 0


# --- other settings


def test_resume_names_the_settings_that_cannot_change(interrupted):
    error = refused("train", "--resume", interrupted, "--lr", "0.1", "--epochs", 20)
    assert f"{interrupted}: a run goes on with the settings that it began with" in error
    assert "lr 0.005, not 0.1" in error
    assert "epochs 2.0, not 20.0" in error
    assert "batch_size 16, not 8" in refused("train", "--resume", interrupted, "--batch-size", 8)
    assert "seed 0, not 3" in refused("train", "--resume", interrupted, "--seed", 3)
    assert "clip by default, not 2" in refused("train", "--resume", interrupted, "--set", "clip=2")
    assert "flip" in refused("train", "--resume", interrupted, "--no-flip")
    assert "freeze False, not True" in refused(
        "train", "--resume", interrupted, "--set", "freeze=true"
    )
    assert "allow_leak False, not True" in refused("train", "--resume", interrupted, "--allow-leak")
    assert "there is no setting 'x'" in refused("train", "--resume", interrupted, "--set", "x=1")
    with pytest.raises(RunError, match=r"epochs 2\.0, not 3\.0"):
        fv.resume(interrupted, epochs=3)


def test_settings_that_equal_the_record_pass(interrupted, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    words = ["--epochs", 2, "--batch-size", 16, "--seed", 0, "--task", "classification"]
    code, _, err = run_cli("train", "--resume", interrupted, *words, "--set", "save_seconds=0")
    assert code == 0, err
    fv.resume(interrupted, epochs=2)


def test_resume_takes_no_data_and_no_out_and_train_no_place(interrupted, folder, tmp_path):
    error = refused("train", folder, "--resume", interrupted)
    assert f"--data {folder}" in error
    assert "own folder" in refused("train", "--resume", interrupted, "--out", tmp_path / "new")
    assert "--resume RUN --data PLACE" in refused("train", folder, "--data", folder)
    with pytest.raises(SettingError):
        fv.resume(interrupted, epochs="many")
