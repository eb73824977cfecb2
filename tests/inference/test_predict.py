"""What `foveate predict` writes: whole, streamed, and never in the place of anything else."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.inference.predict import predict_paths
from foveate.inference.prediction_outputs import Outputs
from helpers import crowded
from helpers.command_line import refused, run_cli

HELPERS = Path(__file__).parents[1]


def make_images(folder: Path, count: int, side: int = 16) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.png")
    return folder


# --- the files


def test_streamed_files_are_valid_json_and_complete(tmp_path):
    images = make_images(tmp_path / "images", 3)
    (images / "broken.png").write_bytes(b"no image")
    odd = os.fsdecode(os.fsencode(images) + b"/caf\xe9\xe2\x80\xa8.png")
    shutil.copy(images / "00000.png", odd)
    out = Outputs(tmp_path / "p.json", tmp_path / "c.json", tmp_path / "drawn")
    result = predict_paths(crowded.Crowded(2), [images], out)
    assert (result.count, len(result.skipped)) == (4, 1)
    text = (tmp_path / "p.json").read_text()
    record = json.loads(text)
    assert (
        text == json.dumps(record, indent=1, ensure_ascii=False).replace("\udce9", "\\udce9") + "\n"
    )
    assert next(iter(record)) == "foveate"
    assert [Path(one["path"]).name for one in record["predictions"]] == [
        "00000.png", "00001.png", "00002.png", Path(odd).name,
    ]  # fmt: skip
    assert [Path(one["path"]).name for one in record["skipped"]] == ["broken.png"]
    coco = json.loads((tmp_path / "c.json").read_text())
    assert [one["id"] for one in coco["images"]] == [1, 2, 3, 4]
    assert [one["image_id"] for one in coco["annotations"]] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [one["id"] for one in coco["annotations"]] == list(range(1, 9))
    assert coco["categories"] == [{"id": 1, "name": "thing"}]


def test_nothing_predicted_is_valid_json_too(tmp_path):
    images = make_images(tmp_path / "images", 1)
    predict_paths(crowded.Crowded(0), [images], Outputs(coco_file=tmp_path / "c.json"))
    coco = json.loads((tmp_path / "c.json").read_text())
    assert coco["annotations"] == []
    assert len(coco["images"]) == 1
    (images / "00000.png").write_bytes(b"")
    predict_paths(crowded.Crowded(0), [images], Outputs(json_file=tmp_path / "p.json"))
    record = json.loads((tmp_path / "p.json").read_text())
    assert record["predictions"] == []
    assert len(record["skipped"]) == 1


# --- nothing of the user's is replaced


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_no_output_replaces_what_predict_did_not_write(trained, tmp_path):
    run = shutil.copytree(trained.path, tmp_path / "run")
    images = make_images(tmp_path / "images", 2)
    image = images / "00000.png"
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "link.json").symlink_to(tmp_path / "mine.json")
    (tmp_path / "hard.json").hardlink_to(image)
    before = tree(tmp_path)
    for source, option, output in (
        (image, "--json", image),
        (images, "--json", image),
        (images, "--json", images / "new.json"),
        (images, "--draw", images / "drawn"),
        (images, "--draw", images),
        (images, "--draw", tmp_path / "full"),
        (images, "--draw", tmp_path / "mine.json"),
        (images, "--json", tmp_path / "mine.json"),
        (images, "--json", tmp_path / "link.json"),
        (image, "--json", tmp_path / "hard.json"),
        (images, "--json", tmp_path),
        (images, "--json", run / "results.json"),
        (images, "--json", run / "data.json"),
        (images, "--json", tmp_path / "missing" / "new.json"),
    ):
        for overwrite in ([], ["--overwrite"]):
            message = refused("predict", run, source, option, output, *overwrite)
            assert f"{output}: " in message
            assert option in message
    both = tmp_path / "both.json"
    assert "one path twice" in refused("predict", run, images, "--json", both, "--draw", both)
    assert tree(tmp_path) == before


def test_earlier_predictions_are_replaced_only_with_overwrite(trained, tmp_path):
    images = make_images(tmp_path / "images", 2)
    out = tmp_path / "p.json"
    assert run_cli("predict", trained.path, images, "--json", out)[0] == 0
    first = out.read_bytes()
    one = images / "00000.png"
    assert "add --overwrite" in refused("predict", trained.path, one, "--json", out)
    assert out.read_bytes() == first
    assert run_cli("predict", trained.path, one, "--json", out, "--overwrite")[0] == 0
    assert len(json.loads(out.read_text())["predictions"]) == 1
    coco = tmp_path / "c.json"
    predict_paths(crowded.Crowded(), [one], Outputs(coco_file=coco))
    with pytest.raises(fv.FoveateError, match="holds no COCO predictions"):
        predict_paths(crowded.Crowded(), [one], Outputs(coco_file=out, overwrite=True))
    with pytest.raises(fv.FoveateError, match="add --overwrite"):
        predict_paths(crowded.Crowded(), [one], Outputs(coco_file=coco))
    predict_paths(crowded.Crowded(), [images], Outputs(coco_file=coco, overwrite=True))
    assert len(json.loads(coco.read_text())["images"]) == 2


def test_a_file_may_lie_in_the_new_folder_of_drawings(tmp_path):
    images = make_images(tmp_path / "images", 2)
    out = tmp_path / "new" / "drawn"
    predict_paths(crowded.Crowded(), [images], Outputs(out / "p.json", drawings=out))
    assert sorted(path.name for path in out.iterdir()) == ["00000.png", "00001.png", "p.json"]


def test_an_empty_folder_is_found_before_anything_is_written(trained, tmp_path):
    images = make_images(tmp_path / "images", 1)
    (tmp_path / "empty").mkdir()
    words = (images, tmp_path / "empty", "--draw", tmp_path / "drawn")
    assert "no images in this folder" in refused("predict", trained.path, *words)
    assert not (tmp_path / "drawn").exists()


# --- stopped on the way


def journal_records(output: Path) -> list[dict]:
    """The records of a journal, by an independent reader."""
    lines = output.with_name(output.name + ".partial.jsonl").read_bytes().split(b"\n")
    assert lines[-1] == b""
    head, *records = map(json.loads, lines[:-1])
    assert head["foveate"] == "unfinished predictions"
    return records


def assert_complete(out: Outputs, images: Path) -> None:
    """The outputs are those of a command that was never stopped, byte for byte."""
    other = Path(tempfile.mkdtemp(dir=images.parent))
    whole = Outputs(other / "p.json", other / "c.json", other / "drawn")
    predict_paths(crowded.Crowded(), [images], whole)
    for one, same in zip(whole.files, out.files, strict=True):
        assert one.read_bytes() == same.read_bytes()
    assert tree(whole.drawings) == {
        str(whole.drawings / Path(name).relative_to(out.drawings)): content
        for name, content in tree(out.drawings).items()
    }
    assert not list(out.json_file.parent.glob("*.partial.jsonl"))


@pytest.fixture
def disk(tmp_path):
    """A disk of 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_on_a_full_disk_predict_keeps_its_predictions_and_goes_on_after_them(disk, tmp_path):
    images = make_images(tmp_path / "images", 40, side=64)
    out = Outputs(disk / "p.json", disk / "c.json", disk / "drawn")
    filler = disk / "filler"
    filler.write_bytes(bytes(200_000))
    with pytest.raises(fv.FoveateError) as caught:
        predict_paths(crowded.Crowded(), [images], out)
    kept = len(journal_records(disk / "p.json"))
    assert 0 < kept < 40
    message = str(caught.value)
    assert "The disk is full: free some space." in message
    assert f"{disk / 'p.json.partial.jsonl'} keeps the {kept} predictions made so far." in message
    assert "Then give the same command again: it goes on after them." in message
    assert not (disk / "p.json").exists()
    assert not (disk / "c.json").exists()
    filler.unlink()
    shutil.copytree(disk, tmp_path / "elsewhere")  # a larger disk
    model = crowded.Counting()
    larger = Outputs(*(tmp_path / "elsewhere" / name for name in ("p.json", "c.json", "drawn")))
    head = tmp_path / "elsewhere" / "p.json.partial.jsonl"
    head.write_text(head.read_text().replace(str(disk), str(tmp_path / "elsewhere")))
    predict_paths(model, [images], larger)
    assert model.images == 40 - kept
    assert_complete(larger, images)


def test_on_a_full_disk_an_earlier_file_stays(disk, tmp_path):
    images = make_images(tmp_path / "images", 2)
    out = Outputs(disk / "p.json", overwrite=True)
    predict_paths(crowded.Crowded(), [images], out)
    before = out.json_file.read_bytes()
    (disk / "filler").write_bytes(bytes(350_000))
    with pytest.raises(fv.FoveateError, match="disk is full"):
        predict_paths(crowded.Crowded(500), [images], out)
    assert out.json_file.read_bytes() == before
    (disk / "filler").unlink()
    predict_paths(crowded.Crowded(500), [images], out)
    assert sorted(path.name for path in disk.iterdir()) == ["p.json"]


def test_on_a_full_disk_generate_and_label_say_what_is_kept(disk, tmp_path, trained):
    from foveate.inference.generate import generate

    class Noise:
        def stages(self, texts, *, seed, guidance, steps):  # noqa: ARG002
            rng = np.random.default_rng(seed)
            return ([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)] for _ in texts)

    with pytest.raises(fv.FoveateError, match=r"keeps the \d+ images written so far") as caught:
        generate(Noise(), ["a"], disk / "generated", n=60)
    assert f"Then remove {disk / 'generated'} and give the same command" in str(caught.value)
    shutil.rmtree(disk / "generated")
    images = make_images(tmp_path / "images", 40, side=64)
    message = refused("label", images, "--with", trained.path, "--out", disk / "labelled")
    assert "The disk is full: free some space." in message
    assert "labelled.partial.jsonl keeps the 40 predictions made so far." in message
    assert [path.name for path in disk.iterdir()] == ["labelled.partial.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["ctrl-c", "closed pipe"])
def test_when_it_is_stopped_predict_says_what_is_kept(stop, tmp_path):
    images = make_images(tmp_path / "images", 3000)
    drawn, record = tmp_path / "drawn", tmp_path / "p.json"
    child = subprocess.Popen(
        crowded.command(images, "--draw", drawn, "--json", record),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HELPERS)},
    )
    while len(list(drawn.glob("*.png"))) < 3 if drawn.exists() else True:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    if stop == "ctrl-c":
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 130
    else:
        with child:
            child.stdout.close()
            err = child.stderr.read()
        assert child.returncode != 0
    kept = len(journal_records(record))
    assert 0 <= len(list(drawn.glob("*.png"))) - kept <= 1
    assert f"{record}.partial.jsonl keeps the {kept:,} predictions made so far." in err.decode()
    assert "Then give the same command again: it goes on after them." in err.decode()
    assert "Traceback" not in err.decode()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "drawn", "images", "p.json.partial.jsonl",
    ]  # fmt: skip


@pytest.mark.slow
def test_memory_is_flat_with_every_output(tmp_path):
    script = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    peaks = []
    for count in (200, 2000):
        images = make_images(tmp_path / f"images{count}", count)
        out = tmp_path / f"out{count}"
        outputs = ["--json", out / "p.json", "--coco", out / "c.json", "--draw", out]
        words = crowded.command(images, *outputs)[1:]
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HELPERS)},
        )
        peaks.append(int(done.stderr.split()[-1]) / 1024)
        assert len(json.loads((out / "c.json").read_text())["annotations"]) == 20 * count
    assert peaks[1] - peaks[0] < 10, f"{peaks} MB"


# --- the test split


def test_images_of_a_locked_test_split_are_told(trained, colours, tmp_path):
    with (trained.path / "split.csv").open(newline="") as file:
        tests = [row["id"] for row in csv.DictReader(file) if row["split"] == "test"]
    run = shutil.copytree(trained.path, tmp_path / "run")
    copies = tmp_path / "copies"
    for number, name in enumerate(tests[:3]):
        (copies / str(number)).mkdir(parents=True)
        copy = copies / str(number) / Path(name).with_suffix(".bmp").name
        Image.open(colours / name).save(copy)  # the pixels count, not the bytes
    make_images(tmp_path / "others", 2)
    code, out, _ = run_cli("predict", run, copies, tmp_path / "others")
    assert code == 0
    assert out.splitlines()[-1].startswith("! 3 images of the test split")
    assert "test split" not in run_cli("predict", run, tmp_path / "others")[1]
    (run / "split.csv").write_text("damaged")
    assert run_cli("predict", run, copies)[0] == 0
