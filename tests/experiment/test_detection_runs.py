"""Object detection from a COCO folder to a tested run. One trained run serves all tests."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import foveate as fv
from foveate.data.images import decode
from foveate.datasets.load import load
from helpers import boxes_demo
from helpers.command_line import refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boxes_demo.write(tmp_path_factory.mktemp("boxes") / "things", 50)


@pytest.fixture(scope="module")
def told(instances: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A trained and tested run, and the output of both commands; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = [
        "--task",
        "detection",
        "--model",
        "tiny_cnn",
        "--epochs",
        10,
        "--batch-size",
        8,
        "--size",
        48,
    ]
    code, trained, err = run_cli("train", instances, *words, "--out", out)
    assert code == 0, err
    assert json.loads((out / "results.json").read_text())["test"] is None
    code, tested, err = run_cli("test", out)
    assert code == 0, err
    return out, trained, tested


@pytest.fixture(scope="module")
def run(told) -> Path:
    return told[0]


@pytest.fixture(scope="module")
def images(instances: Path) -> list[Path]:
    return sorted((instances / "images").glob("*.png"))


# --- train, test, report


def test_the_output_names_data_baselines_and_metrics(told):
    run, trained, tested = told
    assert "50 images of 2 classes" in trained
    assert "mean box of each class" in trained
    assert "test split is still locked" in trained
    for said in (trained, tested):
        assert "reaches an mAP50 of" in said
        assert str(run / "report.html") in said


def test_the_weights_of_the_highest_map50_are_kept_and_the_report_says_so(run):
    opened = fv.Run.open(run)
    best = max(opened.curves, key=lambda row: (row["valid_map50"], -row["valid_loss"]))
    assert opened.results["best_epoch"] == best["epoch"]
    text = f"the highest validation mAP50, from epoch {best['epoch']:g} of 10"
    assert text in opened.report_path.read_text()


def test_results_have_metrics_with_intervals_and_lifts_over_three_baselines(run):
    results = json.loads((run / "results.json").read_text())
    assert results["primary"] == "map50"
    for split in ("valid", "test"):
        assert len(results["baseline"][split]) == 3
        assert results["best_baseline"] in results["baseline"][split]
        for metrics in (results[split], *results["baseline"][split].values()):
            for name in ("map", "map50"):
                metric = metrics[name]
                assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
                assert metric["n"] == len(fv.Run.open(run).read_predictions(split)[0])
        for name in ("map", "map50"):
            best = results["baseline"][split][results["best_baseline"]][name]["value"]
            assert results["lift"][split][name]["value"] == pytest.approx(
                results[split][name]["value"] - best
            )
    assert (
        results["valid"]["map50"]["value"] > 0.5
    )  # it has learnt something, or the other tests would be of nothing


def test_the_report_is_written_again_with_classes_and_errors(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()
    code, out, err = run_cli("report", copy)
    assert code == 0, err
    page = (copy / "report.html").read_text()
    for words in (
        "Metrics by class",
        "Types of error",
        "AP50",
        "square",
        "bar",
        "wrong class",
        "missed",
    ):
        assert words in page, words
    assert str(copy / "report.html") in out


@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_metrics_equal_those_of_predicting_the_original_files(split, run, instances):
    """Evaluation reads letterboxed images from the cache, predict reads files: both agree."""
    opened = fv.Run.open(run)
    task, _ = opened.load()
    with (run / "split.csv").open(newline="") as file:
        splits = {row["id"]: row["split"] for row in csv.DictReader(file)}
    chosen = [sample for sample in load(str(instances)) if splits[sample.id] == split]
    assert len(chosen) > 5
    predictions = opened.predict_images([decode(sample.source.path) for sample in chosen])
    found = task.score(predictions, [sample.target for sample in chosen])
    results = opened.results[split]
    for name in ("map", "map50", "map75", "recall"):
        assert found[name] == pytest.approx(results[name]["value"], abs=1e-9), name


# --- predict


def test_json_equals_the_predictions_of_python(run, images, instances, tmp_path):
    code, out, err = run_cli(
        "predict", run, instances / "images", "--json", tmp_path / "predictions.json"
    )
    assert code == 0, err
    predictions = json.loads((tmp_path / "predictions.json").read_text())["predictions"]
    assert [one["path"] for one in predictions] == [str(path) for path in images]
    assert predictions == [one.to_dict() for one in fv.Run.open(run).predict(list(images))]
    assert sum(len(one["boxes"]) for one in predictions) > 30
    for path in images:
        assert f"{path}  " in out


def test_coco_is_read_by_pycocotools_and_holds_the_same_boxes(run, images, tmp_path):
    files = tmp_path / "predictions.json", tmp_path / "coco.json"
    code, _, err = run_cli("predict", run, *images[:9], "--json", files[0], "--coco", files[1])
    assert code == 0, err
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(files[1]))
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    predictions = json.loads(files[0].read_text())["predictions"]
    assert len(coco.imgs) == len(predictions) == 9
    for image, prediction in zip(coco.loadImgs(coco.getImgIds()), predictions, strict=True):
        assert image["file_name"] == prediction["path"]
        assert (image["height"], image["width"]) == decode(prediction["path"]).shape[:2]
        own = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert [names[one["category_id"]] for one in own] == [
            box["class"] for box in prediction["boxes"]
        ]
        assert [one["score"] for one in own] == [box["score"] for box in prediction["boxes"]]
        for one, box in zip(own, prediction["boxes"], strict=True):
            left, top, width, height = one["bbox"]
            assert [left, top, left + width, top + height] == pytest.approx(
                box["box"], abs=0.011
            )  # rounded to 0.01
            assert one["area"] == pytest.approx(width * height, abs=1)


def test_drawings_of_images_with_equal_names_get_different_names(run, images, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(images[0], tmp_path / folder / "same.png")
    words = ["predict", run, tmp_path / "a", tmp_path / "b", "--draw", tmp_path / "new" / "drawn"]
    code, _, err = run_cli(*words, "--json", tmp_path / "predictions.json")
    assert code == 0, err
    written = json.loads((tmp_path / "predictions.json").read_text())["predictions"]
    drawn = [one["drawing"] for one in written]
    assert len(set(drawn)) == 2
    assert sorted(drawn) == sorted(path.name for path in (tmp_path / "new" / "drawn").iterdir())
    for name in drawn:
        with Image.open(tmp_path / "new" / "drawn" / name) as image:
            assert image.format == "PNG"
    assert "a new or empty folder is expected" in refused(*words)
    assert sorted(path.name for path in (tmp_path / "new" / "drawn").iterdir()) == sorted(drawn)
    assert "a new or empty folder" in refused("predict", run, tmp_path / "a", "--draw", images[0])


def test_predict_takes_tiles_and_refuses_too_small_ones(run, images, tmp_path):
    rows = [
        np.concatenate([np.array(Image.open(path)) for path in images[n:9:3]], 1) for n in (0, 0)
    ]
    large = tmp_path / "large.png"
    Image.fromarray(np.concatenate(rows)).save(large)
    code, out, err = run_cli("predict", run, large, "--tile", 48)
    assert code == 0, err
    assert f"{large}  " in out
    assert "at least 12 px" in refused("predict", run, large, "--tile", 11)


@pytest.mark.parametrize("option", ["--coco", "--tile"])
def test_a_run_without_boxes_refuses_options_that_need_them(option, trained, images, tmp_path):
    value = 48 if option == "--tile" else tmp_path / "coco.json"
    error = refused("predict", trained.path, images[0], option, value)
    assert "classification" in error
    assert not (tmp_path / "coco.json").exists()


# --- video


def film(path: Path, images: list[Path], count: int = 5) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (48, 48))
    assert writer.isOpened()
    for image in images[:count]:
        writer.write(np.ascontiguousarray(np.array(Image.open(image).resize((48, 48)))[..., ::-1]))
    writer.release()
    return path


def test_every_frame_of_a_video_is_predicted_and_drawn(run, images, tmp_path):
    path = film(tmp_path / "film.avi", images)
    words = [
        "--json",
        tmp_path / "predictions.json",
        "--draw",
        tmp_path / "drawn",
        "--coco",
        tmp_path / "coco.json",
    ]
    code, _, err = run_cli("predict", run, path, *words)
    assert code == 0, err
    predictions = json.loads((tmp_path / "predictions.json").read_text())["predictions"]
    assert [one["path"] for one in predictions] == [str(path)] * 5
    assert [one["frame"] for one in predictions] == list(range(5))
    assert [one.name for one in (tmp_path / "drawn").iterdir()] == ["film.mp4"]
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [(one["file_name"], one["frame"]) for one in coco["images"]] == [
        (str(path), number) for number in range(5)
    ]
    assert (
        sum(len(one["boxes"]) for one in predictions) > 0
    )  # red is red: frames come as RGB, not as OpenCV has them


@pytest.mark.parametrize("kind", ["none", "empty", "broken off"])
def test_a_damaged_video_is_skipped_and_reported_and_alone_it_is_an_error(
    kind, run, images, tmp_path
):
    folder = tmp_path / "folder"
    folder.mkdir()
    whole = film(tmp_path / "whole.avi", images, 40).read_bytes()
    bad = folder / "bad.avi"
    bad.write_bytes(
        {"none": b"no video at all" * 50, "empty": b"", "broken off": whole[: len(whole) // 2]}[
            kind
        ]
    )
    for image in images[:2]:
        shutil.copy(image, folder)
    code, out, err = run_cli("predict", run, folder, "--json", tmp_path / "predictions.json")
    assert code == 0, err
    written = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["path"] for one in written["skipped"]] == [str(bad)]
    assert "video" in written["skipped"][0]["reason"]
    assert f"skipped {bad}" in out + err
    frames = [one for one in written["predictions"] if "frame" in one]
    assert len(written["predictions"]) - len(frames) == 2
    assert (0 < len(frames) < 40) == (kind == "broken off")
    if kind != "broken off":
        assert str(bad) in refused("predict", run, bad)
