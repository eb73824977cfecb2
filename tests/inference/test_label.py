"""Proposed labels: datasets that foveate reads and trains on, the least confident first."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.annotations import Boxes, Instances, Label, Mask
from foveate.annotations.records import from_record, to_record
from foveate.errors import Cancelled
from foveate.inference import inputs
from foveate.inference.label import label
from foveate.tasks import clicking
from helpers import masks_demo
from helpers.command_line import hurry, refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")


def proposals(out: Path) -> list[dict[str, str]]:
    with out.with_name(f"{out.name}.proposals.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def unlabelled(colours: Path, tmp_path: Path) -> Path:
    """Unlabelled images in two folders, and a broken file."""
    folder = tmp_path / "unlabelled"
    (folder / "more").mkdir(parents=True)
    for number, path in enumerate(sorted(colours.rglob("*.png"))[::5]):
        (folder / ("more" if number % 2 else "") / f"{number}.png").write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_classes_are_proposed_and_trained_on(trained, unlabelled, tmp_path, monkeypatch):
    out = tmp_path / "proposed"
    code, text, err = run_cli("label", unlabelled, "--with", trained.path, "--out", out)
    assert code == 0, err
    assert "12 images labelled in" in text
    assert f"skipped {unlabelled / 'broken.png'}" in text
    read = fv.load(out)
    assert set(read.classes) <= {"blue", "green", "red"}
    names = [sample.source.path.name for sample in read]
    predictions = {Path(row["id"]).name: row["prediction"] for row in proposals(out)}
    assert sorted(names) == sorted(predictions)
    for sample, name in zip(read, names, strict=True):
        assert predictions[name].startswith(read.classes[sample.target.index])
        assert sample.source.path.read_bytes() == next(unlabelled.rglob(name)).read_bytes()
    confidence = [float(row["confidence"]) for row in proposals(out)]
    assert confidence == sorted(confidence)
    assert all(1 / 3 <= one <= 1 for one in confidence)
    hurry(monkeypatch)
    code, _, err = run_cli(
        "train", out, "--epochs", 1, "--allow-leak", "--allow-errors", "--out", tmp_path / "again"
    )
    assert code == 0, err


KINDS = {
    "instance": (masks_demo.write_coco, "coco"),
    "semantic": (masks_demo.write_pairs, "pairs"),
    "promptable": (masks_demo.write_coco, "coco"),
    "detection": (masks_demo.write_coco, "coco"),
}


@pytest.mark.parametrize("task", KINDS)
def test_predictions_of_every_task_can_be_read_as_labels(task, tmp_path, monkeypatch):
    hurry(monkeypatch)
    data = KINDS[task][0](tmp_path / "data", 10, shapes=masks_demo.SQUARE)
    run = fv.train(
        data, task=task, model="tiny_cnn", epochs=4, batch_size=4, size=32, out=tmp_path / "run"
    )
    monkeypatch.setattr(clicking, "MIN_IOU", 0.0)  # one epoch gives low scores
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    for number in range(3):
        Image.fromarray(masks_demo.made(3, seed=9)[number][0]).save(unlabelled / f"{number}.png")
    out = tmp_path / "proposed"
    code, _, err = run_cli("label", unlabelled, "--with", run.path, "--out", out)
    assert code == 0, err
    read = fv.load(out, format=KINDS[task][1])
    assert len(read) == len(proposals(out)) == 3
    for sample in read:
        size = sample.source.read().shape[:2]
        if isinstance(sample.target, Mask):
            assert sample.target.pixels.read().shape == size
        else:
            boxes = sample.target.boxes if isinstance(sample.target, Instances) else sample.target
            assert boxes.scores is None
            assert (boxes.corners[:, 2:] <= size[::-1]).all()
    if task == "promptable":
        assert read.classes == ("object",)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_stopped_command_goes_on_after_the_labels_that_it_has_made(
    trained, unlabelled, tmp_path, monkeypatch
):
    monkeypatch.setattr(inputs, "_BATCH_SIZE", 1)
    whole, out = tmp_path / "a" / "labels", tmp_path / "b" / "labels"
    whole.parent.mkdir()
    out.parent.mkdir()
    label(trained, unlabelled, whole)
    predict, seen = type(trained).predict_images, []

    def stopped_at_seven(run, images, tile=None):
        seen.extend(images)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return predict(run, images, tile)

    with monkeypatch.context() as patch:
        patch.setattr(type(trained), "predict_images", stopped_at_seven)
        with pytest.raises(Cancelled, match=r"keeps the 6 predictions made so far.* goes on after"):
            label(trained, unlabelled, out)
    journal = out.with_name("labels.partial.jsonl")
    journal.write_bytes(journal.read_bytes()[:-20])  # the last line is damaged
    code, text, err = run_cli("label", unlabelled, "--with", trained.path, "--out", out)
    assert code == 0, err
    assert "going on after 5 predictions made before" in text
    assert tree(out.parent) == tree(whole.parent)


TARGETS = {
    "label": Label(2),
    "boxes": Boxes(np.array([[0.25, 1, 3, 4.1]]), np.array([1]), size=(5, 6)),
    "no boxes": Boxes(np.zeros((0, 4)), np.zeros(0, int), size=(5, 6)),
    "instances": Instances.from_masks(np.eye(4, 5, dtype=bool)[None]),
    "mask": Mask.from_array(np.arange(20).reshape(4, 5) - 1),
    "mask of 1,000 classes": Mask.from_array(np.arange(20).reshape(4, 5) * 50),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_comes_back_from_its_record(name):
    target = TARGETS[name]
    record = json.loads(json.dumps(to_record(target)))
    back = from_record(record)
    assert type(back) is type(target)
    assert to_record(back) == to_record(target)
    if isinstance(target, Mask):
        assert np.array_equal(back.pixels.read(), target.pixels.read())
    elif isinstance(target, Instances):
        assert np.array_equal(back.masks((4, 5)), target.masks((4, 5)))
        assert np.array_equal(back.boxes.corners, target.boxes.corners)
    elif isinstance(target, Boxes):
        assert np.array_equal(back.corners, target.corners)
        assert back.size == target.size
    else:
        assert back == target
    for key in record:
        for damage in (None, "x", [1, "x"], {}):
            if damage != record[key] and not (key == "size" and "boxes" in name):
                with pytest.raises(ValueError, match="a target is expected"):
                    from_record({**record, key: damage})


def test_a_packed_mask_unpacks_to_no_more_than_its_size():
    bomb = to_record(Mask.from_array(np.zeros((4000, 4000), int)))
    with pytest.raises(ValueError, match="a target is expected"):
        from_record({**bomb, "size": [4, 4]})


def test_without_any_prediction_the_message_says_so(tmp_path, monkeypatch):
    hurry(monkeypatch)
    data = masks_demo.write_coco(tmp_path / "data", 10, shapes=masks_demo.SQUARE)
    run = fv.train(
        data,
        task="promptable",
        model="tiny_cnn",
        epochs=1,
        batch_size=4,
        size=32,
        out=tmp_path / "run",
    )
    monkeypatch.setattr(clicking, "MIN_IOU", 1.1)
    message = refused("label", data, "--with", run.path, "--out", tmp_path / "new")
    assert "no objects were predicted in any of these images" in message


def test_nothing_is_overwritten_and_a_folder_without_images_is_refused(
    trained, unlabelled, tmp_path
):
    out = tmp_path / "proposed"
    out.with_name("proposed.proposals.csv").write_text("mine")
    assert "would be overwritten" in refused(
        "label", unlabelled, "--with", trained.path, "--out", out
    )
    assert not out.exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    assert "new or empty folder is expected" in refused(
        "label", unlabelled, "--with", trained.path, "--out", other
    )
    assert "outside of the data" in refused(
        "label", unlabelled, "--with", trained.path, "--out", unlabelled / "more" / "labels"
    )
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no image")
    message = refused("label", tmp_path / "bad", "--with", trained.path, "--out", tmp_path / "new")
    assert "none of these images could be read" in message
    (tmp_path / "empty").mkdir()
    message = refused(
        "label", tmp_path / "empty", "--with", trained.path, "--out", tmp_path / "new"
    )
    assert "there are no images in this folder" in message
    message = refused("label", unlabelled, "--with", unlabelled, "--out", tmp_path / "new")
    assert "this is not a run" in message


def test_if_the_format_cannot_hold_the_predictions_nothing_is_written(
    trained, unlabelled, tmp_path
):
    out = tmp_path / "proposed"
    refused("label", unlabelled, "--with", trained.path, "--out", out, "--format", "coco")
    assert not out.exists()
    assert not out.with_name("proposed.proposals.csv").exists()


def test_a_prediction_is_as_confident_as_its_least_confident_decision():
    label = Label(1, np.array([0.2, 0.7, 0.1]))
    assert label.min_confidence(label) == pytest.approx(0.7)
    boxes = Boxes(np.array([[0.0, 0, 2, 2]] * 3), np.zeros(3, int), np.array([0.9, 0.4, 0.8]))
    # The box at 0.4 is below the display threshold: its absence has a confidence of 0.6.
    assert boxes.min_confidence(boxes[np.array([0, 2])]) == pytest.approx(0.6)
    assert boxes.min_confidence(boxes) == pytest.approx(0.4)
    assert boxes[:0].min_confidence(boxes[:0]) == 1
    instances = Instances.from_masks(np.ones((1, 2, 2), bool), np.array([0.75]))
    assert instances.min_confidence(instances) == pytest.approx(0.75)
    mask = Mask.from_array(np.zeros((2, 2), int))
    assert math.isnan(mask.min_confidence(mask))
