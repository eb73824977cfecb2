"""The commands as a user types them: what they print, their exit codes, and one clear line for each mistake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import refused, run_cli


def test_help_is_fast_and_needs_no_torch():
    script = "import sys, foveate.cli; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    done = subprocess.run([sys.executable, "-m", "foveate", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for command in ("demo", "train", "test", "predict", "report", "compare", "models", "tasks", "datasets"):
        assert command in done.stdout


def test_the_whole_path(colours, tmp_path):
    run = tmp_path / "run"
    code, out, err = run_cli("train", colours, "--epochs", 4, "--batch-size", 16, "--out", run)
    assert code == 0, err
    assert "60 pictures of 3 classes" in out
    assert "majority class" in out
    assert "test part is still locked" in out
    assert str(run / "report.html") in out
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

    picture = colours / "red" / "000.png"
    code, out, _ = run_cli("predict", run, picture, colours / "blue", "--json", tmp_path / "answers.json")
    assert code == 0
    assert f"{picture}  red" in out
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert len(answers["answers"]) == 21

    (run / "report.html").unlink()
    assert run_cli("report", run)[0] == 0
    assert (run / "report.html").stat().st_size > 10_000
    code, out, _ = run_cli("compare", run, run)
    assert code == 0
    assert "quick" in out


def test_ctrl_c_in_a_real_process_leaves_a_run_that_goes_on(colours, tmp_path):
    run = tmp_path / "run"
    words = ["train", str(colours), "--epochs", "100000", "--batch-size", "16", "--out", str(run)]
    child = subprocess.Popen([sys.executable, "-m", "foveate", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (run / "curves.csv").exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f"go on with: foveate train --resume {run}" in err.decode()
    assert (run / "last.safetensors").exists()


def test_lists():
    for command, words in (
        ("models", ("mlp", "cnn", "quick", "alexnet", "vgg16", "resnet152")),
        ("tasks", ("classification", "accuracy")),
        ("datasets", ("digits", "mnist", "fashion-mnist", "cifar10")),
    ):
        code, out, _ = run_cli(command)
        assert code == 0
        assert all(word in out for word in words)


# --- bad settings -----------------------------------------------------------------------------------------------------


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
        (["--weights", "nothing.pth"], "quick"),
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


# --- bad runs ---------------------------------------------------------------------------------------------------------


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


# --- bad data ---------------------------------------------------------------------------------------------------------


def picture(path: Path, seed: int = 0) -> Path:
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
        picture(tmp_path / "data" / "cat" / f"{i}.png", i)
    assert "cat" in refused("train", tmp_path / "data", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_with_one_picture(folder, tmp_path):
    picture(folder / "violet" / "only.png")
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
    assert run_cli("train", folder, "--epochs", 1, "--out", tmp_path / "other", "--allow-skipped")[0] == 0


def test_a_leak_stops_the_run_with_names_and_is_recorded_when_allowed(folder, tmp_path):
    data = tmp_path / "parted"
    for part, names in (("train", range(14)), ("test", range(13, 20))):  # 013 lies in both
        for colour in ("blue", "green", "red"):
            (data / part / colour).mkdir(parents=True)
            for i in names:
                shutil.copy(folder / colour / f"{i:03}.png", data / part / colour / f"{part}-{i}.png")
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
    for i, name in enumerate(["with space.png", "ünïcödé 日本.png", "-dash.png", "a'b\"c<d>.png", "%s{}.png"]):
        picture(folder / "red" / name, i)
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
    picture(tmp_path / "x.png")
    os.rename(os.fsencode(tmp_path / "x.png"), raw)  # noqa: PTH104 - bytes
    command = [sys.executable, "-m", "foveate", "predict", str(trained.path), os.fsdecode(raw)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    assert b"caf" in done.stdout


def test_predicting_what_is_no_picture(trained, tmp_path):
    bad = tmp_path / "x.png"
    bad.write_bytes(b"")
    assert "none of these pictures" in refused("predict", trained.path, bad)
    good = picture(tmp_path / "good.png")
    code, out, _ = run_cli("predict", trained.path, bad, good)
    assert code == 0
    assert "skipped" in out
    assert str(good) in out
    (tmp_path / "empty").mkdir()
    assert "no pictures" in refused("predict", trained.path, tmp_path / "empty")


# --- audit, convert, split ----------------------------------------------------------------------------------------------


def test_audit_tells_writes_and_repairs(folder, tmp_path):
    (folder / "red" / "copy.png").write_bytes((folder / "blue" / "000.png").read_bytes())
    (folder / "red" / "broken.png").write_bytes(b"\x89PNG no")
    (folder / "red" / "named.jpg").write_bytes((folder / "red" / "001.png").read_bytes())
    code, out, err = run_cli(
        "audit", folder, "--json", tmp_path / "a.json", "--html", tmp_path / "a.html", "--fix", tmp_path / "b"
    )
    assert code == 0, err
    for told in ("same picture twice", "same picture, other label", "cannot be used", "wrong ending"):
        assert told in out
    record = json.loads((tmp_path / "a.json").read_text())
    assert {"red/copy.png", "blue/000.png"} in [set(f["ids"]) for f in record["findings"]]
    page = (tmp_path / "a.html").read_text()
    assert "data:image/png" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    code, out, err = run_cli("audit", tmp_path / "b", "--html", tmp_path / "b.html")
    assert code == 0, err
    assert "same picture" not in out
    assert "broken.png" in (tmp_path / "b.repairs.csv").read_text()


def test_audit_ends_with_1_where_there_are_errors_and_train_refuses(folder, tmp_path):
    for part, names in (("train", range(14)), ("test", range(14, 20))):
        for colour in ("blue", "green", "red"):
            for number in names:
                target = tmp_path / "parts" / part / colour / f"{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((folder / colour / f"{number:03}.png").read_bytes())
    (tmp_path / "parts/test/red/leak.png").write_bytes((folder / "red/000.png").read_bytes())
    code, out, err = run_cli("audit", tmp_path / "parts", "--html", tmp_path / "a.html")
    assert code == 1, err
    assert "leak between parts" in out
    code, out, err = run_cli("train", tmp_path / "parts", "--out", tmp_path / "run")
    assert code == 2
    assert "train/red/0.png (train)" in err
    assert "test/red/leak.png (test)" in err
    assert not (tmp_path / "run").exists()


def test_convert_writes_what_the_target_holds_and_names_what_it_does_not(folder, tmp_path):
    code, out, err = run_cli("convert", folder, tmp_path / "table", "--format", "csv")
    assert code == 0, err
    assert "60 pictures of 3 classes" in out
    code, out, err = run_cli("convert", folder, tmp_path / "boxes", "--format", "yolo")
    assert code == 2
    assert "annotations for classification" in err
    assert not (tmp_path / "boxes").exists()


def test_a_split_is_made_used_and_refused_on_changed_data(folder, tmp_path):
    code, _, err = run_cli("split", folder, "--out", tmp_path / "split.csv", "--group-by", r"\d(\d)\.")
    assert code == 0, err
    train = ["train", folder, "--split", tmp_path / "split.csv", "--epochs", "1", "--batch-size", "16"]
    assert run_cli(*train, "--out", tmp_path / "run")[0] == 0
    made = (tmp_path / "split.csv").read_text()
    parts = [line.rsplit(",", 2)[1] for line in made.splitlines()[1:]]
    used = [line.rsplit(",", 2)[1] for line in (tmp_path / "run/split.csv").read_text().splitlines()[1:]]
    assert used == parts
    (folder / "red" / "000.png").write_bytes((folder / "blue" / "001.png").read_bytes())
    code, _, err = run_cli(*train, "--out", tmp_path / "other")
    assert code == 2
    assert "0 new samples, 0 gone, 1 changed, e.g. red/000.png (changed)" in err


# --- the cache ----------------------------------------------------------------------------------------------------------


def test_what_is_kept_is_listed_and_removed(folder, tmp_path, monkeypatch):
    from foveate.data import cache
    from foveate.data.load import load

    place = tmp_path / "cache" / "pictures"
    monkeypatch.setenv("FOVEATE_CACHE", str(place.parent))
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run_cli("cache")
    assert (code, out) == (0, f"no decoded pictures are kept in {place}\n")
    cache.decode(load(folder), 16)
    cache.survey(load(folder.rename(tmp_path / "[red]odd")))
    code, out, err = run_cli("cache")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["data", "pictures", "size", "takes", "last", "used"]
    assert lines[1][:4] == ["colours", "60", "16", "px"]
    assert lines[2][:4] == ["[red]odd", "60", "no", "pixels"]
    taken = sum(path.stat().st_size for path in place.iterdir())
    assert f"{taken / 1e3:.1f} kB of at most 20.0 GB; FOVEATE_CACHE_GB changes that" in out
    assert f"in {place}; FOVEATE_CACHE changes that" in out
    assert len(list(place.iterdir())) == 2
    code, out, _ = run_cli("cache", "--clear")
    assert (code, out) == (0, f"{taken / 1e3:.1f} kB freed in {place}\n")
    assert list(place.iterdir()) == []
    assert run_cli("cache", "--clear")[1] == f"0.0 kB freed in {place}\n"

    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    for words in (["cache"], ["cache", "--clear"]):
        assert "the cache cannot be used (Not a directory)" in refused(*words)
