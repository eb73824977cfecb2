"""The laws of every model. They run over all that is registered.

Laws of shape run for every name at four sizes on torch's meta device, which needs neither memory nor arithmetic. Laws
that compute run for one net of each family (FAMILIES): the others of a family differ from it in depth alone.
"""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from foveate import models
from foveate.errors import SettingError
from foveate.models.vision import Vision

NAMES = models.names()
DEEPER = {"vgg13", "vgg16", "vgg19", "resnet34", "resnet101", "resnet152"}
FAMILIES = [name for name in NAMES if name not in DEEPER]
SIDE, CHANNELS, CLASSES = 32, 3, 4


def needs(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")


def built(name: str, channels: int = CHANNELS, seed: int = 0) -> nn.Module:
    """A whole classifier, from uint8 pictures to logits."""
    torch.manual_seed(seed)
    backbone = models.build(name, channels=channels, size=SIDE)
    body = nn.Sequential(backbone, Last(), backbone.classifier(CLASSES))
    return Vision(body, size=SIDE, mean=[120.0] * channels, std=[60.0] * channels)


class Last(nn.Module):
    def forward(self, maps):
        return maps[-1]


def pictures(count: int, channels: int = CHANNELS) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, channels, SIDE, SIDE), dtype=np.uint8))


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request):
    """Two nets of one name and of seeds 0 and 1, built once for all laws (pytest groups them); not to be changed."""
    needs(request.param)
    return request.param, built(request.param).eval(), built(request.param, seed=1).eval()


def test_the_deeper_nets_are_registered_and_have_a_tested_relative():
    assert set(NAMES) >= DEEPER
    assert {name.rstrip("0123456789") for name in DEEPER} <= {name.rstrip("0123456789") for name in FAMILIES}


def test_names_are_unique_and_found_without_torch():
    assert len(set(NAMES)) == len(NAMES)
    code = "import sys, foveate.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_classifier_have_the_shapes_that_are_promised(name):
    """A map has at most size / stride pixels a side, rounded up, and at most two less. Sizes: the smallest, two odd ones
    on either side of the classic nets' change of stem, and one at which a wrong stride can't hide."""
    needs(name)
    smallest = models.find(name).smallest
    for size in (smallest, max(smallest, 33), max(smallest, 67), 225):
        with torch.device("meta"):
            backbone = models.build(name, channels=3, size=size).eval()
            maps = backbone(torch.zeros(2, 3, size, size))
            logits = backbone.classifier(7).eval()(maps[-1])
        assert logits.shape == (2, 7)
        assert len(maps) == len(backbone.channels) == len(backbone.strides)
        assert list(backbone.strides) == sorted(backbone.strides)
        for found, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
            assert found.shape == (2, channels, found.shape[2], found.shape[2])
            assert max(1, size / stride - 2) <= found.shape[2] <= -(-size // stride)


@pytest.mark.parametrize("name", NAMES)
def test_a_size_below_the_smallest_is_refused_with_what_works(name):
    needs(name)
    smallest = models.find(name).smallest
    if smallest == 1:  # an mlp takes a single pixel
        with torch.device("meta"):
            assert models.build(name, channels=1, size=1)
        return
    with pytest.raises(SettingError, match=f"at least {smallest} px") as refused:
        models.build(name, channels=3, size=smallest - 1)
    assert f"--size {smallest}" in refused.value.remedy
    assert "mlp" in refused.value.remedy


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels(name, channels):
    needs(name)
    with torch.device("meta"):
        backbone = models.build(name, channels=channels, size=SIDE).eval()
        assert backbone(torch.zeros(2, channels, SIDE, SIDE))[-1].shape[:2] == (2, backbone.channels[-1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [1, 1000])
def test_any_number_of_classes_and_a_second_classifier_is_like_the_first(name, classes):
    needs(name)
    with torch.device("meta"):
        backbone = models.build(name, channels=3, size=SIDE).eval()
        last = backbone(torch.zeros(2, 3, SIDE, SIDE))[-1]
        for again in (classes, 3, classes):
            assert backbone.classifier(again).eval()(last).shape == (2, again)


def test_gradients_reach_every_weight(pair):
    """Of each tensor of weights at least one is moved; ReLUs may switch single units off, but no whole tensor."""
    net = copy.deepcopy(pair[1]).train()
    net(pictures(4)).square().sum().backward()
    for weight, parameter in net.named_parameters():
        assert parameter.grad is not None, weight
        assert torch.isfinite(parameter.grad).all(), weight
        assert parameter.grad.abs().sum() > 0, weight


def test_a_few_pictures_can_be_learnt_by_heart(pair):
    """Four pictures of four classes: the loss halves within 25 steps of Adam, without dropout."""
    name, net, _ = pair
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, labels = pictures(4), torch.arange(4)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4 if name in ("alexnet", "vgg11") else 1e-3)
    first = None
    for _ in range(25):
        loss = nn.functional.cross_entropy(net(images), labels)
        first = loss.item() if first is None else first
        if loss < 0.5 * first:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"from {first:.3f} only to {loss.item():.3f}")


@torch.no_grad()
def test_weights_round_trip_through_safetensors(pair):
    _, net, other = pair
    images, other = pictures(2), copy.deepcopy(other)
    assert not torch.allclose(net(images), other(images))
    other.load_state_dict(load(save({key: value.contiguous() for key, value in net.state_dict().items()})))
    assert torch.equal(net(images), other(images))


def test_the_same_seed_gives_the_same_weights(pair):
    name, net, other = pair
    again = built(name)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


@torch.no_grad()
def test_together_equals_alone(pair):
    _, net, _ = pair
    images = pictures(3)
    together = net(images)
    assert together.std(0).max() > 1e-6  # or all pictures would be one to it
    torch.testing.assert_close(together, torch.cat([net(one[None]) for one in images]), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("vgg11", "resnet50", "mlp:512-256")])
def test_exported_to_onnx_it_gives_the_same_answers(name, tmp_path):
    """Slow: torch's exporter traces and rewrites the graph. VGG has no layer that AlexNet has not."""
    needs(name)
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net, images = built(name).eval(), pictures(2)
    torch.onnx.export(net, (images,), tmp_path / "net.onnx", dynamo=True, verbose=False, input_names=["images"])
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, net(images).numpy(), atol=1e-4, rtol=1e-4)
