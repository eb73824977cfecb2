"""A fused net predicts the same with fewer layers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from foveate import models
from foveate.models.backbone import Backbone
from foveate.models.fused import example_inputs, fused
from foveate.models.model import VisionModel
from foveate.tasks.classification import Classification
from foveate.tasks.detection import Detection
from foveate.tasks.promptable import Promptable
from foveate.tasks.semantic import Semantic
from foveate.tasks.task import Task

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = ("a", "b", "c")


def used(net: nn.Module) -> nn.Module:
    """The net with normalisation layers that change what they read, as after training."""
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_mean, -0.5), (module.running_var, 0.5)):
                values.uniform_(low, low + 1, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
    return net.eval()


def build(task: Task, name: str) -> VisionModel:
    torch.manual_seed(0)
    size = max(models.find(name).min_size, 64)
    backbone = models.build(name, channels=3, size=size)
    return used(VisionModel(task.head(backbone), size=size, mean=[110.0] * 3, std=[60.0] * 3))


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


CASES = [
    # (task, model, normalisation layers that stay: those after max-pooling)
    (Classification(CLASSES), "resnet18", 0),
    (Classification(CLASSES), "tiny_cnn", 2),
    (Classification(CLASSES), "cnn", 0),
    (Classification(CLASSES), "mlp:8", 0),
    (Detection(CLASSES), "yolo", 0),
    (Detection(CLASSES), "yolo_v1", 0),
    (Semantic(CLASSES), "unet:tiny_encoder", 3),
    (Promptable(CLASSES), "tiny_encoder", 3),
]


@pytest.mark.parametrize(
    ("task", "name", "left"), CASES, ids=[f"{task.name}-{name}" for task, name, _ in CASES]
)
@torch.no_grad()
def test_the_output_stays_and_the_normalisation_layers_go(task, name, left):
    net = build(task, name)
    before = copy.deepcopy(net.state_dict())
    other = fused(net)
    assert norms(other) == left
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    images = torch.randint(0, 256, (2, 3, net.size, net.size), dtype=torch.uint8)
    if isinstance(task, Promptable):
        pairs = list(zip(net.encode(images), other.encode(images), strict=True))
    else:
        outputs = net(images), other(images)
        if isinstance(task, Detection):
            outputs = tuple(torch.cat(one.candidates(), 2) for one in outputs)
        pairs = [outputs]
    for old, new in pairs:
        torch.testing.assert_close(new, old, atol=2e-4, rtol=1e-4)


def test_layers_of_timm_keep_the_activation_that_they_contain():
    pytest.importorskip("timm")
    net = build(Classification(CLASSES), "timm:mobilenetv3_small_050")
    other = fused(net)
    assert norms(net) > 30
    assert norms(other) == 0
    images = example_inputs(net)[0]
    with torch.no_grad():
        torch.testing.assert_close(other(images), net(images), atol=2e-4, rtol=1e-4)


class Last(nn.Module):
    def forward(self, maps):
        return maps[-1]


class Small(Backbone):
    """A convolution and a normalisation; `kind` says what else there is."""

    channels, strides = (4,), (1,)

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.one, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, track_running_stats=kind != "no statistics")

    def forward(self, images):
        x = self.one(images)
        y = self.norm(x)
        if self.kind == "read twice":
            y = y + x
        if self.kind == "shared":
            y = y + self.norm(self.other(images))
        if self.kind == "run twice":
            y = y + self.norm(self.one(-images))
        return [y]


@pytest.mark.parametrize(
    ("kind", "left"),
    [("plain", 0), ("run twice", 0), ("read twice", 1), ("shared", 1), ("no statistics", 1)],
)
def test_what_cannot_be_folded_stays(kind, left):
    torch.manual_seed(0)
    body = nn.Sequential(Small(kind), Last())
    net = used_if_tracked(VisionModel(body, size=8, mean=[110.0] * 3, std=[60.0] * 3))
    other = fused(net)
    assert norms(other) == left
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(other(images), net(images), atol=1e-4, rtol=1e-4)


def used_if_tracked(net: VisionModel) -> VisionModel:
    tracked = all(
        module.track_running_stats for module in net.modules() if isinstance(module, nn.BatchNorm2d)
    )
    return used(net) if tracked else net.eval()
