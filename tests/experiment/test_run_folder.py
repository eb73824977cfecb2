"""A run folder belongs to one run, and its weights are hashed once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

import foveate as fv
from foveate.errors import DataError, RunError
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.run_lock import locked
from foveate.experiment.split import write_split
from foveate.progress import NullReporter
from foveate.settings import Settings
from foveate.training import checkpoint
from helpers.command_line import refused

pytestmark = pytest.mark.usefixtures("one_thread")


def take_at_once(paths, settings=lambda number: Settings()):
    """The folders that four threads get which ask at once, held until all have asked."""
    taken, asked = [], threading.Barrier(4)

    def take(number):
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(RunError):
                run = RunFolder.taken(paths[number], settings(number), "data")
                taken.append(stack.enter_context(run).path)
            asked.wait()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


@pytest.mark.parametrize("exists", [True, False])
def test_of_many_runs_one_gets_a_new_or_empty_folder(exists, tmp_path):
    for attempt in range(20):
        path = tmp_path / str(attempt)
        if exists:
            path.mkdir()
        assert take_at_once([path] * 4) == [path]


def test_runs_without_a_path_never_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(set(take_at_once([None] * 4))) == 4


def test_the_same_command_goes_on_in_its_own_folder_and_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "run", None):
        asked = Settings(epochs=3, command="foveate train data --epochs 3")
        with RunFolder.taken(path, asked, "data") as first:
            pass
        typed_otherwise = Settings(epochs=3, command="foveate train --epochs=3 data")
        with RunFolder.taken(path, typed_otherwise, "data") as again:
            assert again.path == first.path
        if path is not None:
            with (
                pytest.raises(
                    RunError, match=r"unfinished run with other settings .*epochs 3.0, not 4"
                ),
                RunFolder.taken(path, Settings(epochs=4), "data"),
            ):
                pass
            continue
        with RunFolder.taken(path, Settings(epochs=4), "data") as other:
            assert other.path != first.path
        with RunFolder.taken(path, Settings(epochs=3), "data", new=True) as new:
            assert new.path not in (first.path, other.path)


def test_a_folder_that_was_taken_is_not_empty_for_another_and_can_be_given_back(tmp_path):
    with RunFolder.taken(tmp_path / "run", Settings(), "data") as first:
        with (
            pytest.raises(RunError, match=rf"in use by process {os.getpid()} on"),
            RunFolder.taken(first.path, Settings(), "data"),
        ):
            pass
        first.discard_if_untrained()
    assert not first.path.exists()


def test_a_folder_with_a_file_of_the_users_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with (
        pytest.raises(RunError, match="exists already"),
        RunFolder.taken(tmp_path, Settings(), "data"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_killed_process_frees_its_lock_at_once_and_leaves_no_temporary_file(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from foveate import atomic_io\n"
        "from foveate.experiment.run_lock import locked\n"
        "with locked(Path(sys.argv[1]), []), atomic_io.new_file(Path(sys.argv[1], 'data.json')):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    assert {path.name[:9] for path in tmp_path.iterdir()} == {".lock", ".owner.js", ".foveate-"}
    with locked(tmp_path, ["data.json"]):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".owner.json"}


def test_what_a_killed_process_was_writing_is_removed_by_both_ways_of_going_on(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / ".lock").touch()
    with pytest.raises(RunError, match="Give the same foveate train command again"):
        RunFolder.open(path)
    left = path / f".foveate-{'0' * 16}-results.json.tmp"
    left.touch()
    with RunFolder.taken(path, Settings(), "data") as run:
        assert not left.exists()
    left.touch()
    with run.locked():
        assert not left.exists()


def test_no_link_is_followed_by_the_lock(tmp_path):
    thesis, run = tmp_path / "thesis", tmp_path / "run"
    thesis.write_text("years of work")
    run.mkdir()
    (run / ".lock").symlink_to(thesis)
    (run / ".owner.json").symlink_to(thesis)
    with pytest.raises(RunError), locked(run, []):
        pass
    assert thesis.read_text() == "years of work"


def test_weights_are_hashed_again_only_when_the_file_changes(trained, tmp_path, monkeypatch):
    run = fv.Run.open(shutil.copytree(trained.path, tmp_path / "run"))
    hashed, original = [], checkpoint.digest

    def counting(path):
        hashed.append(path)
        return original(path)

    monkeypatch.setattr(checkpoint, "digest", counting)
    task, net = run.load()
    for _ in range(5):
        assert run.load() == (task, net)
    assert len(hashed) == 1
    run.save_model(task, net)
    run.load()
    assert len(hashed) == 2


def test_samples_that_share_an_id_are_refused_by_their_names_before_decoding(tmp_path, monkeypatch):
    data = fv.load("digits")
    repeated = replace(data, samples=[*data.samples[:50], data.samples[3], data.samples[7]])

    def decoded(*_, **__):
        raise AssertionError("images were decoded")

    monkeypatch.setattr("foveate.data.cache.decoding.decode", decoded)
    monkeypatch.setattr("foveate.data.cache.decoding.survey", decoded)
    names = f"'{data[3].id}', '{data[7].id}'"
    for use in (
        lambda: fv.train(repeated, out=tmp_path / "run"),
        lambda: fv.audit(repeated),
        lambda: write_split(repeated, tmp_path / "split.csv", NullReporter(), Settings()),
    ):
        with pytest.raises(DataError, match=f"several samples have the id {names}"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_gradients_summed_over_more_batches_than_there_are_are_refused(colours, tmp_path):
    with pytest.raises(fv.FoveateError, match="at most the 6 batches of this run, got 100"):
        fv.train(colours, epochs=2, batch_size=16, accumulate=100, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("format", [1, 99])
def test_a_run_of_another_format_is_refused(format, trained, tmp_path):
    copy = shutil.copytree(trained.path, tmp_path / "run")
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("format: 2", f"format: {format}"))
    with pytest.raises(RunError, match=f"this run has format {format}"):
        fv.Run.open(copy)


@pytest.mark.parametrize("words", [["report"], ["compare"], ["test"]])
def test_a_folder_of_many_runs_is_told_from_a_run(trained, tmp_path, words):
    folder = tmp_path / "cv of 3"
    for number in (10, 2, 1):
        shutil.copytree(trained.path, folder / f"fold-{number}")
    (folder / "trials.json").write_text("{}")
    (folder / "fold-2" / ".unfinished.yaml").touch()
    error = refused(*words, folder)
    assert "one run is expected, and this folder holds those of several folds" in error
    assert "give the same command again to go on" in error
    (folder / "fold-2" / ".unfinished.yaml").unlink()
    (folder / "report.html").touch()
    error = " ".join(refused(*words, folder).split())
    assert f"Its report is {folder / 'report.html'}. " in error
    assert f"foveate report '{folder / 'fold-1'}'." in error
    runs = " ".join(f"'{folder / name}'" for name in ("fold-1", "fold-2", "fold-10"))
    assert error.endswith(f"foveate compare {runs}")
