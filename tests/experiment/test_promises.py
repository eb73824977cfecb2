"""A finished result is never unwritten, and the test split is opened once, whatever happens."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import foveate as fv
from foveate.errors import RunError, StorageError
from foveate.experiment import pipeline, test_split
from foveate.progress import NullReporter

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_STATE", str(tmp_path / "state"))


@pytest.fixture
def run(trained, tmp_path) -> fv.Run:
    return fv.Run.open(shutil.copytree(trained.path, tmp_path / "run"))


class Listener(NullReporter):
    """Keeps what it is told."""

    def __init__(self):
        self.said = []

    def info(self, text, /):
        self.said.append(text)

    warning = info


def test_resuming_a_tested_run_keeps_its_result(run):
    result = run.test()
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    fv.resume(run.path)
    after = {path.name: path.read_bytes() for path in run.path.iterdir()}
    assert {name for name in before if before[name] != after[name]} <= {"report.html"}
    assert fv.test(run.path) == result
    assert len(run.ledger.entries) == 1


@pytest.mark.parametrize("damage", ["results", "untested results", "report"])
def test_what_is_derived_from_a_test_is_derived_again(damage, run):
    result, results = run.test(), run.results
    if damage == "results":  # then it is evaluated again, from the weights
        (run.path / "results.json").unlink()
        assert not run.finished
        fv.resume(run.path)
    elif damage == "untested results":  # a kill between the ledger and results.json
        lost = json.loads((run.path / "results.json").read_text())
        lost["test"] = None
        for name in ("baseline", "lift"):
            lost[name].pop("test")
        run.save_results(lost)
    else:
        run.report_path.unlink()
        run.report()
    assert fv.test(run.path) == result
    again = run.results
    for name in ("test", "valid", "baseline", "lift", "best_baseline"):
        assert again[name] == results[name], name
    assert run.report_path.exists()
    assert len(run.ledger.entries) == 1


def test_the_ledger_notes_an_opening_before_the_test_split_is_read(run, monkeypatch):
    seen = []
    for name in ("score_baselines", "evaluate"):
        original = getattr(test_split, name)

        def spying(run, prepared, split, *rest, original=original):
            assert split == "test"
            seen.append([entry.result for entry in run.ledger.entries])
            return original(run, prepared, split, *rest)

        monkeypatch.setattr(test_split, name, spying)
    run.test()
    assert seen == [[None], [None]]


@pytest.mark.parametrize("where", ["evaluate", "complete", "save_results", "write_report"])
def test_an_opening_that_was_not_completed_is_told_and_completed(where, run, tmp_path, monkeypatch):
    whole = fv.Run.open(shutil.copytree(run.path, tmp_path / "whole")).test()

    def killed(*_, **__):
        raise ZeroDivisionError

    owner = {"complete": fv.experiment.run_folder.Ledger, "save_results": fv.Run}.get(
        where, test_split
    )
    with monkeypatch.context() as patch:
        patch.setattr(owner, where, killed)
        with pytest.raises(ZeroDivisionError):
            run.test()
    completed = where in ("save_results", "write_report")
    assert [entry.result is not None for entry in run.ledger.entries] == [completed]
    page = run.report().read_text()
    assert ("not completed" in page) is not completed
    listener = Listener()
    assert fv.test(run, reporter=listener) == whole
    assert any("not completed" in text for text in listener.said) is not completed
    assert [entry.result["metrics"] for entry in run.ledger.entries] == [whole]
    assert run.results["test"] == whole


def test_a_run_that_is_not_finished_is_not_tested(run):
    (run.path / ".unfinished.yaml").write_text(run.settings.to_yaml())
    with pytest.raises(RunError, match="interrupted before its end"):
        run.test()
    assert run.ledger.entries == []


@pytest.mark.parametrize(
    ("where", "advice"),
    [
        (fv.experiment.run_folder.Ledger, "test split is still locked"),
        (fv.Run, "The ledger keeps the opening"),
    ],
)
def test_a_full_disk_says_whether_the_test_split_was_opened(where, advice, run, monkeypatch):
    def full(*_, **__):
        raise StorageError("full", where=run.path, cure="Free some space.")

    name = "open" if where is not fv.Run else "save_results"
    with monkeypatch.context() as patch:
        patch.setattr(where, name, full)
        with pytest.raises(StorageError, match=f"Free some space. .*{advice}"):
            run.test()
    run.test()


# --- openings that other runs made


def told(run: Path) -> list[str]:
    listener = Listener()
    fv.test(run, reporter=listener)
    return [text for text in listener.said if "were opened before" in text]


def test_a_second_opening_of_the_same_images_by_any_run_is_told(run, colours, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "copy")
    again = fv.train(colours, epochs=1, batch_size=16, seed=0, model="mlp", out=tmp_path / "mlp")
    assert told(run.path) == []
    (line,) = told(copy)
    assert "9 of these 9 test images were opened before, once" in line
    assert str(run.path) in line
    assert len(told(again.path)) == 1
    (run.path / "test_ledger.json").unlink()
    run.save_results({**run.results, "test": None})
    (line,) = told(run.path)
    assert "3 times" in line
    assert "by other runs" in run.report_path.read_text()


def test_folds_share_no_test_image(colours, tmp_path):
    settings = {"epochs": 1, "batch_size": 16, "model": "mlp"}
    for fold in ("1/4", "2/4"):
        name = fold.replace("/", "-")
        assert told(fv.train(colours, fold=fold, out=tmp_path / name, **settings).path) == []


def test_a_state_folder_that_cannot_be_used_is_told_and_stops_nothing(run, tmp_path):
    (tmp_path / "state").write_text("no folder")
    listener = Listener()
    fv.test(run, reporter=listener)
    assert any("FOVEATE_STATE" in text for text in listener.said)
    assert len(run.ledger.entries) == 1


# --- the split


def test_an_edited_split_is_refused_with_what_was_moved(run):
    path = run.path / "split.csv"
    text = path.read_text()
    path.write_text(text.replace(",train,", ",test,"))
    for use in (run.test, run.report):
        with pytest.raises(RunError, match=r"42 samples were moved, e.g. .* \(train -> test\)"):
            use()
    assert run.ledger.entries == []
    path.write_text(text)
    run.test()


# --- one process a run


def test_a_run_in_use_is_refused_with_process_and_machine(run, colours):
    script = (
        "import sys; from pathlib import Path; from foveate.experiment.run_lock import locked\n"
        "with locked(Path(sys.argv[1]), []): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(run.path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        (run.path / ".unfinished.yaml").write_text(run.settings.to_yaml())
        settings = run.settings.model_dump(exclude={"data"})
        for use in (
            run.test,
            run.report,
            lambda: fv.resume(run.path),
            lambda: pipeline.train(colours, out=run.path, **settings),
        ):
            with pytest.raises(RunError, match=rf"in use by process {holder.pid} on \S+ \("):
                use()
        holder.kill()
    (run.path / ".unfinished.yaml").unlink()
    run.test()


# --- killed before the first checkpoint, and after training

CHILD = """
    import os, signal, sys
    import torch
    import foveate as fv
    from foveate.experiment import claim, pipeline, prepare, train
    from foveate.data.split import file
    from foveate.training import state

    torch.set_num_threads(1)
    owner, name, when = {
        "claim": (pipeline.RunFolder, "restart", "before"),
        "decode": (prepare.decoding, "decode", "after"),
        "split": (file, "write", "after"),
        "data": (prepare.atomic_io, "write_json", "after"),
        "baselines": (pipeline, "score_baselines", "after"),
        "settings": (train, "_segments", "before"),
        "checkpoint": (state.TrainState, "save", "before"),
        "evaluate": (pipeline, "evaluate", "before"),
        "results": (pipeline, "write_report", "before"),
        "report": (pipeline.RunFolder, "finish", "before"),
    }[sys.argv[3]]
    original = getattr(owner, name)
    def deadly(*args, **kwargs):
        if when == "after":
            original(*args, **kwargs)
        if name != "write_json" or args[0].name == "data.json":
            os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, deadly)
    fv.train(sys.argv[1], out=sys.argv[2], **SETTINGS)
"""
SETTINGS = {"epochs": 2, "batch_size": 16, "lr": "find"}


@pytest.fixture(scope="module")
def whole(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> fv.Run:
    return fv.train(colours, out=tmp_path_factory.mktemp("whole") / "run", **SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        "claim", "decode", "split", "data", "baselines", "settings", "checkpoint",
        "evaluate", "results", "report",
    ],
)  # fmt: skip
def test_killed_anywhere_both_ways_of_going_on_end_with_the_same_bits(
    where, colours, whole, tmp_path
):
    script = textwrap.dedent(CHILD).replace("SETTINGS", repr(SETTINGS))
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", script, str(colours), str(killed), where]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    again = shutil.copytree(killed, tmp_path / "again")
    fv.resume(killed)
    fv.train(colours, out=again, **SETTINGS)
    for path in (killed, again):
        run = fv.Run.open(path)
        assert run.finished
        assert run.weights.read_bytes() == whole.weights.read_bytes()
        assert run.results["valid"] == whole.results["valid"]
        names = {one.name for one in path.iterdir()}
        assert names == {one.name for one in whole.path.iterdir()}
