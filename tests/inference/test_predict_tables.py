"""What `foveate predict` chooses, tabulates, counts and films, by numbers worked out here."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.annotations import Boxes, Instances, Label, Mask
from foveate.cli import predict as predict_command
from foveate.errors import Cancelled, StorageError
from foveate.inference import prediction_outputs
from foveate.inference.predict import predict_paths
from foveate.inference.prediction_outputs import Outputs
from foveate.inference.tally import MAX_CLASSES, Tally
from foveate.progress import NullReporter
from foveate.tasks.classification import Classification
from foveate.tasks.detection import Detection
from foveate.tasks.instance import Instance
from foveate.tasks.promptable import Promptable
from foveate.tasks.semantic import Semantic
from helpers import crowded
from helpers.command_line import refused, run_cli

BOXES = Boxes(
    np.array([[0, 0, 4, 2], [1, 1, 3, 3], [2, 2, 8, 8]]),
    np.array([0, 1, 0]),
    np.array([0.4, 0.9, 0.6]),
    size=(16, 16),
)


class Fixed(crowded.Crowded):
    """The same prediction for every image."""

    def __init__(self, task: Any, prediction: Any):
        self._task, self.prediction = task, prediction

    @property
    def task(self) -> Any:
        return self._task

    def predict_images(self, images: Any, tile: int | None = None) -> list[Any]:  # noqa: ARG002
        return [self.prediction for _ in images]


class Lines(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, /) -> None:
        self.lines.append(text)

    def warning(self, text: str, /) -> None:
        self.lines.append(text)


def detection() -> Fixed:
    return Fixed(Detection(("cat", "dog"), thresholds=(0.5, 0.5)), BOXES)


def instances() -> Fixed:
    """A cat of 6 pixels that may be a dog too, and a dog of 4 with a higher score."""
    masks = np.zeros((2, 16, 16), bool)
    masks[0, 0:2, 0:3] = True
    masks[1, 8:10, 8:10] = True
    first, second = Instances.from_masks(masks).shapes
    boxes = Boxes(
        np.array([[0, 0, 3, 2], [0, 0, 3, 2], [8, 8, 10, 10]]),
        np.array([0, 1, 1]),
        np.array([0.7, 0.6, 0.8]),
        size=(16, 16),
    )
    task = Instance(("cat", "dog"), thresholds=(0.5, 0.5))
    return Fixed(task, Instances(boxes, (first, first, second)))


def semantic() -> Fixed:
    values = np.zeros((16, 16), np.int32)
    values[:4] = 1
    return Fixed(Semantic(("cell", "gap")), Mask.from_array(values))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "=b"):
        Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(folder / f"{name}.png")
    return folder


def film(path: Path, count: int = 6, side: int = 48) -> Path:
    """A film whose frame n is grey of 20 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 7, (side, side))
    for number in range(count):
        writer.write(np.full((side, side, 3), 20 * number, np.uint8))
    writer.release()
    return path


def predict(model: Any, path: Path, outputs: Outputs = Outputs(), **options: Any) -> list[str]:
    reporter = Lines()
    predict_paths(model, [path], outputs, reporter=reporter, **options)
    return reporter.lines


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- which objects


def test_conf_and_classes_choose_the_objects_of_every_output(images, tmp_path):
    for number, (options, scores) in enumerate(
        [
            ({}, [0.9, 0.6]),
            ({"conf": 0.3}, [0.9, 0.6, 0.4]),
            ({"conf": 0.95}, []),
            ({"classes": ["cat"]}, [0.6]),
            ({"classes": ["cat"], "conf": 0.3}, [0.6, 0.4]),
            ({"classes": ["dog", "cat"]}, [0.9, 0.6]),
        ]
    ):
        out = tmp_path / str(number)
        outputs = Outputs(out / "p.json", out / "c.json", out, csv_file=out / "t.csv")
        lines = predict(detection(), images / "a.png", outputs, **options)
        values = json.loads((out / "p.json").read_text())["predictions"][0]["boxes"]
        assert sorted((one["score"] for one in values), reverse=True) == scores
        coco = json.loads((out / "c.json").read_text())["annotations"]
        assert sorted((one["score"] for one in coco), reverse=True) == scores
        assert [float(row["score"]) for row in rows(out / "t.csv")] == scores
        assert ("nothing" in lines[0]) == (not scores)


def test_an_object_is_of_its_likeliest_class_whatever_classes_are_asked_for(images, tmp_path):
    for classes, areas in ((["cat"], ["6.0"]), (["dog"], ["4.0"])):
        out = tmp_path / f"{classes}.csv"
        predict(instances(), images / "a.png", Outputs(csv_file=out), classes=classes)
        assert [row["area_px"] for row in rows(out)] == areas


def test_objects_without_a_class_have_a_threshold_too(images, tmp_path):
    found = Instances.from_masks(np.ones((2, 16, 16), bool), np.array([0.5, 0.9]))
    predict(
        Fixed(Promptable(("object",)), found), images / "a.png",
        Outputs(csv_file=tmp_path / "t.csv"), conf=0.6,
    )  # fmt: skip
    assert [row["score"] for row in rows(tmp_path / "t.csv")] == ["0.9"]
    with pytest.raises(fv.FoveateError, match="without naming their class"):
        predict(Fixed(Promptable(("object",)), found), images, classes=["object"])


def test_a_choice_of_objects_is_refused_where_there_are_none_and_unknown_classes_too(images):
    label = Fixed(Classification(("cat", "dog")), Label(1, np.array([0.2, 0.8])))
    for model in (label, semantic()):
        with pytest.raises(fv.FoveateError, match="finds no objects"):
            predict(model, images, conf=0.5)
    with pytest.raises(fv.FoveateError, match="got 'dgo'; did you mean 'dog'"):
        predict(detection(), images, classes=["dgo"])


def test_another_choice_is_another_command(images, tmp_path):
    out = Outputs(tmp_path / "p.json")
    stopped = crowded.Counting(fails_at=frozenset({90}))
    with pytest.raises(ZeroDivisionError):
        predict_paths(stopped, [images], out)
    (tmp_path / "p.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foveate.inference.predict.write_files", _fail)
        with pytest.raises(KeyError):
            predict(detection(), images, out, conf=0.5)
    with pytest.raises(fv.FoveateError, match=r"conf 0.5, not 0.6"):
        predict(detection(), images, out, conf=0.6)
    assert "going on after 2 predictions" in predict(detection(), images, out, conf=0.5)[0]


def _fail(*_: Any) -> None:
    raise KeyError


# --- tables


def test_a_table_has_a_row_for_each_object_in_pixels_and_micrometres(images, tmp_path):
    out = tmp_path / "t.csv"
    predict(detection(), images, Outputs(csv_file=out, pixel_size=0.5))
    assert [Path(row["path"]).name for row in rows(out)] == ["=b.png"] * 2 + ["a.png"] * 2
    first, second = rows(out)[2:]
    assert (first["object"], first["class"], first["frame"]) == ("1", "dog", "")
    assert second["class"] == "cat"
    assert [float(second[f"{side}_px"]) for side in ("left", "top", "right", "bottom")] == [
        2, 2, 8, 8,
    ]  # fmt: skip
    assert [float(second[f"{side}_um"]) for side in ("left", "top", "right", "bottom")] == [
        1, 1, 4, 4,
    ]  # fmt: skip
    assert (float(second["area_px"]), float(second["area_um2"])) == (36, 9)
    diameter = 2 * math.sqrt(36 / math.pi)
    assert float(second["equivalent_diameter_px"]) == pytest.approx(diameter, abs=0.005)
    assert float(second["equivalent_diameter_um"]) == pytest.approx(diameter / 2, abs=0.005)


def test_the_number_of_an_object_is_its_value_in_the_mask(images, tmp_path):
    out = Outputs(masks=tmp_path / "masks", csv_file=tmp_path / "t.csv")
    predict(instances(), images / "a.png", out)
    values = np.asarray(Image.open(tmp_path / "masks" / "a.png"))
    for row in rows(tmp_path / "t.csv"):
        assert (values == int(row["object"])).sum() == float(row["area_px"])
    assert [row["class"] for row in rows(tmp_path / "t.csv")] == ["dog", "cat"]


def test_tables_of_images_and_of_classes_of_pixels(images, tmp_path):
    label = Fixed(Classification(("cat", "dog")), Label(1, np.array([0.2, 0.8])))
    predict(label, images / "a.png", Outputs(csv_file=tmp_path / "l.csv"))
    path = str(images / "a.png")
    assert rows(tmp_path / "l.csv") == [
        {"path": path, "frame": "", "class": "dog", "probability": "0.8"}
    ]
    predict(semantic(), images / "a.png", Outputs(csv_file=tmp_path / "s.csv", pixel_size=2.0))
    assert [list(row.values())[2:] for row in rows(tmp_path / "s.csv")] == [
        ["cell", "0.75", "192", "768.0"],
        ["gap", "0.25", "64", "256.0"],
    ]
    with pytest.raises(fv.FoveateError, match="no lengths and no areas"):
        predict(label, images, Outputs(csv_file=tmp_path / "n.csv", pixel_size=2.0))
    with pytest.raises(fv.FoveateError, match="Add --csv"):
        predict(semantic(), images, Outputs(pixel_size=2.0))


@pytest.mark.parametrize("model", [detection(), semantic(), instances()])
def test_only_a_table_of_predictions_is_replaced(model, images, tmp_path):
    out = tmp_path / "t.csv"
    predict(model, images / "a.png", Outputs(csv_file=out, pixel_size=1.0))
    before = out.read_bytes()
    with pytest.raises(fv.FoveateError, match="add --overwrite"):
        predict(model, images, Outputs(csv_file=out))
    assert out.read_bytes() == before
    predict(model, images, Outputs(csv_file=out, overwrite=True))
    assert out.read_bytes() != before
    out.write_text("path,frame,class,mine\n")
    with pytest.raises(fv.FoveateError, match="holds no predictions"):
        predict(model, images, Outputs(csv_file=out, overwrite=True))


# --- totals


def test_totals_of_each_class_come_last(images, tmp_path):
    assert predict(detection(), images)[2:] == [
        "  cat           2 objects   1.00 per image   in 2 images",
        "  dog           2 objects   1.00 per image   in 2 images",
        "  all classes   4 objects   2.00 per image",
        "2 predictions",
    ]
    assert predict(semantic(), images)[2:4] == [
        "  cell   75.0% of the pixels of an image   in 2 images",
        "  gap    25.0% of the pixels of an image   in 2 images",
    ]
    assert predict(detection(), images / "a.png")[1:] == ["1 prediction"]
    tally = Tally(Classification(("cat", "dog")))
    for name in ("dog", "cat", "dog", "dog"):
        tally.add({name: 1.0})
    assert tally.lines() == ["  dog   3 images   75.0%", "  cat    1 image   25.0%"]
    tally = Tally(Classification(("cat", "dog")))
    for _ in range(2):
        tally.add({"dog": 1.0}, frame=True)
    assert tally.lines() == ["  dog   2 frames   100.0%"]
    tally.add({"dog": 1.0})
    assert tally.lines() == ["  dog   3 images and frames   100.0%"]
    many = Tally(Classification(("cat", "dog")))
    for number in range(MAX_CLASSES + 2):
        many.add({f"{number:02}": 1.0})
    assert many.lines()[-1] == "  and 2 classes more"
    del tmp_path


def test_totals_count_what_an_earlier_process_predicted(images, tmp_path):
    out = Outputs(tmp_path / "p.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foveate.inference.predict.write_files", _fail)
        with pytest.raises(KeyError):
            predict(detection(), images, out)
    assert "  all classes   4 objects   2.00 per image" in predict(detection(), images, out)


# --- videos


def frames_of(path: Path) -> list[np.ndarray]:
    video, found = cv2.VideoCapture(str(path)), []
    assert video.get(cv2.CAP_PROP_FPS) == 7
    while (decoded := video.read())[0]:
        found.append(decoded[1])
    return found


def test_the_drawing_of_a_video_is_a_video(images, tmp_path):
    film(images / "film.mp4")
    (images / "more").mkdir()
    film(images / "more" / "FILM.mp4", 3)
    out = Outputs(tmp_path / "p.json", drawings=tmp_path / "drawn")
    predict(detection(), images, out)
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [
        "=b.png", "FILM-2.mp4", "a.png", "film.mp4",
    ]  # fmt: skip
    drawn = frames_of(tmp_path / "drawn" / "film.mp4")
    assert len(drawn) == 6
    for number, frame in enumerate(drawn):
        scale = len(frame) // 48
        corner = frame[-4 * scale :, -4 * scale :]  # no box is there
        assert abs(float(corner.mean()) - 20 * number) < 12
        assert np.ptp(frame[: 20 * scale, : 20 * scale].astype(int)) > 50  # boxes are here
    names = [one["drawing"] for one in json.loads((tmp_path / "p.json").read_text())["predictions"]]
    assert names == ["=b.png", "a.png", *["film.mp4"] * 6, *["FILM-2.mp4"] * 3]


class StopsAt(Fixed):
    """Ctrl-C at the frame of this grey."""

    def __init__(self, grey: int):
        super().__init__(Detection(("cat", "dog"), thresholds=(0.5, 0.5)), BOXES)
        self.grey, self.count = grey, 0

    def predict_images(self, images: Any, tile: int | None = None) -> list[Any]:
        for image in images:
            if abs(int(image[-1, -1, 0]) - self.grey) < 5:
                raise KeyboardInterrupt
        self.count += len(images)
        return super().predict_images(images, tile)


def test_a_video_that_was_stopped_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("foveate.inference.inputs._BATCH_SIZE", 1)
    path = film(tmp_path / "film.mp4")
    for name in ("whole", "stopped"):
        out = Outputs(tmp_path / f"{name}.json", drawings=tmp_path / name)
        if name == "stopped":
            with pytest.raises(Cancelled, match="keeps the 4 predictions"):
                predict(StopsAt(80), path, out)
            assert not (tmp_path / name / "film.mp4").exists()
        model = StopsAt(999)
        predict(model, path, out)
        assert model.count == (2 if name == "stopped" else 6)
    whole, stopped = (frames_of(tmp_path / name / "film.mp4") for name in ("whole", "stopped"))
    assert all(np.array_equal(*pair) for pair in zip(whole, stopped, strict=True))
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == ["film.mp4"]


def test_drawn_frames_stay_until_all_files_are_written(tmp_path, monkeypatch):
    path, out = film(tmp_path / "film.mp4"), Outputs(tmp_path / "p.json", drawings=tmp_path / "d")

    def full(*_args):
        raise StorageError("no space is left", where=out.json_file, cure="Free some.")

    with monkeypatch.context() as patch:
        patch.setattr(prediction_outputs, "write_predictions", full)
        with pytest.raises(StorageError):
            predict(StopsAt(999), path, out)
    model = StopsAt(999)
    predict(model, path, out)
    assert model.count == 0
    assert len(frames_of(tmp_path / "d" / "film.mp4")) == 6
    assert [one.name for one in (tmp_path / "d").iterdir()] == ["film.mp4"]
    assert len(json.loads(out.json_file.read_text())["predictions"]) == 6


# --- as the user types it


def test_the_options_of_the_command_line(images, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_command, "open_model", lambda *_: detection())
    out = tmp_path / "t.csv"
    words = ["predict", crowded.RUN, images, "--csv", out]
    code, text, _ = run_cli(*words, "--conf", 0.3, "--classes", "cat", "--pixel-size", 2)
    assert code == 0
    assert "  cat   4 objects   2.00 per image   in 2 images" in text
    assert [row["area_um2"] for row in rows(out)] == ["144.0", "32.0"] * 2
    for wrong in (0, -1, "nan", "inf"):
        assert "micrometres above 0" in refused(*words, "--pixel-size", wrong)


def test_files_of_chosen_objects_say_how_they_were_chosen(images, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_command, "open_model", lambda *_: detection())
    for words, chosen in (
        (["--conf", 0.3, "--classes", "cat"], {"conf": 0.3, "only": ["cat"]}),
        ([], {}),
    ):
        heads = []
        for name in ("all.json", "all.jsonl"):
            out = tmp_path / name
            assert (
                run_cli("predict", crowded.RUN, images, "--json", out, "--overwrite", *words)[0]
                == 0
            )
            text = out.read_text()
            heads += (
                [json.loads(text)] if name == "all.json" else map(json.loads, text.split("\n")[:2])
            )
        for head in heads:
            assert head["foveate"] == "predictions"
            assert {key: head[key] for key in ("conf", "only") if key in head} == chosen
