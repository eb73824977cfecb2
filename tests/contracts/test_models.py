"""The laws of every model. They run over all that is registered.

The largest nets of a family differ from its smallest only in depth, so laws that need training or an export run on one
net a family; the cheap laws run on all.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from foveate import models
from foveate.errors import SettingError
from foveate.models.vision import Vision

NAMES = [model.name.replace(":*", ":32-16") for model in models.all()]
FAMILIES = ["mlp", "mlp:32-16", "cnn", "quick", "alexnet", "vgg11", "resnet18", "resnet50"]
SIZES = (28, 67)  # a small one, and an odd one above which the classic nets have their own stem


def built(name, channels=3, size=32, seed=0):
    torch.manual_seed(seed)
    return models.build(name, channels=channels, size=size)


def classifier(name, channels, size, classes, seed=0):
    backbone = built(name, channels, size, seed)
    body = nn.Sequential(backbone, Last(), backbone.classifier(classes))
    return Vision(body, size=size, mean=[120.0] * channels, std=[60.0] * channels)


class Last(nn.Module):
    def forward(self, maps):
        return maps[-1]


def pictures(count, channels, size):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, channels, size, size), dtype=np.uint8))


def test_every_family_is_tested():
    assert {name.rstrip("0123456789") for name in NAMES} == {name.rstrip("0123456789") for name in FAMILIES}


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_channels_and_strides_that_are_promised(name):
    smallest = models.find(name).smallest
    for size in sorted({smallest, *SIZES}):
        with torch.device("meta"):  # shapes need neither weights nor arithmetic
            backbone = built(name, 3, size).eval()
            maps = backbone(torch.zeros(1, 3, size, size))
        assert len(maps) == len(backbone.channels) == len(backbone.strides)
        assert list(backbone.strides) == sorted(backbone.strides)
        for found, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
            assert found.shape[:2] == (1, channels)
            # Without padding a map loses a rim, and pooling may round down; it never has more than size / stride.
            assert 1 <= found.shape[2] <= -(-size // stride)
            assert found.shape[2] == found.shape[3]


@pytest.mark.parametrize("name", NAMES)
def test_a_size_below_the_smallest_is_refused_with_what_works(name):
    smallest = models.find(name).smallest
    if smallest > 1:
        with pytest.raises(SettingError, match=f"at least {smallest} px"):
            models.build(name, channels=3, size=smallest - 1)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("channels", [1, 5])
def test_any_channels_and_any_classes(name, channels):
    net = classifier(name, channels, 32, 7).eval()
    with torch.no_grad():
        assert net(pictures(2, channels, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_every_weight(name):
    net = classifier(name, 3, 32, 4)
    net(pictures(4, 3, 32)).square().sum().backward()
    for weight, parameter in net.named_parameters():
        assert parameter.grad is not None, weight
        assert torch.isfinite(parameter.grad).all(), weight
        # ReLUs switch single units off, but no whole tensor.
        assert parameter.grad.abs().sum() > 0, weight


@pytest.mark.parametrize("name", FAMILIES)
def test_a_few_pictures_can_be_learnt_by_heart(name):
    net = classifier(name, 3, 32, 4)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, labels = pictures(4, 3, 32), torch.arange(4)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4 if name in ("alexnet", "vgg11") else 1e-3)
    losses = []
    for _ in range(25):
        loss = nn.functional.cross_entropy(net(images), labels)
        losses.append(loss.item())
        if loss < 0.5 * losses[0]:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_round_trip_through_safetensors(name):
    net, other = classifier(name, 3, 32, 4).eval(), classifier(name, 3, 32, 4, seed=1).eval()
    images = pictures(2, 3, 32)
    with torch.no_grad():
        assert not torch.allclose(net(images), other(images))
        other.load_state_dict(load(save({key: value.contiguous() for key, value in net.state_dict().items()})))
        assert torch.equal(net(images), other(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_seed_gives_the_same_weights(name):
    one, other, third = built(name), built(name), built(name, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), third.parameters(), strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_together_equals_alone(name):
    net = classifier(name, 3, 32, 4).eval()
    images = pictures(5, 3, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(images), torch.cat([net(one[None]) for one in images]), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
@pytest.mark.parametrize("name", ["mlp", "cnn", "quick", "alexnet", "resnet18"])
def test_exported_to_onnx_it_gives_the_same_answers(name, tmp_path):
    """Slow: torch's exporter traces and rewrites the graph. VGG has nothing that AlexNet has not, and 500 MB."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net = classifier(name, 3, 32, 4).eval()
    images = pictures(2, 3, 32)
    torch.onnx.export(net, (images,), tmp_path / "net.onnx", dynamo=True, verbose=False, input_names=["images"])
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, net(images).numpy(), atol=1e-4, rtol=1e-4)
