"""Predictions survive whatever stops the command, and the same command goes on after them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.errors import BadImage, Cancelled
from foveate.inference import inputs
from foveate.inference.predict import predict_paths
from foveate.inference.prediction_outputs import Outputs
from foveate.progress import NullReporter
from helpers import crowded
from helpers.command_line import refused, run_cli

HELPERS = Path(__file__).parents[1]


def make_images(folder: Path, count: int) -> Path:
    """Images whose first red value is their number."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        pixels[0, 0, 0] = number
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


class Recorder(NullReporter):
    """Keeps the lines that it receives."""

    def __init__(self):
        self.lines: list[str] = []

    def info(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.lines.append(f"! {text}")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_images(tmp_path / "images", 12)


@pytest.fixture
def out(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "p.json", tmp_path / "c.json", tmp_path / "drawn")


def journal_of(out: Outputs) -> Path:
    return out.json_file.with_name("p.json.partial.jsonl")


def stop_after(images: Path, out: Outputs, count: int, monkeypatch) -> None:
    """A command that is stopped by Ctrl-C before the image of this number."""

    class Stopped(crowded.Crowded):
        def predict_images(self, images, tile=None):
            if any(image[0, 0, 0] == count for image in images):
                raise KeyboardInterrupt
            return super().predict_images(images, tile)

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "_BATCH_SIZE", 1)
        with pytest.raises(Cancelled):
            predict_paths(Stopped(), [images], out)


def contents(out: Outputs) -> list[object]:
    drawn = sorted(out.drawings.iterdir())
    return [path.read_bytes() for path in (*out.files, *drawn)] + [path.name for path in drawn]


def whole(images: Path, folder: Path, model=None) -> list[object]:
    """What a command writes that is never stopped."""
    folder.mkdir()
    out = Outputs(folder / "p.json", folder / "c.json", folder / "drawn")
    predict_paths(model or crowded.Crowded(), [images], out)
    return contents(out)


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", None])
def test_a_killed_command_loses_no_batch_that_it_has_predicted(name, tmp_path):
    images, drawn = make_images(tmp_path / "images", 100), tmp_path / "drawn"
    words = ["--draw", drawn] + (["--json", tmp_path / name] if name else [])
    environment = {**os.environ, "PYTHONPATH": str(HELPERS)}

    def run(model: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            crowded.command(images, *words),
            capture_output=True,
            text=True,
            env={**environment, "MODEL": model},
        )

    assert run("killed").returncode == -signal.SIGKILL
    journal = (
        drawn / "predictions.partial.jsonl" if name is None else tmp_path / f"{name}.partial.jsonl"
    )
    kept = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [Path(one["path"]).name for one in kept[1:]] == [f"{n:03}.png" for n in range(64)]
    done = run("crowded")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("going on after 64 predictions made before")
    # One line says that it goes on, one the classes that were found, one where the files are.
    assert len(done.stdout.splitlines()) == 1 + 36 + 2
    assert "100 predictions, in " in done.stdout.splitlines()[-1]
    assert not journal.exists()
    assert sorted(path.name for path in drawn.iterdir()) == [f"{n:03}.png" for n in range(100)]
    if name == "p.json":
        predictions = json.loads((tmp_path / name).read_text())["predictions"]
    elif name == "p.jsonl":
        predictions = list(map(json.loads, (tmp_path / name).read_text().splitlines()))
        assert {one["foveate"] for one in predictions} == {"predictions"}
    if name:
        assert [Path(one["path"]).name for one in predictions] == [
            f"{n:03}.png" for n in range(100)
        ]
        assert all(len(one["boxes"]) == 20 for one in predictions)


@pytest.mark.parametrize("count", [1, 7, 11])
def test_a_stopped_command_ends_with_the_bytes_of_an_unbroken_one(
    count, images, out, tmp_path, monkeypatch
):
    expected = whole(images, tmp_path / "whole")
    stop_after(images, out, count, monkeypatch)
    model = crowded.Counting()
    predict_paths(model, [images], out)
    assert model.images == 12 - count
    assert contents(out) == expected
    assert not journal_of(out).exists()


@pytest.mark.parametrize("damage", ["cut short", "nothing after it", "zeros", "in the middle"])
def test_a_damaged_line_costs_its_prediction_only(damage, images, out, tmp_path, monkeypatch):
    expected = whole(images, tmp_path / "whole")
    stop_after(images, out, 7, monkeypatch)
    lines = journal_of(out).read_bytes().splitlines(keepends=True)
    if damage == "cut short":
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
    elif damage == "nothing after it":
        lines[-1] = lines[-1].rstrip(b"\n")
    elif damage == "zeros":
        lines[-1] = bytes(len(lines[-1]))
    else:
        lines[3] = lines[3][:20] + b"\n"
    journal_of(out).write_bytes(b"".join(lines))
    model = crowded.Counting()
    predict_paths(model, [images], out)
    assert model.images == 12 - 7 + 1
    assert contents(out) == expected


def test_images_may_come_change_and_go_in_between(images, out, tmp_path, monkeypatch):
    stop_after(images, out, 7, monkeypatch)
    (images / "002.png").unlink()
    shutil.copy(images / "005.png", images / "000a.png")
    Image.fromarray(np.full((20, 24, 3), 9, np.uint8)).save(images / "004.png")
    (out.drawings / "003.png").unlink()
    model = crowded.Counting()
    predict_paths(model, [images], out)
    assert model.images == 5 + 3  # those that were missing; new, changed, without a drawing
    (out.drawings / "002.png").unlink()  # of the image that is gone
    assert contents(out) == whole(images, tmp_path / "whole")


def test_records_of_another_command_are_not_lost(images, out, monkeypatch):
    stop_after(images, out, 7, monkeypatch)
    before = journal_of(out).read_bytes()

    class Other(crowded.Crowded):
        name = "other"

    with pytest.raises(fv.FoveateError, match=r"unfinished predictions of another.*model crowded"):
        predict_paths(Other(), [images], out)
    with pytest.raises(fv.FoveateError, match="tile None, not 64"):
        predict_paths(crowded.Crowded(), [images], out, tile=64)
    assert journal_of(out).read_bytes() == before
    anew = Outputs(out.json_file, overwrite=True)
    predict_paths(Other(), [images], anew)
    record = json.loads(out.json_file.read_text())
    assert (record["run"], len(record["predictions"])) == ("other", 12)
    assert not journal_of(out).exists()


def test_what_lies_in_the_place_of_the_journal_is_not_replaced(images, out, tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    for make in (
        lambda path: path.write_text('{"foveate": "something else"}\n'),
        lambda path: path.symlink_to(mine),
        lambda path: path.mkdir(),
    ):
        make(journal_of(out))
        with pytest.raises(fv.FoveateError, match=r"partial\.jsonl"):
            predict_paths(crowded.Crowded(), [images], out)
        if journal_of(out).is_dir():
            journal_of(out).rmdir()
        else:
            journal_of(out).unlink()
    assert mine.read_text() == "mine"
    assert not out.drawings.exists()


def test_two_processes_do_not_write_one_journal(images, out):
    class Second(crowded.Crowded):
        def predict_images(self, images, tile=None):
            anew = Outputs(out.json_file, overwrite=True)  # another command
            for outputs in (out, anew):
                with pytest.raises(fv.FoveateError, match="another process"):
                    predict_paths(crowded.Crowded(), [self.folder], outputs)
            return super().predict_images(images, tile)

    model = Second()
    model.folder = images
    predict_paths(model, [images], out)
    assert len(json.loads(out.json_file.read_text())["predictions"]) == 12


# --- an image on which the model fails


def test_an_image_on_which_the_model_fails_loses_no_other(images, out):
    model = crowded.Counting(fails_at=frozenset({3, 5}))
    with pytest.raises(ZeroDivisionError) as caught:
        predict_paths(model, [images], out)
    assert "failed on 2 images" in caught.value.__notes__[0]
    assert str(images / "003.png") in caught.value.__notes__[0]
    record = json.loads(out.json_file.read_text())
    assert len(record["predictions"]) == 10
    assert [Path(one["path"]).name for one in record["skipped"]] == ["003.png", "005.png"]
    assert "ZeroDivisionError: a bug in the net" in record["skipped"][0]["reason"]
    assert len(list(out.drawings.iterdir())) == 10
    assert not journal_of(out).exists()


def test_a_model_that_fails_again_and_again_is_stopped(images, out):
    model = crowded.Counting(fails_at=frozenset(range(4, 12)))
    with pytest.raises(ZeroDivisionError) as caught:
        predict_paths(model, [images], out)
    assert "keeps the 4 predictions made so far" in caught.value.__notes__[0]
    assert not out.json_file.exists()
    mended = crowded.Counting()
    predict_paths(mended, [images], out)
    assert mended.images == 8
    assert len(json.loads(out.json_file.read_text())["predictions"]) == 12


def test_a_bug_keeps_its_traceback_and_exit_code(images, out, monkeypatch):
    from foveate.cli import predict

    monkeypatch.setattr(predict, "open_model", lambda *_: crowded.Counting(fails_at=frozenset({3})))
    code, text, err = run_cli("predict", crowded.RUN, images, "--json", out.json_file)
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("The model failed on 1 image")
    assert f"11 predictions, 1 skipped, in {out.json_file}" in text


def test_an_image_that_does_not_fit_the_net_is_skipped(images, out):
    class Picky(crowded.Crowded):
        def predict_images(self, images, tile=None):
            if any(image[0, 0, 0] == 3 for image in images):
                raise BadImage("an image of 3 channels is expected, got 5")
            return super().predict_images(images, tile)

    result = predict_paths(Picky(), [images], out)
    assert (result.count, len(result.skipped)) == (11, 1)
    assert result.skipped[0].reason == "an image of 3 channels is expected, got 5"


# --- names


def test_any_name_is_predicted_drawn_and_told(tmp_path):
    folder = tmp_path / "C# shots" / "day 1"
    folder.mkdir(parents=True)
    names = [
        "a#1.png", "50%.png", "a b.png", "new\nline.png", "[x].png", "猫.png", "A.png", "a.png",
        "a.bmp", "a-2.png", "b.png", "b-classes.png", "x" * 251 + ".png",
        os.fsdecode(b"caf\xe9.png"),
    ]  # fmt: skip
    pixels = Image.fromarray(np.zeros((9, 9, 3), np.uint8))
    for name in names:
        pixels.save(folder / name, "BMP" if name.endswith("bmp") else "PNG")
    out = Outputs(tmp_path / "p.jsonl", tmp_path / "c.json", tmp_path / "drawn")
    result = predict_paths(crowded.Crowded(), [tmp_path / "C# shots"], out)
    assert (result.count, result.skipped) == (len(names), [])
    records = list(map(json.loads, out.json_file.read_text().splitlines()))
    assert {os.fsencode(one["path"]) for one in records} == {
        os.fsencode(folder / name) for name in names
    }
    drawn = [one["drawing"] for one in records]
    assert len({name.casefold() for name in drawn}) == len(names)
    assert not {"b.png", "b-classes.png"} <= set(drawn)  # --masks writes x.png and x-classes.png
    assert sorted(map(os.fsencode, drawn)) == sorted(
        map(os.fsencode, (one.name for one in out.drawings.iterdir()))
    )
    assert not any("frame" in one for one in records)


def test_hidden_files_and_loops_are_left_out_and_nothing_is_taken_twice(tmp_path):
    images = make_images(tmp_path / "images", 3)
    for hidden in (".hidden", "__MACOSX", ".ipynb_checkpoints", "sub/.trash"):
        (images / hidden).mkdir(parents=True)
        shutil.copy(images / "000.png", images / hidden / "copy.png")
    shutil.copy(images / "000.png", images / "._000.png")
    shutil.copy(images / "000.png", images / "sub" / "more.png")
    (images / "sub" / "loop").symlink_to(images)
    (images / "sub" / "again").symlink_to(images / "sub")
    reporter = Recorder()
    given = [images, images / "001.png", images / "sub" / ".." / "002.png", images]
    result = predict_paths(crowded.Crowded(), given, reporter=reporter)
    assert result.count == 4
    assert "6 files given more than once: each is taken once" in reporter.lines
    assert sum("a link to a folder" in line for line in reporter.lines) == 2 * 2
    hidden = images / "._000.png"  # named itself, it is wanted
    assert predict_paths(crowded.Crowded(), [hidden]).count == 1


def test_the_names_of_files_stay_in_their_folder(tmp_path):
    """The stem of "...png" is "..": as the name of a folder it would lead out of it."""
    path = tmp_path / "...png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path, "PNG")
    out = Outputs(drawings=tmp_path / "drawn")
    predict_paths(crowded.Crowded(), [path], out)
    assert [one.name for one in out.drawings.iterdir()] == ["_...png"]


def test_the_last_line_sums_up(trained, tmp_path):
    images = make_images(tmp_path / "images", 3)
    (images / "broken.png").write_bytes(b"no image")
    code, text, _ = run_cli("predict", trained.path, images, "--json", tmp_path / "p.json")
    assert code == 0
    assert text.splitlines()[-1] == f"3 predictions, 1 skipped, in {tmp_path / 'p.json'}"
    assert (
        run_cli("predict", trained.path, images)[1].splitlines()[-1] == "3 predictions, 1 skipped"
    )
    assert "add --overwrite" in refused(
        "predict", trained.path, images, "--json", tmp_path / "p.json"
    )
