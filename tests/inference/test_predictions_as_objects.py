"""A prediction is an object: its fields, its values, its drawing and its figure agree."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from pycocotools.coco import COCO

import foveate as fv
from foveate.annotations import Boxes, Instances, Label, Mask
from foveate.errors import BadImage, SettingError
from foveate.inference.predict import predict_paths
from foveate.inference.prediction_outputs import Outputs
from foveate.inference.predictor import Predictor
from foveate.ops import rle
from foveate.tasks.presenters.classification import ClassificationPresenter
from foveate.tasks.presenters.detection import DetectionPresenter
from foveate.tasks.presenters.instance import InstancePresenter
from foveate.tasks.presenters.promptable import PromptablePresenter
from foveate.tasks.presenters.semantic import SemanticPresenter

SIZE = (12, 20)
CLASSES = ("cat", "dog", "eel")
BOXES = Boxes(
    np.array([[1, 2, 9, 8], [4, 4, 19, 11.5], [0, 0, 3, 3]]), [0, 2, 1], [0.9, 0.5, 0.1], size=SIZE
)
MASKS = np.zeros((3, *SIZE), bool)
for mask, (left, top, right, bottom) in zip(MASKS, BOXES.corners.astype(int), strict=True):
    mask[top:bottom, left:right] = True
INSTANCES = Instances(BOXES, Instances.from_masks(MASKS).shapes)
PIXELS = np.arange(240).reshape(SIZE) % 3
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


class Oracle(Predictor):
    """A model that always predicts the same."""

    name = "oracle"
    task = None

    def __init__(self, task, annotation):
        self.task, self.annotation = task, annotation

    def predict_images(self, images, tile=None):
        del tile
        return [self.annotation] * len(images)

    def _set_image(self, image):
        raise NotImplementedError


CASES = {
    "classification": (ClassificationPresenter(CLASSES), Label(1, np.array([0.2, 0.7, 0.1]))),
    "detection": (DetectionPresenter(CLASSES), BOXES),
    "instance": (InstancePresenter(CLASSES), INSTANCES),
    "promptable": (PromptablePresenter(()), INSTANCES),
    "semantic": (SemanticPresenter(CLASSES), Mask.from_array(PIXELS)),
}
FIELDS = {
    "classification": {"class_name", "score", "probabilities"},
    "detection": {"boxes", "class_names", "scores", "to_coco"},
    "instance": {"boxes", "class_names", "scores", "masks", "to_coco"},
    "promptable": {"boxes", "scores", "masks", "to_coco"},
    "semantic": {"mask", "shares"},
}


@pytest.fixture(params=CASES)
def task(request):
    return request.param


@pytest.fixture
def model(task):
    return Oracle(*CASES[task])


@pytest.fixture
def path(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_the_fields_of_each_task(task, model):
    prediction = model.predict(IMAGE)
    assert isinstance(prediction, fv.Prediction)
    assert FIELDS[task] <= {one for one in dir(prediction) if not one.startswith("_")}
    assert prediction.classes == CASES[task][0].classes
    assert prediction.size == SIZE
    assert prediction.path is None


def test_the_field_of_another_task_is_answered_with_those_that_there_are(task, model):
    prediction = model.predict(IMAGE)
    for name in set().union(*FIELDS.values()) - FIELDS[task]:
        with pytest.raises(AttributeError, match=f"a prediction of {task} has no '{name}'") as no:
            getattr(prediction, name)
        assert all(field in str(no.value) for field in FIELDS[task])


def test_values_are_those_of_the_command(model, path, tmp_path):
    predict_paths(model, [path], Outputs(tmp_path / "x.json"))
    (record,) = json.loads((tmp_path / "x.json").read_text())["predictions"]
    assert model.predict(path).to_dict() == record
    assert model.predict([str(path)])[0].to_dict() == record
    from_memory = model.predict(IMAGE)
    assert {"path": str(path), **from_memory.to_dict()} == record
    assert from_memory == model.predict(path)


def test_the_drawing_is_that_of_the_command(model, path, tmp_path):
    predict_paths(model, [path], Outputs(drawings=tmp_path / "drawn"))
    expected = np.asarray(Image.open(tmp_path / "drawn" / "x.png"))
    for prediction in (model.predict(path), model.predict(IMAGE)):
        assert np.array_equal(np.asarray(prediction.draw()), expected)


def test_the_figure_shows_the_drawing_and_says_what_is_predicted(model, path):
    prediction = model.predict(path)
    figure = prediction.show()
    assert isinstance(figure, Figure)
    (axis,) = figure.axes
    assert np.array_equal(axis.images[0].get_array(), np.asarray(prediction.draw()))
    assert " ".join(axis.get_title().split()) == " ".join(prediction.summary.split())
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_file_that_is_gone_is_named(model, path):
    prediction = model.predict(path)
    path.unlink()
    with pytest.raises(BadImage, match=r"x\.png"):
        prediction.draw()
    assert "x.png" in repr(prediction)
    assert prediction.to_dict()


def test_representations_are_one_line_and_escaped(model):
    for text in (repr(model.predict(IMAGE)), model.predict(IMAGE)._repr_html_()):
        assert len(text.splitlines()) == 1
        assert "Prediction" in text
    named = type(model.predict(IMAGE))(
        model.task, model.annotation, SIZE, lambda: IMAGE, "<b>\x1b[2J.png"
    )
    assert "\x1b" not in repr(named)
    assert "<b>" not in named._repr_html_()


def test_a_class_with_its_probabilities():
    prediction = Oracle(*CASES["classification"]).predict(IMAGE)
    assert (prediction.class_name, prediction.score) == ("dog", 0.7)
    assert prediction.probabilities == {"cat": 0.2, "dog": 0.7, "eel": 0.1}


def test_boxes_above_the_threshold():
    prediction = Oracle(*CASES["detection"]).predict(IMAGE)
    assert prediction.boxes.xyxy.tolist() == BOXES.corners[:2].tolist()
    assert prediction.class_names == ["cat", "eel"]
    assert prediction.scores.tolist() == [0.9, 0.5]


def test_a_threshold_and_classes_as_for_the_command(path, tmp_path):
    model = Oracle(*CASES["detection"])
    for conf, classes, scores in (
        (0.05, None, [0.9, 0.5, 0.1]),
        (0.6, None, [0.9]),
        (0.05, ["eel", "dog"], [0.5, 0.1]),
        (None, ["eel"], [0.5]),
    ):
        prediction = model.predict(path, conf=conf, classes=classes)
        assert prediction.scores.tolist() == scores
        out = Outputs(tmp_path / "x.json", overwrite=True)
        predict_paths(model, [path], out, conf=conf, classes=classes)
        (record,) = json.loads(out.json_file.read_text())["predictions"]
        assert prediction.to_dict() == record
    with pytest.raises(SettingError, match="a score from 0 to 1 is expected, got 50"):
        model.predict(path, conf=50)
    with pytest.raises(SettingError, match="'ell'; did you mean 'eel'"):
        model.predict(path, classes=["ell"])
    with pytest.raises(SettingError, match="finds no objects"):
        Oracle(*CASES["classification"]).predict(path, conf=0.5)


def test_masks_of_objects_and_of_classes():
    assert np.array_equal(Oracle(*CASES["instance"]).predict(IMAGE).masks, MASKS[:2])
    prediction = Oracle(*CASES["semantic"]).predict(IMAGE)
    assert np.array_equal(prediction.mask, PIXELS)
    assert prediction.shares == {"cat": 1 / 3, "dog": 1 / 3, "eel": 1 / 3}


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize("task", ["detection", "instance"])
def test_pycocotools_reads_what_to_coco_gives(task):
    prediction = Oracle(*CASES[task]).predict(IMAGE)
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": 7, "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 1 + k, "name": name} for k, name in enumerate(CLASSES)],
        "annotations": [],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        read = coco.loadRes(prediction.to_coco(image_id=7))
    records = read.loadAnns(read.getAnnIds(imgIds=7))
    assert [one["bbox"] for one in records] == [[1, 2, 8, 6], [4, 4, 15, 7.5]]
    assert [read.cats[one["category_id"]]["name"] for one in records] == prediction.class_names
    assert [one["score"] for one in records] == [0.9, 0.5]
    if task == "instance":
        for one, mask in zip(records, prediction.masks, strict=True):
            assert np.array_equal(read.annToMask(one), mask)
        assert rle.to_coco_string(rle.encode(MASKS[0])) == records[0]["segmentation"]["counts"]
