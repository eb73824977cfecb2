"""Trackers get what a run records: in real event files and a real database, read by their own."""

from __future__ import annotations

import csv
import json
import sys
import types
from pathlib import Path

import pytest

import foveate as fv
from foveate.experiment import pipeline, trackers
from foveate.progress import NullReporter
from helpers.command_line import hurry

pytestmark = pytest.mark.slow  # mlflow takes seconds to be imported
OPTIONS = {"model": "tiny_cnn", "epochs": 3, "size": 16, "batch_size": 16}


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch, tmp_path):
    hurry(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


class Said(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, /) -> None:
        self.lines.append(text)

    warning = info


class Stops(Said):
    """Ctrl-C in the step after the second validation."""

    def training(self, *asked):
        inner = NullReporter.training(self, *asked)

        class Steps:
            def __enter__(self):
                inner.__enter__()
                return self.on_step

            def on_step(self, progress, _loss):
                if len(progress.rows) == 2 and progress.rows[-1]["step"] < progress.step:
                    raise KeyboardInterrupt

            def __exit__(self, *error):
                return inner.__exit__(*error)

        return Steps()


def curve(run: Path, name: str) -> list[tuple[int, float]]:
    with (run / "curves.csv").open(newline="") as file:
        return [(int(row["step"]), float(row[name])) for row in csv.DictReader(file)]


def train(data, out: str, reporter=None, **options) -> Path:
    reporter = reporter or NullReporter()
    if isinstance(reporter, Stops):
        with pytest.raises(KeyboardInterrupt):
            fv.train(data, out=out, reporter=reporter, **OPTIONS, **options)
    else:
        fv.train(data, out=out, reporter=reporter, **OPTIONS, **options)
    return Path(out)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("stops", [False, True])
def test_tensorboard_has_the_curves(colours, stops):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(colours, "runs/x", Stops() if stops else None, log="tensorboard")
    if stops:
        fv.resume(run)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    for tag, name in (("loss/valid", "valid_loss"), ("accuracy/train", "train_accuracy")):
        logged = [(one.step, one.value) for one in events.Scalars(tag)]
        assert logged == [(step, pytest.approx(value)) for step, value in curve(run, name)]
    final = json.loads((run / "results.json").read_text())["valid"]["accuracy"]["value"]
    assert events.Scalars("final_valid_accuracy")[0].value == pytest.approx(final)
    assert {"config/text_summary", "files/text_summary"} <= set(events.Tags()["tensors"])


@pytest.mark.filterwarnings("default")
def test_tensorboard_has_all_curves_of_a_run_that_was_stopped_after_its_training(
    colours, monkeypatch
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            fv.train(colours, out="runs/x", log="tensorboard", **OPTIONS)
    run = fv.resume("runs/x").path
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    steps = [one.step for one in events.Scalars("loss/valid")]
    assert steps == [step for step, _ in curve(run, "valid_loss")]
    assert events.Scalars("final_valid_accuracy")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("stops", [False, True])
def test_mlflow_has_curves_settings_and_report_in_one_run(colours, stops, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    run = train(colours, "runs/x", Stops() if stops else None, log="mlflow")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    if stops:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        run = tmp_path / run
        client = MlflowClient(tracking_uri=address)
        record = json.loads((run / trackers.RECORD).read_text())
        assert client.get_run(record["id"]).info.status == "KILLED"
        fv.resume(run)
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name("foveate")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["model"] == "tiny_cnn"
    assert float(found.data.params["lr"]) > 0
    history = client.get_metric_history(found.info.run_id, "valid_loss")
    logged = {one.step: one.value for one in history}
    assert logged == dict(curve(run, "valid_loss"))
    assert "final_valid_accuracy" in found.data.metrics
    names = {one.path for one in client.list_artifacts(found.info.run_id)}
    assert {"report.html", "config.yaml", "results.json"} <= names


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("stops", [False, True])
def test_wandb_works_offline(colours, stops):
    pytest.importorskip("wandb")
    run = train(colours, "runs/x", Stops() if stops else None, log="wandb")
    first = json.loads((run / trackers.RECORD).read_text())["id"]
    if stops:
        fv.resume(run)
    assert json.loads((run / trackers.RECORD).read_text())["id"] == first
    parts = list((run / "wandb").glob(f"offline-run-*-{first}"))
    assert len(parts) == 1 + stops
    assert any((part / "files" / "report.html").exists() for part in parts)


def test_a_tracker_that_fails_is_left_out_and_changes_no_weights(colours, monkeypatch):
    plain = train(colours, "runs/plain")

    def fails(*_):
        raise ConnectionError("no server\nthere")

    fake = types.ModuleType("foveate.experiment.trackers.to_mlflow")
    fake.open_tracker = fails
    monkeypatch.setitem(sys.modules, "foveate.experiment.trackers.to_mlflow", fake)
    said = Said()
    run = train(colours, "runs/failed", said, log="mlflow")
    warned = [line for line in said.lines if "goes on without it" in line]
    assert warned == [
        "mlflow fails, and the training goes on without it (ConnectionError: no server there)"
    ]
    assert (run / "best.safetensors").read_bytes()[-1000:] == (
        plain / "best.safetensors"
    ).read_bytes()[-1000:]
    assert not (run / trackers.RECORD).exists()


def test_a_tracker_that_is_not_installed_is_refused_before_any_work(colours, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(fv.FoveateError, match=r"pip install 'foveate\[wandb\]'"):
        train(colours, "runs/x", log="wandb")
    monkeypatch.undo()
    assert not Path("runs/x").exists()


def test_many_runs_have_no_tracker(colours):
    with pytest.raises(fv.FoveateError, match="logs single runs"):
        fv.cross_validate(colours, folds=3, log="tensorboard", **OPTIONS)
