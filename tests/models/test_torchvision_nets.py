"""The classic nets are torchvision's: same parameter counts, same outputs with the same weights."""

from __future__ import annotations

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from foveate import models
from foveate.errors import SettingError
from foveate.models.backbone import count_parameters
from foveate.models.model import published_statistics

NAMES = [
    "alexnet",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
]
PARAMETERS = {"alexnet": 61_100_840, "vgg16": 138_357_544, "resnet50": 25_557_032}
SIDE = 67


def whole(name, channels, size, classes, weights=None):
    backbone = models.build(name, channels=channels, size=size, weights=weights).eval()
    return backbone, backbone.classifier(classes).eval()


def convolution(backbone):
    return next(module for module in backbone.modules() if isinstance(module, torch.nn.Conv2d))


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts_are_torchvisions(name):
    with torch.device("meta"):  # counts need no memory
        mine = count_parameters(*whole(name, 3, 224, 1000))
        theirs = count_parameters(getattr(torchvision.models, name)())
    assert mine == theirs
    assert mine == PARAMETERS.get(name, mine)


@pytest.fixture(scope="module", params=["alexnet", "resnet18", "resnet50"])
def published(request, tmp_path_factory):
    """A net of torchvision with random weights, in a file as published weights would be."""
    torch.manual_seed(0)
    net = getattr(torchvision.models, request.param)().eval()
    folder = tmp_path_factory.mktemp("weights")
    save_file(net.state_dict(), folder / "net.safetensors")
    torch.save(net.state_dict(), folder / "net.pth")
    return request.param, net, folder


@pytest.mark.parametrize("file", ["net.safetensors", "net.pth"])
@torch.no_grad()
def test_with_the_same_weights_the_output_is_the_same(published, file):
    name, net, folder = published
    backbone, head = whole(name, 3, SIDE, 1000, folder / file)
    images = torch.randn(2, 3, SIDE, SIDE)
    torch.testing.assert_close(head(backbone(images)[-1]), net(images), atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_vgg_gives_torchvisions_output_too(tmp_path):
    """On its own and in half precision, as its file has half a gigabyte."""
    torch.manual_seed(0)
    net = torchvision.models.vgg11().eval().half()
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    backbone, head = whole("vgg11", 3, SIDE, 1000, tmp_path / "net.safetensors")
    images = torch.randn(1, 3, SIDE, SIDE)
    assert convolution(backbone).weight.dtype == torch.float32
    torch.testing.assert_close(
        head(backbone(images)[-1]), net.float()(images), atol=1e-6, rtol=1e-6
    )


@torch.no_grad()
def test_another_number_of_classes_keeps_all_but_the_last_layer(published):
    name, net, folder = published
    backbone, seven = whole(name, 3, SIDE, 7, folder / "net.pth")
    thousand = backbone.classifier(1000).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    assert seven(backbone(images)[-1]).shape == (2, 7)
    torch.testing.assert_close(thousand(backbone(images)[-1]), net(images), atol=1e-6, rtol=1e-6)
    shared = list(zip(seven.parameters(), thousand.parameters(), strict=True))[:-2]
    assert all(torch.equal(mine, theirs) for mine, theirs in shared)


@torch.no_grad()
def test_published_filters_treat_grey_as_equal_colours(published):
    name, net, folder = published
    backbone, head = whole(name, 1, SIDE, 1000, folder / "net.pth")
    grey = torch.randn(2, 1, SIDE, SIDE)
    torch.testing.assert_close(
        head(backbone(grey)[-1]), net(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("channels", [1, 2, 5, 6])
def test_published_filters_are_adapted_to_other_channels_as_in_timm(published, channels):
    adapt = pytest.importorskip("timm.models").adapt_input_conv
    name, net, folder = published
    mine = convolution(models.build(name, channels=channels, size=SIDE, weights=folder / "net.pth"))
    torch.testing.assert_close(mine.weight, adapt(channels, convolution(net).weight.detach()))
    assert mine.stride == convolution(net).stride
    if mine.bias is not None:
        assert torch.equal(mine.bias, convolution(net).bias)


def test_weights_depend_neither_on_the_seed_nor_on_the_file_afterwards(published):
    name, _, folder = published
    path = folder / "moved.pth"
    path.write_bytes((folder / "net.pth").read_bytes())
    one = models.build(name, channels=3, size=SIDE, weights=path)
    before = path.read_bytes()
    with torch.no_grad():
        for weight in one.parameters():
            weight.add_(1)
    assert path.read_bytes() == before
    path.unlink()
    torch.manual_seed(1)
    other = models.build(name, channels=3, size=SIDE, weights=folder / "net.pth")
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(mine, theirs + 1) for mine, theirs in pairs)


def test_a_file_without_batch_counters_is_read(tmp_path):
    net = torchvision.models.resnet18()
    state = {
        key: value
        for key, value in net.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    backbone = models.build("resnet18", channels=3, size=SIDE, weights=tmp_path / "old.pth")
    assert torch.equal(backbone.stem[0].weight, net.conv1.weight)
    assert backbone.stem[1].num_batches_tracked == 0


def test_published_weights_need_large_images_and_a_model_that_has_them(tmp_path):
    with pytest.raises(SettingError, match="no published weights for 'tiny_cnn'"):
        models.build("tiny_cnn", channels=3, size=96, weights=tmp_path / "x")
    with pytest.raises(SettingError, match="at least 65 px"):
        models.build("resnet18", channels=3, size=32, weights=tmp_path / "x")


def test_statistics_of_published_weights():
    mean, std = published_statistics(3)
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])
    assert published_statistics(1, ((0.4, 0.5, 0.6), (0.5, 0.5, 0.5))) == ([127.5], [127.5])
