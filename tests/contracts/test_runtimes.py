"""The law of runtimes: ONNX Runtime gives the predictions that torch gives.

For the default model of each task that predicts from images, and one of each other family of heads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from foveate import models, tasks
from foveate.inference import onnx_model
from foveate.inference.onnx_model import open_onnx
from foveate.models.fused import fused
from foveate.models.heads.detection import FcosHead
from foveate.models.heads.promptable import PromptableHead
from foveate.models.heads.segmentation import SkipSumHead
from foveate.models.heads.yolo_v1 import YoloV1Head
from foveate.models.model import VisionModel
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.task import Task

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
    for one, other in zip(expected, got, strict=True):
        assert one.keys() == other.keys()
        for path, value in one.items():
            if isinstance(value, float):
                assert other[path] == pytest.approx(value, abs=1e-2 if "box" in path else 1e-4)
            else:
                assert other[path] == value, path

    # From the cache, without another conversion.
    (file,) = (tmp_path / "onnx").iterdir()
    monkeypatch.setattr(onnx_model, "to_onnx", None)
    again = open_onnx(fused(net), "digest", any_size=task.letterbox)
    assert [flat(task.to_dict(one)) for one in task.predict_confident(again, images)] == got
    assert file.stat().st_size > 0
