"""The laws of every registered model.

Laws of shape run for every name at four sizes on torch's meta device, which needs neither memory
nor arithmetic. Laws that compute run for one net per family (FAMILIES): the others of a family
differ from it in depth only.
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
from foveate.models import weight_file
from foveate.models.model import VisionModel

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = models.list_models()
DEEPER = {"vgg13", "vgg16", "vgg19", "resnet34", "resnet101", "resnet152"}
FAMILIES = [name for name in NAMES if name not in DEEPER]
CHANNELS, CLASSES = 3, 4


def side(name: str) -> int:
    """Side of the images in the laws that compute: small, as there are many laws."""
    return max(models.find(name).min_size, 16)


def needs(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")


def built(name: str, seed: int = 0) -> VisionModel:
    """A complete classifier, from uint8 images to logits."""
    torch.manual_seed(seed)
    backbone = models.build(name, channels=CHANNELS, size=side(name))
    body = nn.Sequential(backbone, Last(), backbone.classifier(CLASSES))
    return VisionModel(body, size=side(name), mean=[120.0] * CHANNELS, std=[60.0] * CHANNELS)


class Last(nn.Module):
    def forward(self, maps):
        return maps[-1]


def make_images(count: int, net: VisionModel) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(
        rng.integers(0, 256, (count, CHANNELS, net.size, net.size), dtype=np.uint8)
    )


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request):
    """Two nets of one name, with seeds 0 and 1, shared by all laws: copy before changing."""
    needs(request.param)
    return request.param, built(request.param).eval(), built(request.param, seed=1).eval()


def test_a_net_filled_from_a_file_is_the_net_that_was_saved(pair):
    """Without drawing weights first, and with the buffers that the file lacks."""
    name, net, _ = pair
    filled = weight_file.filled(lambda: built(name, seed=7), load(save(net.state_dict()))).eval()
    for (key, value), (other, again) in zip(
        (*net.named_parameters(), *net.named_buffers()),
        (*filled.named_parameters(), *filled.named_buffers()),
        strict=True,
    ):
        assert key == other
        assert torch.equal(value, again)
        assert value.stride() == again.stride()
    images = make_images(2, net)
    with torch.no_grad():
        assert torch.equal(net(images), filled(images))


def test_a_net_that_is_larger_than_its_file_is_never_filled(pair):
    name, net, _ = pair
    tensors = load(save(net.state_dict()))
    less = dict(list(tensors.items())[1:])
    wide = {key: value.repeat_interleave(2, 0) if value.ndim else value
            for key, value in tensors.items()}  # fmt: skip
    for wrong in ({}, less, wide, {**tensors, "more": torch.zeros(1)}):
        with pytest.raises(ValueError):  # noqa: PT011 - each says another thing
            weight_file.filled(lambda: built(name), wrong)


def test_the_deeper_nets_are_registered_and_their_family_is_tested():
    assert set(NAMES) >= DEEPER
    assert {name.rstrip("0123456789") for name in DEEPER} <= {
        name.rstrip("0123456789") for name in FAMILIES
    }


def test_names_are_unique_and_importing_the_registry_does_not_import_torch():
    assert len(set(NAMES)) == len(NAMES)
    code = "import sys, foveate.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_classifier_have_the_declared_shapes(name):
    """For any number of channels and classes.

    A map has at most size / stride pixels a side, rounded up, and less than three fewer. Sizes: the
    smallest, an odd one on either side of the classic nets' change of stem, and a large one, at
    which a wrong stride shows.
    """
    needs(name)
    smallest = models.find(name).min_size
    for size, channels, classes in ((smallest, 1, 1), (33, 5, 1000), (67, 1, 3), (225, 3, 7)):
        with torch.device("meta"):
            backbone = models.build(name, channels=channels, size=size).eval()
            maps = backbone(torch.zeros(2, channels, size, size))
            for number in (classes, 2, classes):  # one classifier must not spoil the next
                assert backbone.classifier(number).eval()(maps[-1]).shape == (2, number)
        assert len(maps) == len(backbone.channels) == len(backbone.strides)
        assert list(backbone.strides) == sorted(backbone.strides)
        for output, width, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
            assert output.shape == (2, width, output.shape[2], output.shape[2])
            assert max(1, size / stride - 3) <= output.shape[2] <= -(-size // stride)


@pytest.mark.parametrize("name", NAMES)
def test_a_size_below_the_smallest_is_refused_with_sizes_and_models_that_fit(name):
    needs(name)
    smallest = models.find(name).min_size
    if smallest == 1:  # an mlp takes a single pixel
        with torch.device("meta"):
            assert models.build(name, channels=1, size=1)
        return
    with pytest.raises(SettingError, match=f"at least {smallest} px") as refused:
        models.build(name, channels=3, size=smallest - 1)
    assert f"--size {smallest}" in refused.value.remedy
    assert "mlp" in refused.value.remedy


def test_gradients_reach_every_weight(pair):
    """Each tensor gets a gradient; ReLUs may switch off single units, but no whole tensor.

    The classifier's output depends on all weights, except in a U-Net, whose last map is the input
    of its decoder.
    """
    name, net = pair[0], copy.deepcopy(pair[1]).train()
    maps: list[torch.Tensor] = []
    net.body[0].register_forward_hook(lambda module, images, output: maps.extend(output))
    outputs = [net(make_images(4, net)), *(maps if name.partition(":")[0] == "unet" else [])]
    torch.stack([output.square().sum() for output in outputs]).sum().backward()
    for weight, parameter in net.named_parameters():
        assert parameter.grad is not None, weight
        assert torch.isfinite(parameter.grad).all(), weight
        assert parameter.grad.abs().sum() > 0, weight


@pytest.mark.slow
def test_a_few_images_can_be_overfitted(pair):
    """Four images of four classes: the loss halves within 25 steps of Adam, without dropout."""
    name, net, _ = pair
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, labels = make_images(4, net), torch.arange(4)
    optimizer = torch.optim.Adam(
        net.parameters(), lr=2e-4 if name in ("alexnet", "vgg11") else 1e-3
    )
    first = None
    for _ in range(25):
        loss = nn.functional.cross_entropy(net(images), labels)
        first = loss.item() if first is None else first
        if loss < 0.5 * first:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"the loss fell only from {first:.3f} to {loss.item():.3f}")


@torch.no_grad()
def test_weights_round_trip_through_safetensors(pair):
    _, net, other = pair
    images, other = make_images(2, net), copy.deepcopy(other)
    assert not torch.allclose(net(images), other(images))
    other.load_state_dict(
        load(save({key: value.contiguous() for key, value in net.state_dict().items()}))
    )
    assert torch.equal(net(images), other(images))


def test_the_same_seed_gives_the_same_weights(pair):
    name, net, other = pair
    again = built(name)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert any(
        not torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True)
    )


@torch.no_grad()
def test_a_batch_gives_the_same_output_as_single_images(pair):
    _, net, _ = pair
    images = make_images(3, net)
    together = net(images)
    assert together.std(0).max() > 1e-6  # the images have different outputs
    torch.testing.assert_close(
        together, torch.cat([net(one[None]) for one in images]), atol=1e-4, rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter itself
@pytest.mark.parametrize(
    "name", [name for name in FAMILIES if name not in ("vgg11", "resnet50", "mlp:512-256")]
)
def test_exported_to_onnx_it_gives_the_same_output(name, tmp_path):
    """Slow: the exporter traces and rewrites the graph. VGG has only layers that AlexNet has."""
    needs(name)
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    net = built(name).eval()
    images = make_images(2, net)
    torch.onnx.export(
        net, (images,), tmp_path / "net.onnx", dynamo=True, verbose=False, input_names=["images"]
    )
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (output,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(output, net(images).numpy(), atol=1e-4, rtol=1e-4)
