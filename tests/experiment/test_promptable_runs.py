"""Promptable segmentation: train, test, click on the command line and in Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.ops import rle
from helpers import masks_demo
from helpers.command_line import hurry, refused, run_cli
from helpers.killing import killed_and_resumed

pytestmark = [
    pytest.mark.slow,  # trains a network that must learn something
    pytest.mark.usefixtures("one_thread"),
]


def pixels(text: str, size: tuple[int, int]) -> np.ndarray:
    """The mask of COCO's compressed RLE."""
    return rle.decode(rle.from_coco_string(text, size), size)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masks_demo.write_coco(
        tmp_path_factory.mktemp("outlined") / "data", 24, shapes=masks_demo.SQUARE
    )


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> fv.Run:
    path = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        words = (
            "--task",
            "promptable",
            "--model",
            "tiny_cnn",
            "--epochs",
            12,
            "--batch-size",
            4,
            "--set",
            "augment=none",
        )
        code, said, err = run_cli("train", data, *words, "--set", "ema=0.9", "--out", path)
        assert code == 0, err
        assert "baselines, validation IoU after 1 click: flood fill" in said
        code, said, err = run_cli("test", path)
        assert code == 0, err
        assert "after one click and" in said
    return fv.Run.open(path)


@pytest.fixture(scope="module")
def image(data: Path) -> Path:
    return min(data.rglob("*.png"))


def test_metrics_have_intervals_and_baselines(run):
    for split in ("valid", "test"):
        metrics = run.results[split]
        assert set(metrics) == {"iou_1", "iou_3", "iou_5", "within_5_clicks", "mean_clicks"}
        assert metrics["iou_1"]["low"] <= metrics["iou_1"]["value"] <= metrics["iou_1"]["high"]
        assert 1 <= metrics["mean_clicks"]["value"] <= 6
        assert set(run.results["baseline"][split]) == {"flood fill", "disk of the median size"}
    page = run.report_path.read_text()
    for title in (
        "IoU after each click",
        "Objects with a good mask",
        "IoU after one click, by class",
        "Hardest objects",
    ):
        assert title in page


def test_a_click_gives_the_same_mask_on_the_command_line_and_in_python(run, image, tmp_path):
    out = [tmp_path / name for name in ("predictions.json", "coco.json", "masks", "drawn")]
    options = ("--json", out[0], "--coco", out[1], "--masks", out[2], "--draw", out[3])
    code, said, err = run_cli(
        "predict", run.path, image, "--point", "20,20", "--outside", "1,47", *options
    )
    assert code == 0, err
    assert "an object of" in said
    predictor = run.set_image(image)
    mask = predictor.predict([(20, 20, True), (1, 47, False)])
    (prediction,) = json.loads(out[0].read_text())["predictions"]
    (instance,) = prediction["instances"]
    assert instance["pixels"] == mask.sum()
    assert instance["score"] == pytest.approx(predictor.predicted_iou, abs=1e-5)
    assert np.array_equal(pixels(instance["mask"], mask.shape), mask)
    (drawn,) = json.loads(out[1].read_text())["annotations"]
    assert drawn["segmentation"]["size"] == list(mask.shape)
    assert np.array_equal(pixels(drawn["segmentation"]["counts"], mask.shape), mask)
    (stencil,) = out[2].rglob("*.png")
    assert np.array_equal(np.asarray(Image.open(stencil)) > 0, mask)
    (shown,) = out[3].glob("*.png")
    assert np.asarray(Image.open(shown)).shape[2] == 3


def test_an_image_takes_any_number_of_prompts(run, image):
    predictor = run.set_image(np.asarray(Image.open(image).convert("RGB")))
    first = predictor.click(20, 20)
    second = predictor.click(2, 2, inside=False)
    predictor.reset()
    assert np.array_equal(predictor.click(20, 20), first)
    assert second.shape == first.shape
    assert predictor.box(4, 4, 30, 30).shape == first.shape


def test_without_a_prompt_all_objects_are_predicted(run, image):
    prediction = run.predict(image).to_dict()
    masks = [pixels(instance["mask"], (48, 48)) for instance in prediction["instances"]]
    for row, one in enumerate(masks):
        assert prediction["instances"][row]["score"] >= 0.7
        for other in masks[:row]:
            assert (one & other).sum() <= 0.5 * (one | other).sum()


def test_senseless_prompts_are_refused(run, image):
    for words, told in {
        ("--point", "48,3"): "a pixel of an image of 48 x 48 is expected, got 48,3",
        ("--point", "-1,3"): "a pixel of an image of 48 x 48 is expected",
        ("--point", "3"): "2 numbers separated by commas are expected, got '3'",
        ("--point", "a,b"): "2 numbers separated by commas are expected",
        ("--point", "nan,1"): "2 numbers separated by commas are expected",
        ("--box", "1,2,3"): "4 numbers separated by commas are expected",
        ("--box", "9,9,9,20"): "left, top, right and bottom are expected",
        ("--point", "5,5", "--outside", "5.5,5"): "the pixel 5,5 is both inside and outside",
        ("--point", "5,5", "--tile", "64"): "either a tile size or a prompt is expected",
    }.items():
        assert told in refused("predict", run.path, image, *words), words


def test_a_run_of_another_task_takes_no_prompts(trained, image):
    assert "predicts for whole images, without prompts" in refused(
        "predict", trained.path, image, "--point", "5,5"
    )
    with pytest.raises(fv.FoveateError, match="without prompts"):
        trained.set_image(image)


def test_data_without_outlines_is_refused(colours, tmp_path):
    told = refused("train", colours, "--task", "promptable", "--out", tmp_path / "run")
    assert "these annotations are for the task 'classification', not 'promptable'" in told


def test_a_split_without_objects_is_refused(tmp_path):
    data = masks_demo.instances(12, shapes=masks_demo.SQUARE)
    unclear = [
        replace(
            sample,
            target=replace(
                target, boxes=replace(target.boxes, difficult=np.ones(len(target), bool))
            ),
        )
        for sample in data
        if (target := sample.target) is not None
    ]
    with pytest.raises(
        fv.FoveateError, match="no image of the train split has an object to click on"
    ):
        fv.train(replace(data, samples=unclear), task="promptable", out=tmp_path / "run")


def test_a_killed_run_resumes_to_the_same_bits(data, tmp_path, monkeypatch):
    """Slow: it trains and kills a process. Random clicks must be the same again."""
    hurry(monkeypatch)
    settings = {
        "task": "promptable",
        "model": "tiny_cnn",
        "epochs": 4,
        "batch_size": 4,
        "size": 32,
        "ema": 0.9,
    }
    killed_and_resumed(data, tmp_path, {**settings, "save_seconds": 0.0, "augment": "strong"})
