"""No export that differs from its run passes the gate."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import foveate as fv
from foveate.errors import RunError
from foveate.experiment.export import export as exporting
from foveate.experiment.export import output_differences, parity
from foveate.experiment.export.parity import Parity
from foveate.experiment.prepared_data import PreparedData
from foveate.tasks.classification import Classification

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A copy of the shared run that this file may lock."""
    path = tmp_path_factory.mktemp("gate") / "run"
    shutil.copytree(trained.path, path)
    return fv.Run.open(path)


def test_a_net_that_computes_something_else_is_named_and_not_written(run, tmp_path, monkeypatch):
    def convert_another(net, *, any_size):
        another = copy.deepcopy(net)
        last = [one for one in another.parameters() if one.ndim == 2][-1]
        last.data += 0.05 * last.abs().max()
        return to_onnx(another, any_size=any_size)

    to_onnx = exporting.to_onnx
    monkeypatch.setattr(exporting, "to_onnx", convert_another)
    with pytest.raises(RunError, match="the output logits of the exported net differs") as error:
        exporting.export(run, out=tmp_path / "m.onnx")
    assert "no file was written" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def made_up(before: float, after: float, outputs: float = 0.0) -> Parity:
    metric = {"value": before, "low": before, "high": before, "n": 200}
    other = {**metric, "value": after}
    return Parity(
        200, {"accuracy": metric}, {"accuracy": other}, {}, 1.0, {"logits": outputs}, 1.0, 1.0
    )


TASK = Classification(("a", "b"))


@pytest.mark.parametrize(
    ("before", "after", "int8", "passes"),
    [
        (0.9, 0.9, False, True), (0.9, 0.897, False, True), (0.9, 0.89, False, False),
        (0.9, 0.91, False, False), (0.9, float("nan"), False, False),
        (0.9, 0.891, True, True), (0.9, 0.88, True, False), (0.9, 0.95, True, True),
        (0.9, float("nan"), True, False),
    ],
)  # fmt: skip
def test_the_gate_bounds_the_metric(before, after, int8, passes):
    if passes:
        parity.check(made_up(before, after), TASK, int8=int8)
    else:
        with pytest.raises(RunError, match="no file was written"):
            parity.check(made_up(before, after), TASK, int8=int8)


@pytest.mark.parametrize(
    ("agreement", "int8", "passes"),
    [
        (0.96, False, True), (0.94, False, False), (0.81, True, True), (0.79, True, False),
        (0.0, True, False), (float("nan"), False, False), (float("nan"), True, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("metric", [0.5, float("nan")])
def test_the_gate_bounds_the_agreement(agreement, int8, passes, metric):
    found = dataclasses.replace(made_up(metric, metric), agreement=agreement)
    if passes:
        parity.check(found, TASK, int8=int8)
    else:
        with pytest.raises(RunError, match="predictions of the export agree"):
            parity.check(found, TASK, int8=int8)


def test_a_metric_that_only_one_of_them_has_does_not_pass():
    for before, after in ((float("nan"), 0.5), (0.5, float("nan"))):
        with pytest.raises(RunError, match="no file was written"):
            parity.check(made_up(before, after), TASK, int8=False)


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_differences_of_outputs_keep_what_is_not_finite(run, value):
    _, net = run.load()

    class Other(type(net)):
        def forward(self, images, *others):
            return super().forward(images, *others) + value

    other = copy.deepcopy(net)
    other.__class__ = Other
    images = [np.zeros((20, 20, 3), np.uint8), np.full((9, 30, 3), 200, np.uint8)]
    found = output_differences.output_differences(net, other, ("logits",), images, letterbox=False)
    assert not found["logits"] <= parity.MAX_OUTPUT_DIFFERENCE


@pytest.mark.parametrize("difference", [0.01, float("nan"), float("inf")])
def test_the_gate_bounds_the_outputs(difference):
    with pytest.raises(RunError, match="the output logits"):
        parity.check(made_up(0.9, 0.9, difference), TASK, int8=False)


def test_images_without_objects_do_not_take_the_places_of_others():
    rows = np.arange(100, 160)
    prepared = SimpleNamespace(
        splits={"valid": rows},
        targets=lambda split: [row % 5 == 0 for row in rows],
        images=SimpleNamespace(dataset={row: SimpleNamespace(id=f"{row}") for row in rows}),
    )
    drawn = PreparedData.drawn(prepared, "valid", 10, wanted=bool)
    assert len(drawn) == 10
    assert all(row % 5 == 0 for row in drawn)
    assert PreparedData.drawn(prepared, "valid", 10, wanted=lambda target: False).tolist() == []
