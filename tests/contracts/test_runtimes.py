"""The law of runtimes: ONNX Runtime gives the predictions that torch gives, and so does an export.

For the default model of each task that predicts from images, and one of each other family of heads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foveate import models, tasks
from foveate.data.resizing import letterbox_size
from foveate.errors import SettingError
from foveate.inference import onnx_model
from foveate.inference.exported.joining import join
from foveate.inference.exported.model import ExportedModel
from foveate.inference.exported.record import FORMAT
from foveate.inference.onnx_file import net_step
from foveate.inference.onnx_model import open_onnx
from foveate.models.fused import fused
from foveate.models.heads.detection import FcosHead
from foveate.models.heads.promptable import PromptableHead
from foveate.models.heads.segmentation import SkipSumHead
from foveate.models.heads.yolo_v1 import YoloV1Head
from foveate.models.model import VisionModel
from foveate.tasks import exported
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.task import Task
from foveate.tasks.tiling import Tiled
from helpers.command_line import run_without_torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

CLASSES = ("cat", "dog", "bird")
PREDICTING = [name for name, task in tasks.all().items() if not issubclass(task, GeneratesImages)]
OTHER_MODELS = [("detection", "yolo_v1"), ("classification", "mlp:8"), ("semantic", "resnet18")]
CASES = [
    *((name, tasks.find(name).default_settings.get("model", "tiny_cnn")) for name in PREDICTING),
    *OTHER_MODELS,
]
SHAPES = ((64, 64), (40, 64), (90, 31), (64, 20))
EXPORTABLE = ("classification", "detection", "instance", "semantic")


def build(task: Task[Any], name: str) -> VisionModel:
    """A net with random weights that is sure of what it predicts, and predicts several classes."""
    torch.manual_seed(0)
    size = 64
    backbone = models.build(name, channels=3, size=size)
    net = VisionModel(task.head(backbone), size=size, mean=[110.0] * 3, std=[60.0] * 3).eval()
    if isinstance(net.body, PromptableHead):
        torch.nn.init.constant_(net.body.iou_head[-1].bias, 5.0)
    for module in net.modules():
        if isinstance(module, FcosHead):
            torch.nn.init.normal_(module.scores.weight, std=1.0)
            torch.nn.init.zeros_(module.scores.bias)
            torch.nn.init.normal_(module.distances.weight, std=0.5)
        if isinstance(module, YoloV1Head):
            torch.nn.init.uniform_(module.last[-1].bias, 0.1, 0.9)
        if isinstance(module, SkipSumHead):
            for layer in module.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    torch.nn.init.normal_(layer.weight, std=0.5)
    return net


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Each number and text of JSON values under its path."""
    if isinstance(value, dict):
        return {k: v for key, one in value.items() for k, v in flat(one, f"{path}.{key}").items()}
    if isinstance(value, list):
        pairs = enumerate(value)
        return {k: v for row, one in pairs for k, v in flat(one, f"{path}[{row}]").items()}
    return {path: value}


def check_same(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> None:
    for one, other in zip(expected, got, strict=True):
        assert one.keys() == other.keys()
        for path, value in one.items():
            if isinstance(value, float):
                assert other[path] == pytest.approx(value, abs=1e-2 if "box" in path else 1e-4)
            else:
                assert other[path] == value, path


@pytest.mark.parametrize(("task_name", "model"), CASES)
def test_onnx_runtime_gives_the_predictions_of_torch(task_name, model, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path))
    task = tasks.find(task_name)(CLASSES)
    if hasattr(task, "thresholds"):
        task.thresholds[:] = 0.05
    net = build(task, model)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]
    onnx = open_onnx(fused(net), "digest", any_size=task.letterbox)
    expected = [flat(task.to_dict(one)) for one in task.predict_confident(net, images)]
    got = [flat(task.to_dict(one)) for one in task.predict_confident(onnx, images)]
    assert any(expected)
    check_same(expected, got)

    # From the cache, without another conversion.
    (file,) = (tmp_path / "onnx").iterdir()
    monkeypatch.setattr(onnx_model, "to_onnx", None)
    again = open_onnx(fused(net), "digest", any_size=task.letterbox)
    assert [flat(task.to_dict(one)) for one in task.predict_confident(again, images)] == got
    assert file.stat().st_size > 0

    if task_name in EXPORTABLE:
        path = tmp_path / "model.onnx"
        model = check_export(path, file.read_bytes(), task, net, images, expected)
        if isinstance(task, Tiled):
            check_tiles(path, model, task, net)


def check_tiles(path: Path, model: ExportedModel, task: Task[Any], net: VisionModel) -> None:
    """The file predicts from tiles what torch predicts from them, and does not import it."""
    assert isinstance(task, Tiled)
    image = np.random.default_rng(1).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    for side in (48, 70):
        one = flat(task.to_dict(task.predict_tiled(net, image, side)))
        (other,) = (
            flat(model.task.to_dict(found)) for found in model.predict_images([image], side)
        )
        assert one
        check_same([one], [other])
    with pytest.raises(SettingError, match="at least 16 px"):
        model.predict_images([image], 15)
    Image.fromarray(image).save(path.with_name("x.png"))
    out = path.with_name("found.json")
    run_without_torch("predict", path, path.with_name("x.png"), "--tile", 70, "--json", out)
    (record,) = json.loads(out.read_text())["predictions"]
    check_same([one], [flat({key: value for key, value in record.items() if key != "path"})])


def check_export(
    path: Path,
    core: bytes,
    task: Task[Any],
    net: VisionModel,
    images: list[np.ndarray],
    expected: list[dict[str, Any]],
) -> ExportedModel:
    """The file predicts what torch predicts, and takes whole batches of images as they are."""
    after = exported.build(task.name, CLASSES, task.options)
    record = {
        "format": FORMAT, "version": "0", "task": task.name, "classes": list(CLASSES),
        "options": task.options, "model": "x", "size": net.size, "channels": 3, "weights": "",
        "outputs": dict(after.outputs), "card": {},
    }  # fmt: skip
    step = net_step(net) if task.letterbox else None
    content = join(core, after, size=net.size, step=step, record=record)
    path.write_bytes(content)
    model = ExportedModel.open(path)
    predictions = model.predict_images(images)
    check_same(expected, [flat(model.task.to_dict(one)) for one in predictions])
    outputs = model.computed.run(np.stack([images[1], images[1][::-1]]))
    assert outputs.keys() == {*after.outputs, "content"}
    assert tuple(outputs["content"]) == (
        letterbox_size(*images[1].shape[:2], net.size) if task.letterbox else (net.size,) * 2
    )
    for row, image in enumerate((images[1], images[1][::-1])):
        alone = model.computed.run(image[None])
        own = outputs["image_rows"] == row if "image_rows" in outputs else None
        for name in after.outputs:
            if name != "image_rows":
                one = outputs[name][row : row + 1] if own is None else outputs[name][own]
                np.testing.assert_allclose(one, alone[name], rtol=1e-3, atol=1e-3)
    return model
