"""One clear line for each mistake of a user's, in settings, runs and data, and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.command_line import refused, run_cli

# --- bad settings


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--task", "clasification"], "did you mean 'classification'"),
        (["--model", "resnet19"], "resnet18"),
        (["--epochs", "2", "--minutes", "1"], "not both"),
        (["--lr", "-1"], "lr"),
        (["--lr", "fast"], "lr"),
        (["--epochs", "0"], "epochs"),
        (["--set", "nonsense=1"], "no setting 'nonsense'"),
        (["--set", "nonsense"], "KEY=VALUE"),
        (["--set", "fractions=[0.5, 0.5, 0.5]"], "sum to 1"),
        (["--size", "2"], "size"),
        (["--weights", "nothing.pth", "--model", "resnet18"], "nothing.pth"),
        (["--weights", "nothing.pth"], "tiny_cnn"),
    ],
)
def test_a_wrong_setting_is_said_and_leaves_nothing_behind(options, says, colours, tmp_path):
    assert says in refused("train", colours, "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_a_run_that_exists_is_never_overwritten(trained, colours):
    before = (trained.path / "best.safetensors").read_bytes()
    assert "exists already" in refused("train", colours, "--out", trained.path)
    assert (trained.path / "best.safetensors").read_bytes() == before


def test_no_data_and_no_run(tmp_path):
    assert "DATA is missing" in refused("train")
    assert "no such run" in refused("test", tmp_path / "nowhere")
    assert "no config.yaml" in refused("test", tmp_path)
    assert "nothing to go on from" not in refused("train", "--resume", tmp_path)


# --- bad runs


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_run_from_a_newer_version(copied):
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace("format: 1", "format: 99"))
    assert "format 99" in refused("predict", copied, "x.png")


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "bytes", "missing"])
def test_damaged_weights(damage, copied, colours):
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


def test_weights_of_another_format(copied, colours):
    from safetensors.torch import save_file

    save_file({}, copied / "best.safetensors", {"foveate": json.dumps({"format": 99})})
    assert "format 99" in refused("predict", copied, colours / "red" / "000.png")
    save_file({}, copied / "best.safetensors")
    assert "not written by foveate" in refused("predict", copied, colours / "red" / "000.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place(colours, tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be made" in refused("train", colours, "--out", tmp_path / "run")


# --- bad data


def make_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_no_such_data(tmp_path):
    assert "nowhere" in refused("train", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("train", tmp_path / "empty")


def test_one_class_only(tmp_path):
    for i in range(5):
        make_image(tmp_path / "data" / "cat" / f"{i}.png", i)
    assert "cat" in refused("train", tmp_path / "data", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_with_one_picture(folder, tmp_path):
    make_image(folder / "violet" / "only.png")
    message = refused("train", folder, "--out", tmp_path / "run")
    assert "violet" in message
    assert not (tmp_path / "run").exists()


def test_some_bad_pictures_are_skipped_and_many_stop_the_run(folder, tmp_path):
    (folder / "red" / "broken.png").write_bytes(b"no picture")
    run = tmp_path / "run"
    code, out, err = run_cli("train", folder, "--epochs", 1, "--out", run)
    assert code == 0, err
    assert "skipped red/broken.png" in out
    skipped = json.loads((run / "data.json").read_text())["skipped"]
    assert [s["id"] for s in skipped] == ["red/broken.png"]
    assert "red/broken.png" in (run / "report.html").read_text()

    for i in range(6):
        (folder / "red" / f"broken{i}.png").write_bytes(b"no picture")
    message = refused("train", folder, "--epochs", 1, "--out", tmp_path / "other")
    assert "7 of 67" in message
    assert not (tmp_path / "other").exists()
    assert (
        run_cli("train", folder, "--epochs", 1, "--out", tmp_path / "other", "--allow-skipped")[0]
        == 0
    )


def test_a_leak_stops_the_run_with_names_and_is_recorded_when_allowed(folder, tmp_path):
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
    assert "--allow-leak" in message
    run = tmp_path / "run"
    assert run_cli("train", data, "--epochs", 1, "--out", run, "--allow-leak")[0] == 0
    assert len(json.loads((run / "data.json").read_text())["leaks"]) == 3
    _, out, _ = run_cli("test", run)
    assert "3 of 21 test pictures belong with pictures of another part" in out
    assert "Without them: accuracy" in out
    assert "What the audit found" in (run / "report.html").read_text()
    assert "allow_leak: true" in (run / "config.yaml").read_text()


def test_odd_names(folder, tmp_path, monkeypatch):
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


def test_a_name_that_is_no_unicode_can_be_told(trained, tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    make_image(tmp_path / "x.png")
    os.rename(os.fsencode(tmp_path / "x.png"), raw)  # noqa: PTH104 - bytes
    command = [sys.executable, "-m", "foveate", "predict", str(trained.path), os.fsdecode(raw)]
    done = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"}
    )
    assert done.returncode == 0, done.stderr
    assert b"caf" in done.stdout


def test_predicting_what_is_no_picture(trained, tmp_path):
    bad = tmp_path / "x.png"
    bad.write_bytes(b"")
    assert "none of these pictures" in refused("predict", trained.path, bad)
    good = make_image(tmp_path / "good.png")
    code, out, _ = run_cli("predict", trained.path, bad, good)
    assert code == 0
    assert "skipped" in out
    assert str(good) in out
    (tmp_path / "empty").mkdir()
    assert "no pictures" in refused("predict", trained.path, tmp_path / "empty")
