"""A run folder belongs to one run, and its weights are hashed once."""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import replace

import pytest

import foveate as fv
from foveate.errors import DataError, RunError
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.split import write_split
from foveate.progress import NullReporter
from foveate.settings import Settings
from foveate.training import checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("exists", [True, False])
def test_of_many_runs_one_gets_a_new_or_empty_folder(exists, tmp_path):
    for attempt in range(20):
        path = tmp_path / str(attempt)
        if exists:
            path.mkdir()
        taken, ready = [], threading.Barrier(4)

        def create(path=path, taken=taken, ready=ready):
            ready.wait()
            with contextlib.suppress(RunError):
                taken.append(RunFolder.create(path, Settings(), "data"))

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1


def test_runs_without_a_path_never_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths, ready = [], threading.Barrier(4)

    def create():
        ready.wait()
        paths.append(RunFolder.create(None, Settings(), "data").path)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 4


def test_a_folder_that_a_run_has_just_taken_is_not_empty_for_another(tmp_path):
    first = RunFolder.create(tmp_path / "run", Settings(), "data")
    with pytest.raises(RunError, match="exists already"):
        RunFolder.create(first.path, Settings(), "data")
    first.discard_if_untrained()
    assert not first.path.exists()


def test_a_folder_with_a_file_of_the_users_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        RunFolder.create(tmp_path, Settings(), "data")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


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
