"""Every registered model builds a detector that can be trained, or names models that do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foveate import models
from foveate.errors import SettingError
from foveate.models.heads.detection import DetectionTarget

NAMES = models.list_models()


def needs(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")


def predicted(name: str):
    """Net and losses at its smallest size, for two images with an object each."""
    torch.manual_seed(0)
    size = models.find(name).min_size
    backbone = models.build(name, channels=3, size=size)
    net = nn.Sequential(backbone, backbone.detector(2)).train()
    boxes = [
        torch.tensor([[0.0, 0.0, 0.6, 0.7]]) * size,
        torch.tensor([[0.3, 0.2, 1.0, 1.0]]) * size,
    ]
    ignored = [torch.zeros(1, dtype=torch.bool)] * 2
    target = DetectionTarget(boxes, [torch.tensor([0]), torch.tensor([1])], ignored)
    return net, net(torch.randn(2, 3, size, size)).losses(target)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("mlp", "unet"))])
def test_at_the_smallest_size_the_loss_is_finite_and_every_weight_gets_a_gradient(name):
    needs(name)
    net, losses = predicted(name)
    assert torch.isfinite(losses["total"])
    losses["total"].backward()
    for weight, parameter in net.named_parameters():
        assert parameter.grad is not None, weight
        assert torch.isfinite(parameter.grad).all(), weight
        assert parameter.grad.abs().sum() > 0, weight


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("mlp")])
def test_a_model_without_positions_refuses_and_names_models_that_fit(name):
    with pytest.raises(SettingError, match="mlp") as refused:
        predicted(name)
    for other in ("tiny_cnn", "yolo", "resnet18"):
        assert other in refused.value.remedy
    assert "mlp" not in refused.value.remedy
    assert "unet" not in refused.value.remedy


@pytest.mark.parametrize(
    ("name", "fits"), [("unet", "yolo"), ("unet:4x2", "yolo"), ("unet:resnet18", "resnet18")]
)
def test_a_u_net_refuses_boxes_and_names_a_model_that_fits(name, fits):
    with pytest.raises(SettingError, match="U-Net") as refused:
        predicted(name)
    assert f"--model {fits}." in refused.value.remedy


@pytest.mark.parametrize("name", ["yolo:x", "yolo:N", "yolo:n:s", "yolo_v1:n", "yolo: n"])
def test_an_unknown_size_of_yolo_is_refused(name):
    with pytest.raises(SettingError) as refused:
        models.find(name)
    assert refused.value.where == "model"
    assert "yolo" in refused.value.remedy
    with pytest.raises(SettingError):
        models.build(name, channels=3, size=64)


@pytest.mark.parametrize("name", ["yolo", "yolo:n", "yolo:s", "yolo:m"])
def test_the_sizes_of_yolo_are_found(name):
    assert models.find(name).min_size == 32
