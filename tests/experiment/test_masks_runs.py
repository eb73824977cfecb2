"""Semantic and instance masks from a folder to a tested run. Two trained runs serve all tests."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import foveate as fv
from foveate import formats
from foveate.annotations import Instances
from foveate.data.images import decode
from foveate.datasets.load import load
from helpers import masks_demo
from helpers.command_line import hurry, refused, run_cli

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation:DeprecationWarning"
    ),  # pycocotools' own
]


def trained_and_tested(data: Path, out: Path, *words: object) -> Path:
    """A trained and tested run; not to be changed."""
    words = ("--model", "tiny_cnn", "--size", 32, "--batch-size", 8, *words)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        for line in (("train", data, *words, "--out", out), ("test", out)):
            code, said, err = run_cli(*line)
            assert code == 0, err
            assert str(out / "report.html") in said
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


@pytest.fixture(scope="module")
def classes(place: Path) -> Path:
    """A run of `semantic`, on label maps with gaps in their palette."""
    return trained_and_tested(
        masks_demo.write_pairs(place / "pairs", 20, shapes=masks_demo.SQUARE),
        place / "classes",
        "--epochs",
        3,
    )


@pytest.fixture(scope="module")
def instances(place: Path) -> Path:
    """A run of `instance`, on outlines of two classes that overlap."""
    data = masks_demo.write_coco(place / "coco", 40, shapes=masks_demo.SQUARE)
    return trained_and_tested(data, place / "instances", "--epochs", 12)


@pytest.fixture(scope="module")
def images(place: Path) -> list[Path]:
    """Images of several sizes and aspects, with objects in them."""
    folder = place / "pictures"
    folder.mkdir()
    for row, (pixels, _) in enumerate(
        masks_demo.made(6, seed=5, shapes=((48, 48), (45, 61), (64, 40)))
    ):
        Image.fromarray(pixels).save(folder / f"{row}.png")
    Image.fromarray(np.zeros((3, 200, 3), np.uint8)).save(folder / "a strip.png")
    return sorted(folder.glob("*.png"))


def predicted(run: Path, images: list[Path], tile: int | None = None) -> list:
    """The confident predictions, from Python."""
    opened = fv.Run.open(run)
    task, _ = opened.load()
    return [
        task.confident(prediction)
        for prediction in opened.predict_images([decode(path) for path in images], tile)
    ]


# --- train, test, report


@pytest.mark.parametrize(("name", "primary_metric"), [("classes", "miou"), ("instances", "map50")])
def test_results_have_metrics_with_intervals_and_lifts_over_baselines(
    name, primary_metric, request
):
    run = request.getfixturevalue(name)
    results = json.loads((run / "results.json").read_text())
    assert results["primary"] == primary_metric
    for split in ("valid", "test"):
        assert results["best_baseline"] in results["baseline"][split]
        for metrics in (results[split], *results["baseline"][split].values()):
            assert (
                0
                <= metrics[primary_metric]["low"]
                <= metrics[primary_metric]["value"]
                <= metrics[primary_metric]["high"]
                <= 1
            )
            assert metrics[primary_metric]["n"] == len(fv.Run.open(run).read_predictions(split)[0])
        best = results["baseline"][split][results["best_baseline"]][primary_metric]["value"]
        assert results["lift"][split][primary_metric]["value"] == pytest.approx(
            results[split][primary_metric]["value"] - best
        )


def test_the_runs_have_learnt_something(classes, instances, images):
    assert json.loads((instances / "results.json").read_text())["valid"]["map50"]["value"] > 0.4
    assert sum(len(prediction) for prediction in predicted(instances, images)) > 4
    assert (
        len(
            {
                k
                for prediction in predicted(classes, images)
                for k in np.unique(prediction.pixels.read())
            }
        )
        > 1
    )


@pytest.mark.parametrize("name", ["classes", "instances"])
def test_the_report_is_written_again_with_the_classes(name, request, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(request.getfixturevalue(name), copy)
    (copy / "report.html").unlink()
    code, out, err = run_cli("report", copy)
    assert code == 0, err
    assert str(copy / "report.html") in out
    page = (copy / "report.html").read_text()
    assert "square" in page
    assert "bar" in page


@pytest.mark.parametrize(("name", "data"), [("classes", "pairs"), ("instances", "coco")])
@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_metrics_equal_those_of_predicting_the_original_files(
    name, data, split, request, place
):
    """Evaluation reads letterboxed images from the cache, predict reads files: both agree."""
    opened = fv.Run.open(request.getfixturevalue(name))
    task, _ = opened.load()
    ids = opened.read_predictions(split)[0]
    chosen = [sample for sample in load(str(place / data)) if sample.id in ids]
    assert len(chosen) == len(ids) > 2
    predictions = opened.predict_images([decode(sample.source.path) for sample in chosen])
    found, told = (
        task.score(predictions, [sample.target for sample in chosen]),
        opened.results[split],
    )
    for metric, value in found.items():
        known = np.nan if told[metric]["value"] is None else told[metric]["value"]
        assert known == pytest.approx(value, abs=1e-9, nan_ok=True), metric


# --- predict


@pytest.mark.parametrize("tile", [None, 24, 1000])
def test_written_label_maps_equal_the_predictions_in_the_colours_of_the_data(
    tile, classes, images, tmp_path
):
    words = [
        "--masks",
        tmp_path / "masks",
        "--json",
        tmp_path / "predictions.json",
        *(["--tile", tile] if tile else []),
    ]
    code, out, err = run_cli("predict", classes, *images, *words)
    assert code == 0, err
    told = json.loads((tmp_path / "predictions.json").read_text())
    assert told["classes"] == list(masks_demo.CLASSES)
    task, _ = fv.Run.open(classes).load()
    predictions = predicted(classes, images, tile)
    assert len(told["predictions"]) == len(predictions) == len(images)
    for path, one, prediction in zip(images, told["predictions"], predictions, strict=True):
        assert one["path"] == str(path)
        assert {key: one[key] for key in ("shares", "pixels")} == task.to_dict(prediction)
        assert one["masks"] == [f"{path.stem}.png"]
        assert f"{path}  {task.summary(prediction)}" in out
        with Image.open(tmp_path / "masks" / one["masks"][0]) as image:
            assert image.mode == "P"
            assert image.size[::-1] == decode(path).shape[:2]
            assert np.array_equal(np.asarray(image), prediction.pixels.read())
            colours = np.reshape(
                image.getpalette("RGB")[: 3 * len(masks_demo.COLOURS)], (-1, 3)
            ).tolist()
        assert [tuple(colour) for colour in colours] == list(masks_demo.COLOURS)


def test_drawings_are_new_images(classes, instances, images, tmp_path):
    for name, run in (("classes", classes), ("instances", instances)):
        code, _, err = run_cli("predict", run, *images, "--draw", tmp_path / name)
        assert code == 0, err
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(
            path.name for path in images
        )
        task, _ = fv.Run.open(run).load()
        for path, prediction in zip(images, predicted(run, images), strict=True):
            with Image.open(tmp_path / name / path.name) as drawn:
                assert np.array_equal(np.asarray(drawn), task.draw(decode(path), prediction))


@pytest.mark.parametrize("tile", [None, 32])
def test_coco_is_read_by_pycocotools_and_holds_the_masks(tile, instances, images, tmp_path):
    words = [
        "--coco",
        tmp_path / "coco.json",
        "--masks",
        tmp_path / "masks",
        "--json",
        tmp_path / "predictions.json",
    ]
    code, _, err = run_cli(
        "predict", instances, *images, *words, *(["--tile", tile] if tile else [])
    )
    assert code == 0, err
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "coco.json"))
        results = coco.loadRes(coco.dataset["annotations"])
    told = json.loads((tmp_path / "predictions.json").read_text())["predictions"]
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert sum(map(len, predicted(instances, images, tile))) > 2
    for image, one, prediction in zip(
        coco.loadImgs(coco.getImgIds()), told, predicted(instances, images, tile), strict=True
    ):
        assert image["file_name"] == one["path"]
        own = results.loadAnns(results.getAnnIds(image["id"]))
        masks = prediction.masks((image["height"], image["width"]))
        assert len(own) == len(one["instances"]) == len(prediction)
        with Image.open(tmp_path / "masks" / one["masks"][0]) as image:
            numbered = np.asarray(image)
        for instance, words, mask, number in zip(
            own, one["instances"], masks, one["numbers"], strict=True
        ):
            assert np.array_equal(results.annToMask(instance), mask)
            assert instance["segmentation"]["counts"] == words["mask"]
            assert names[instance["category_id"]] == words["class"]
            assert instance["score"] == pytest.approx(words["score"], abs=1e-6)
            left, top, width, height = instance["bbox"]
            assert [left, top, left + width, top + height] == words["box"]
            assert mask[numbered == number].all()
        assert np.array_equal(numbered > 0, masks.any(0))


def test_label_images_of_objects_are_read_again_as_data(instances, images, tmp_path):
    shutil.copytree(images[0].parent, tmp_path / "data" / "images")
    words = ["--masks", tmp_path / "masks", "--json", tmp_path / "predictions.json"]
    code, _, err = run_cli("predict", instances, tmp_path / "data" / "images", *words)
    assert code == 0, err
    predictions = json.loads((tmp_path / "predictions.json").read_text())["predictions"]
    written = [name for one in predictions for name in one["masks"]]
    assert sorted(written) == sorted(path.name for path in (tmp_path / "masks").iterdir())
    (tmp_path / "data" / "instances").mkdir()
    for one in predictions:
        name = one["masks"][0]
        (tmp_path / "masks" / name).rename(tmp_path / "data" / "instances" / name)
    data = formats.read(tmp_path / "data")
    assert data.format == "instance-labels"
    for sample, one in zip(data, predictions, strict=True):
        with Image.open(tmp_path / "data" / "instances" / one["masks"][0]) as image:
            assert image.mode == "I;16"
            assert np.array_equal(sample.target.label_map(), np.asarray(image))


# --- what is refused


@pytest.mark.parametrize("option", ["--masks", "--draw"])
def test_a_folder_that_is_not_empty_is_refused_and_left_alone(option, classes, images, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "0.png").write_bytes(b"precious")
    assert f"Name a new folder with {option}" in refused(
        "predict", classes, images[0], option, tmp_path / "full"
    )
    assert [path.read_bytes() for path in (tmp_path / "full").iterdir()] == [b"precious"]
    assert "a new or empty folder is expected" in refused(
        "predict", classes, images[0], option, tmp_path / "full" / "0.png"
    )


def test_a_run_without_masks_refuses_them(trained, images, tmp_path):
    error = refused("predict", trained.path, images[0], "--masks", tmp_path / "masks")
    assert "classification" in error
    assert "--masks" in error
    assert list(tmp_path.rglob("*.png")) == []


def test_a_run_without_objects_refuses_coco(classes, images, tmp_path):
    assert "semantic" in refused("predict", classes, images[0], "--coco", tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()


def test_one_folder_for_drawings_and_masks_loses_nothing(classes, images, tmp_path):
    words = [
        "predict",
        classes,
        images[0],
        "--masks",
        tmp_path / "both",
        "--draw",
        tmp_path / "both",
    ]
    code, _, _ = run_cli(*words)
    assert code == 2 or len(list((tmp_path / "both").iterdir())) == 2


def test_a_file_that_is_not_an_image_is_skipped_and_reported(classes, images, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    words = ["--masks", tmp_path / "masks", "--json", tmp_path / "predictions.json"]
    code, out, err = run_cli("predict", classes, tmp_path / "bad.png", images[0], *words)
    assert code == 0, err
    assert "skipped" in out + err
    written = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["path"] for one in written["skipped"]] == [str(tmp_path / "bad.png")]
    assert len(list((tmp_path / "masks").iterdir())) == 1


def test_predictions_are_annotations_of_the_size_of_their_image(instances, images):
    for path, prediction in zip(images, predicted(instances, images), strict=True):
        assert isinstance(prediction, Instances)
        assert prediction.boxes.size == decode(path).shape[:2]
