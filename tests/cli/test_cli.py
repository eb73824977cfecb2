"""The commands as a user types them: from data to report, an interrupt, help and lists."""

from __future__ import annotations

import html
import json
import shlex
import signal
import subprocess
import sys
import time

import pytest

from helpers.command_line import refused, run_cli


def test_help_is_fast_and_needs_no_torch():
    script = (
        "import sys, foveate.cli.main; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "foveate", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    for command in (
        "demo",
        "train",
        "test",
        "predict",
        "report",
        "compare",
        "models",
        "tasks",
        "datasets",
    ):
        assert command in done.stdout


def test_train_test_predict_report_and_compare(colours, tmp_path):
    run = tmp_path / "run"
    code, out, err = run_cli("train", colours, "--epochs", 4, "--batch-size", 16, "--out", run)
    assert code == 0, err
    assert "60 images of 3 classes" in out
    assert "majority class" in out
    assert "test split is still locked" in out
    assert str(run / "report.html") in out
    page, command = (run / "report.html").read_text(), ["train", str(colours), "--epochs", "4"]
    typed = shlex.join(["foveate", *command, "--batch-size", "16", "--out", str(run)])
    shown, folded = page.partition('<details class="more">')[::2]
    assert f">{html.escape(typed)}</pre>" in shown
    assert "epochs: 4" in folded
    assert "epochs: 4" not in shown
    results = json.loads((run / "results.json").read_text())
    assert results["test"] is None
    assert not (run / "test_ledger.json").exists()

    _, out, _ = run_cli("test", run)
    assert code == 0
    first = json.loads((run / "results.json").read_text())
    assert first["test"]["accuracy"]["n"] == 9
    code, again, _ = run_cli("test", run)
    assert code == 0
    assert "opened once" in again
    assert json.loads((run / "results.json").read_text()) == first
    assert len(json.loads((run / "test_ledger.json").read_text())["entries"]) == 1

    image = colours / "red" / "000.png"
    code, out, _ = run_cli(
        "predict", run, image, colours / "blue", "--json", tmp_path / "predictions.json"
    )
    assert code == 0
    assert f"{image}  red" in out
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert len(predictions["predictions"]) == 21

    (run / "report.html").unlink()
    assert run_cli("report", run)[0] == 0
    assert (run / "report.html").stat().st_size > 10_000
    page = tmp_path / "compared.html"
    code, out, _ = run_cli("compare", run, run, "--html", page)
    assert code == 0
    assert "points" in out
    assert "tiny_cnn" in page.read_text()
    assert "Learning curves of 2." in page.read_text()
    assert "--overwrite" in refused("compare", run, run, "--html", page)
    assert run_cli("compare", run, run, "--html", page, "--overwrite")[0] == 0


@pytest.mark.slow
def test_ctrl_c_in_a_real_process_leaves_a_run_that_can_be_resumed(colours, tmp_path):
    run = tmp_path / "run"
    words = ["train", str(colours), "--epochs", "100000", "--batch-size", "16", "--out", str(run)]
    child = subprocess.Popen(
        [sys.executable, "-m", "foveate", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (run / "curves.csv").exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f"go on with: foveate train --resume {run}" in err.decode()
    assert (run / "last.safetensors").exists()


def test_models_tasks_and_datasets_are_listed():
    for command, words in (
        ("models", ("mlp", "cnn", "tiny_cnn", "alexnet", "vgg16", "resnet152")),
        ("tasks", ("classification", "accuracy")),
        ("datasets", ("digits", "mnist", "fashion-mnist", "cifar10")),
    ):
        code, out, _ = run_cli(command)
        assert code == 0
        assert all(word in out for word in words)
