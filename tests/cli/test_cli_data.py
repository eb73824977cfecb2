"""The commands on data as a user types them: audit, convert, split and cache."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest

from helpers.command_line import refused, run_cli


def test_audit_prints_writes_and_repairs(folder, tmp_path):
    (folder / "red" / "copy.png").write_bytes((folder / "blue" / "000.png").read_bytes())
    (folder / "red" / "broken.png").write_bytes(b"\x89PNG no")
    (folder / "red" / "named.jpg").write_bytes((folder / "red" / "001.png").read_bytes())
    code, out, err = run_cli(
        "audit",
        folder,
        "--json",
        tmp_path / "a.json",
        "--html",
        tmp_path / "a.html",
        "--fix",
        tmp_path / "b",
    )
    assert code == 0, err
    for check in (
        "duplicate",
        "duplicate with another label",
        "cannot be used",
        "wrong extension",
    ):
        assert check in out
    record = json.loads((tmp_path / "a.json").read_text())
    assert {"red/copy.png", "blue/000.png"} in [set(f["ids"]) for f in record["findings"]]
    page = (tmp_path / "a.html").read_text()
    assert "data:image/png" in page
    assert "://" not in page.replace("http://www.w3.org", "")
    code, out, err = run_cli("audit", tmp_path / "b", "--html", tmp_path / "b.html")
    assert code == 0, err
    assert "duplicate" not in out
    assert "broken.png" in (tmp_path / "b.repairs.csv").read_text()


def test_audit_merges_the_classes_that_it_is_told(folder, tmp_path):
    for number in range(3):
        (folder / "Red ").mkdir(exist_ok=True)
        (folder / "red" / f"{number:03}.png").rename(folder / "Red " / f"{number:03}.png")
    html = ("--html", tmp_path / "a.html", "--overwrite")
    code, out, _ = run_cli("audit", folder, *html)
    assert code == 1
    assert "--merge 'Red ,red'" in out
    assert "--fix DST is expected" in refused("audit", folder, *html, "--merge", "Red ,red")
    fix = ("--fix", tmp_path / "b")
    assert "got 'rot'" in refused("audit", folder, *html, *fix, "--merge", "Red ,rot")
    assert not (tmp_path / "b").exists()
    run_cli("audit", folder, *html, *fix, "--merge", "Red ,red")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["blue", "green", "red"]
    assert "Red ,red" in (tmp_path / "b.repairs.csv").read_text()


def test_audit_refuses_a_repair_that_leaves_too_little(folder, tmp_path):
    for file in [*(folder / "red").iterdir(), *(folder / "blue").iterdir()]:
        file.write_bytes(b"no image")
    error = refused("audit", folder, "--html", tmp_path / "a.html", "--fix", tmp_path / "b")
    assert "keeps two thirds of the images" in error
    assert not (tmp_path / "b").exists()


def test_audit_exits_with_1_if_there_are_errors_and_train_refuses(folder, tmp_path):
    for split, names in (("train", range(14)), ("test", range(14, 20))):
        for colour in ("blue", "green", "red"):
            for number in names:
                target = tmp_path / "parts" / split / colour / f"{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((folder / colour / f"{number:03}.png").read_bytes())
    (tmp_path / "parts/test/red/leak.png").write_bytes((folder / "red/000.png").read_bytes())
    code, out, err = run_cli("audit", tmp_path / "parts", "--html", tmp_path / "a.html")
    assert code == 1, err
    assert "leak between splits" in out
    code, out, err = run_cli("train", tmp_path / "parts", "--out", tmp_path / "run")
    assert code == 2
    assert "train/red/0.png (train)" in err
    assert "test/red/leak.png (test)" in err
    assert not (tmp_path / "run").exists()


def test_convert_writes_a_dataset_and_refuses_what_the_format_cannot_hold(folder, tmp_path):
    code, out, err = run_cli("convert", folder, tmp_path / "table", "--format", "csv")
    assert code == 0, err
    assert "60 images of 3 classes" in out
    code, out, err = run_cli("convert", folder, tmp_path / "boxes", "--format", "yolo")
    assert code == 2
    assert "annotations for classification" in err
    assert not (tmp_path / "boxes").exists()


def test_a_split_is_written_used_and_refused_on_changed_data(folder, tmp_path):
    code, _, err = run_cli(
        "split", folder, "--out", tmp_path / "split.csv", "--group-by", r"\d(\d)\."
    )
    assert code == 0, err
    train = [
        "train",
        folder,
        "--split",
        tmp_path / "split.csv",
        "--epochs",
        "1",
        "--batch-size",
        "16",
    ]
    assert run_cli(*train, "--out", tmp_path / "run")[0] == 0
    made = (tmp_path / "split.csv").read_text()
    splits = [line.rsplit(",", 2)[1] for line in made.splitlines()[1:]]
    used = [
        line.rsplit(",", 2)[1] for line in (tmp_path / "run/split.csv").read_text().splitlines()[1:]
    ]
    assert used == splits
    (folder / "red" / "000.png").write_bytes((folder / "blue" / "001.png").read_bytes())
    code, _, err = run_cli(*train, "--out", tmp_path / "other")
    assert code == 2
    assert "0 new samples, 0 gone, 1 changed, e.g. red/000.png (changed)" in err


def test_cached_images_are_listed_and_removed(folder, tmp_path, monkeypatch):
    from foveate.data.cache import decoding
    from foveate.datasets.load import load

    place = tmp_path / "cache" / "images"
    monkeypatch.setenv("FOVEATE_CACHE", str(place.parent))
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run_cli("cache")
    assert (code, out) == (0, f"no images are cached in {place}\n")
    decoding.decode(load(folder), 16)
    decoding.survey(load(folder.rename(tmp_path / "[red]odd")))
    code, out, err = run_cli("cache")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["dataset", "images", "size", "on", "disk", "last", "used"]
    assert lines[1][:4] == ["colours", "60", "16", "px"]
    assert lines[2][:4] == ["[red]odd", "60", "no", "pixels"]
    size = sum(path.stat().st_size for path in place.iterdir())
    assert (
        f"{size / 1e3:.1f} kB of at most 20.0 GB used; set FOVEATE_CACHE_GB to change the limit"
        in out
    )
    assert f"in {place}; set FOVEATE_CACHE to change the folder" in out
    assert len(list(place.iterdir())) == 2
    features = place.parent / "features" / f"{'a' * 32}.npy"
    net, other = place.parent / "onnx" / f"{'b' * 32}.onnx", place.parent / "onnx" / "mine.onnx"
    for path in (features, net, other):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(500))
    listed = f"1.0 kB of features and converted nets in {place.parent}: features and onnx"
    assert listed in run_cli("cache")[1]
    code, out, _ = run_cli("cache", "--clear")
    assert (code, out) == (0, f"{(size + 1000) / 1e3:.1f} kB freed in {place.parent}\n")
    assert list(place.iterdir()) == []
    assert [path.is_file() for path in (features, net, other)] == [False, False, True]
    assert run_cli("cache", "--clear")[1] == f"0.0 kB freed in {place.parent}\n"

    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    for words in (["cache"], ["cache", "--clear"]):
        assert "the cache cannot be used (Not a directory)" in refused(*words)


@pytest.mark.parametrize("rare", ["drop", "train"])
def test_a_split_says_how_to_train_on_it_and_that_command_runs(folder, tmp_path, rare):
    for number in range(2):
        (folder / "rare").mkdir(exist_ok=True)
        shutil.copy(folder / "red" / f"00{number}.png", folder / "rare" / f"{number}.png")
    out = tmp_path / "the split.csv"
    words = ["--out", out, "--rare-classes", rare, "--allow-leak", "--set", "max_pixels=9999"]
    code, said, err = run_cli("split", folder, *words)
    assert code == 0, err
    command = shlex.split(said.partition("Train on it:")[2])
    assert command[:2] == ["foveate", "train"]
    assert ("drop" in command) == (rare == "drop")
    more = ["--epochs", "1", "--allow-leak", "--allow-errors", "--out", tmp_path / "run"]
    code, said, err = run_cli(*command[1:], *more)
    assert code == 0, said + err
