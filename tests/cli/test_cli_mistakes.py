"""One clear message and exit code 2 for each mistake in settings, runs and data."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.cli.main import main
from helpers.command_line import refused, run_cli

# --- bad settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "clasification"], "did you mean 'classification'"),
        (["--model", "resnet19"], "resnet18"),
        (["--epochs", "2", "--minutes", "1"], "not both"),
        (["--lr", "-1"], "lr"),
        (["--lr", "fast"], "lr"),
        (["--epochs", "0"], "epochs"),
        (["--set", "nonsense=1"], "no setting 'nonsense'"),
        (["--set", "command=foveate"], "command: it is recorded by foveate"),
        (["--set", "nonsense"], "KEY=VALUE"),
        (["--set", "fractions=[0.5, 0.5, 0.5]"], "sum to 1"),
        (["--set", "fractions=0.06,0.47,0.47"], "a list of 3, such as [0.7, 0.15, 0.15]"),
        (["--set", "class_weights=1,2"], "a list, such as [1, 2.5]"),
        (["--log", "mlflow", "--log", "tensorboard"], "--log: a run has one tracker"),
        (["--set", "ema=0.9", "--set", "ema=0.99"], "--set ema: it is given twice"),
        (["--lr", "0.1", "--set", "lr=0.2"], "lr: it is given twice"),
        (["--pretrained", "--weights", "x.pth"], "weights: it is given twice"),
        (["--size", "2"], "size"),
        (["--weights", "nothing.pth", "--model", "resnet18"], "nothing.pth"),
        (["--weights", "nothing.pth"], "tiny_cnn"),
    ],
)
def test_an_invalid_setting_is_refused_and_leaves_nothing_behind(
    options, message, colours, tmp_path
):
    assert message in refused("train", colours, "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_never_overwritten(trained, colours):
    before = (trained.path / "best.safetensors").read_bytes()
    assert "exists already" in refused("train", colours, "--out", trained.path)
    assert (trained.path / "best.safetensors").read_bytes() == before


def test_missing_data_and_missing_runs_are_refused(tmp_path):
    assert "DATA is missing" in refused("train")
    assert "to train anew: foveate train PLACE" in refused("train", "--data", tmp_path)
    assert "no such run" in refused("test", tmp_path / "nowhere")
    assert "no config.yaml" in refused("test", tmp_path)
    assert "nothing to go on from" not in refused("train", "--resume", tmp_path)


# --- bad runs


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_run_of_a_newer_version_is_refused(copied):
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace("format: 2", "format: 99"))
    assert "format 99" in refused("predict", copied, "x.png")


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "bytes", "missing"])
def test_damaged_weights_are_refused_by_name(damage, copied, colours):
    weights = copied / "best.safetensors"
    data = weights.read_bytes()
    if damage == "missing":
        weights.unlink()
    else:
        spoilt = {
            "cut": data[: len(data) // 2],
            "garbage": os.urandom(1000),
            "empty": b"",
            "bytes": data[:20] + b"\xff" * 40 + data[60:],
        }
        weights.write_bytes(spoilt[damage])
    message = refused("predict", copied, colours / "red" / "000.png")
    assert "best.safetensors" in message


def test_weights_of_another_format_are_refused(copied, colours):
    from safetensors.torch import save_file

    save_file({}, copied / "best.safetensors", {"foveate": json.dumps({"format": 99})})
    assert "format 99" in refused("predict", copied, colours / "red" / "000.png")
    save_file({}, copied / "best.safetensors")
    assert "not written by foveate" in refused("predict", copied, colours / "red" / "000.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(colours, tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be made" in refused("train", colours, "--out", tmp_path / "run")


# --- bad data


def make_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_missing_and_empty_data_is_refused(tmp_path):
    assert "nowhere" in refused("train", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("train", tmp_path / "empty")


def test_a_single_class_is_refused(tmp_path):
    for i in range(5):
        make_image(tmp_path / "data" / "cat" / f"{i}.png", i)
    assert "cat" in refused("train", tmp_path / "data", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_with_one_image_is_refused(folder, tmp_path):
    make_image(folder / "violet" / "only.png")
    message = refused("train", folder, "--out", tmp_path / "run")
    assert "violet" in message
    assert not (tmp_path / "run").exists()


def test_a_few_unreadable_images_are_skipped_and_many_stop_the_run(folder, tmp_path):
    (folder / "red" / "broken.png").write_bytes(b"no image")
    run = tmp_path / "run"
    code, out, err = run_cli("train", folder, "--epochs", 1, "--out", run)
    assert code == 0, err
    assert "skipped red/broken.png" in out
    skipped = json.loads((run / "data.json").read_text())["skipped"]
    assert [s["id"] for s in skipped] == ["red/broken.png"]
    assert "red/broken.png" in (run / "report.html").read_text()

    for i in range(6):
        (folder / "red" / f"broken{i}.png").write_bytes(b"no image")
    message = refused("train", folder, "--epochs", 1, "--out", tmp_path / "other")
    assert "7 of 67" in message
    assert not (tmp_path / "other").exists()
    assert (
        run_cli("train", folder, "--epochs", 1, "--out", tmp_path / "other", "--allow-skipped")[0]
        == 0
    )


def test_a_leak_stops_the_run_and_is_recorded_if_allowed(folder, tmp_path):
    data = tmp_path / "parted"
    for split, names in (("train", range(14)), ("test", range(13, 20))):  # 013 lies in both
        for colour in ("blue", "green", "red"):
            (data / split / colour).mkdir(parents=True)
            for i in names:
                shutil.copy(
                    folder / colour / f"{i:03}.png", data / split / colour / f"{split}-{i}.png"
                )
    message = refused("train", data, "--epochs", 1, "--out", tmp_path / "run")
    assert "train/blue/train-13.png" in message
    assert "test/blue/test-13.png" in message
    words = ["foveate", "train", data, "--epochs", 1, "--out", tmp_path / "run"]
    assert f"{shlex.join(map(str, words))} --drop-leaks" in message
    assert "--allow-leak" in message
    assert run_cli(*words[1:-1], tmp_path / "dropped", "--drop-leaks")[0] == 0
    record = json.loads((tmp_path / "dropped" / "data.json").read_text())
    assert not record["leaks"]
    assert not [one for one in record["audit"] if "leak" in one["check"]]
    assert "3 train images are left out" in "".join(record["notes"])
    assert record["images"]["train"] + record["images"]["valid"] == 39
    assert record["images"]["test"] == 21
    run = tmp_path / "run"
    assert run_cli("train", data, "--epochs", 1, "--out", run, "--allow-leak")[0] == 0
    assert len(json.loads((run / "data.json").read_text())["leaks"]) == 3
    _, out, _ = run_cli("test", run)
    assert "3 of 21 test images belong with images of another split" in out
    assert "Without them: accuracy" in out
    assert "Findings of the audit" in (run / "report.html").read_text()
    assert "allow_leak: true" in (run / "config.yaml").read_text()


def test_unusual_file_names_work(folder, tmp_path, monkeypatch):
    for i, name in enumerate(
        ["with space.png", "ünïcödé 日本.png", "-dash.png", "a'b\"c<d>.png", "%s{}.png"]
    ):
        make_image(folder / "red" / name, i)
    (folder / "red" / "loop").symlink_to(folder / "red")
    run = tmp_path / "a run"
    code, _, err = run_cli("train", folder, "--epochs", 1, "--out", run)
    assert code == 0, err
    assert run_cli("predict", run, "--", folder / "red" / "-dash.png")[0] == 0
    monkeypatch.chdir(folder / "red")
    assert run_cli("predict", run, "--", "-dash.png")[0] == 0
    report = (run / "report.html").read_text()
    assert "a'b\"c<d>" not in report


@pytest.mark.slow
def test_a_file_name_that_is_not_unicode_can_be_printed(trained, tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    make_image(tmp_path / "x.png")
    os.rename(os.fsencode(tmp_path / "x.png"), raw)  # noqa: PTH104 - bytes
    command = [sys.executable, "-m", "foveate", "predict", str(trained.path), os.fsdecode(raw)]
    done = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"}
    )
    assert done.returncode == 0, done.stderr
    assert b"caf" in done.stdout


def test_predict_skips_files_that_are_no_images(trained, tmp_path):
    bad = tmp_path / "x.png"
    bad.write_bytes(b"")
    assert "none of these images" in refused("predict", trained.path, bad)
    good = make_image(tmp_path / "good.png")
    code, out, _ = run_cli("predict", trained.path, bad, good)
    assert code == 0
    assert "skipped" in out
    assert str(good) in out
    (tmp_path / "empty").mkdir()
    assert "no images" in refused("predict", trained.path, tmp_path / "empty")


def test_rank_0_alone_does_what_several_processes_do_not_share(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["foveate", "split", str(tmp_path / "nowhere"), "--out", str(tmp_path / "split.csv")]
    monkeypatch.setattr("sys.argv", words)
    for rank, code in (("1", 0), ("0", 2)):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        assert ("nowhere" in capsys.readouterr().err) == (rank == "0")
