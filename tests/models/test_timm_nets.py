"""timm's nets, offline: its outputs, its refusals, and no download unasked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from foveate import models
from foveate.errors import SettingError
from foveate.models import weight_file

CNN, WINDOWS, PATCHES = "test_convnext", "swin_tiny_patch4_window7_224", "test_vit"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def weights(name, path, **given):
    torch.manual_seed(0)
    net = timm.create_model(name, **given).eval()
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
    return net


@pytest.mark.parametrize("name", [CNN, WINDOWS, PATCHES])
@torch.no_grad()
def test_maps_have_the_declared_shapes_for_pyramids_windows_and_patches(name):
    backbone = models.build(f"timm:{name}", channels=1, size=64).eval()
    maps = backbone(torch.zeros(2, 1, 64, 64))
    promised = zip(backbone.channels, backbone.strides, strict=True)
    assert [tuple(output.shape) for output in maps] == [
        (2, width, 64 // s, 64 // s) for width, s in promised
    ]


@pytest.mark.parametrize("name", [CNN, WINDOWS, PATCHES])
@torch.no_grad()
def test_a_net_filled_from_a_file_has_the_buffers_that_the_file_lacks(name):
    def build():
        return models.build(f"timm:{name}", channels=3, size=64).eval()

    net = build()
    again = weight_file.filled(build, net.state_dict())
    for (key, value), (_, other) in zip(net.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(value, other), key
    images = torch.randn(2, 3, 64, 64)
    assert all(torch.equal(*pair) for pair in zip(net(images), again(images), strict=True))


@torch.no_grad()
def test_weights_from_a_file_give_timms_output(tmp_path):
    net = weights(CNN, tmp_path / "net.safetensors")
    backbone = models.build(
        f"timm:{CNN}", channels=3, size=64, weights=tmp_path / "net.safetensors"
    ).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(
        backbone(images)[-1], net.forward_features(images), atol=1e-5, rtol=1e-5
    )
    configs = [getattr(module, "pretrained_cfg", None) or {} for module in backbone.modules()]
    assert not any(config.get("state_dict") for config in configs)


@torch.no_grad()
def test_weights_are_adapted_to_grey_images_and_another_size(tmp_path):
    net = weights(PATCHES, tmp_path / "net.safetensors")
    path = tmp_path / "net.safetensors"
    backbone = models.build(f"timm:{PATCHES}", channels=1, size=64, weights=path).eval()
    assert backbone(torch.zeros(1, 1, 64, 64))[-1].shape == (1, 64, 4, 4)
    mine = next(module for module in backbone.modules() if isinstance(module, torch.nn.Conv2d))
    theirs = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    torch.testing.assert_close(mine.weight, theirs.weight.sum(1, keepdim=True))


def test_the_nets_normalisation_is_reported():
    assert models.build(f"timm:{PATCHES}", channels=3, size=64).statistics == (
        (0.5,) * 3,
        (0.5,) * 3,
    )
    assert models.build("tiny_cnn", channels=3, size=64).statistics[0] == (0.485, 0.456, 0.406)


def test_weights_of_another_net_are_refused(tmp_path):
    weights("test_resnet", tmp_path / "net.safetensors")
    with pytest.raises(
        SettingError, match=rf"net\.safetensors: these are not the published weights of timm:{CNN}"
    ):
        models.build(f"timm:{CNN}", channels=3, size=64, weights=tmp_path / "net.safetensors")


def test_a_file_without_tensors_is_no_reason_to_download(tmp_path):
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(SettingError, match="no tensors"):
        models.build(f"timm:{CNN}", channels=3, size=64, weights=tmp_path / "none.safetensors")


def test_unknown_names_are_refused_before_any_data_is_read():
    with pytest.raises(SettingError, match=r"did you mean .*resnet18") as refused:
        models.find("timm:resnet81")
    assert "list_models" in refused.value.remedy
    with pytest.raises(SettingError, match=r"no weights called .*\.a9_in9k"):
        models.find("timm:resnet18.a9_in9k")
    assert models.find("timm:resnet18.a1_in1k").name == "timm:*"


@pytest.mark.parametrize(
    "name", ["hf-hub:timm/resnet18.a1_in1k", "hf_hub:a/b", "local-dir:/tmp", "/etc/passwd", "", "*"]
)
def test_names_outside_timms_registry_are_refused(name):
    with pytest.raises(SettingError, match="timm has no net called"):
        models.build(f"timm:{name}", channels=3, size=64)


def test_an_unsupported_size_is_refused():
    with pytest.raises(
        SettingError, match=r"gives no feature maps for images of 3 x 97 x 97 \(.*divisible"
    ):
        models.build(f"timm:{PATCHES}", channels=3, size=97)


@pytest.mark.slow
def test_a_download_that_fails_is_one_clear_error(tmp_path):
    """In a new process: the hub's client reads HF_HUB_OFFLINE at import."""
    code = (
        "from foveate import models; "
        f"models.build('timm:{CNN}', channels=3, size=64, weights='download')"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert (
        f"SettingError: weights: the published weights of timm:{CNN} could not be downloaded"
        in done.stderr
    )
