"""airbench: what its first layer does to images, its first weights, and whole runs with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import foveate as fv
from foveate import models
from foveate.errors import Interrupted
from foveate.models.backbones.airbench import EPSILON, Airbench, WhiteningConvolution
from foveate.models.model import VisionModel, pixel_statistics
from foveate.training import checkpoint
from helpers.interruption import interrupt_at

pytestmark = pytest.mark.usefixtures("one_thread")


def smooth_images(count, channels, size):
    """Noise with neighbours alike, as in photographs: directions of very different variance."""
    noise = torch.randn(
        count, channels, size + 2, size + 2, generator=torch.Generator().manual_seed(0)
    )
    return torch.nn.functional.avg_pool2d(noise, 3, stride=1) * 3


def whitened(stride, channels=3, size=32):
    layer, images = WhiteningConvolution(channels, stride), smooth_images(64, channels, size)
    layer.fit(images)
    with torch.no_grad():
        return layer, layer(images).transpose(0, 1).flatten(1)


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_patches_of_two_pixels_come_out_white_with_both_signs(channels):
    _, outputs = whitened(1, channels)
    half = len(outputs) // 2
    assert half == 4 * channels
    assert torch.equal(outputs[:half], -outputs[half:])
    moments = outputs[:half] @ outputs[:half].T / outputs.shape[1]
    variances = moments.diagonal()
    torch.testing.assert_close(moments, torch.diag(variances), atol=0.02, rtol=0)
    assert variances.min() > 0.9
    assert variances.max() < 1.01


@pytest.mark.parametrize("stride", [2, 8])
def test_of_larger_patches_the_directions_of_most_variance_are_kept(stride):
    layer, outputs = whitened(stride, 1, 64)
    moments = outputs[:4] @ outputs[:4].T / outputs.shape[1]
    torch.testing.assert_close(moments, torch.eye(4), atol=0.05, rtol=0)
    # The variance along each kept direction, from the length of its weights.
    kept = layer.weight[:4].flatten(1).square().sum(1).reciprocal() - EPSILON
    patches = torch.nn.functional.unfold(smooth_images(64, 1, 64), 2 * stride, stride=stride)
    patches = patches.transpose(0, 1).flatten(1).T
    values = torch.linalg.svdvals(patches).square() / len(patches)
    torch.testing.assert_close(kept.sort(descending=True).values, values[:4], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_images_without_variation_give_finite_weights(value):
    layer = WhiteningConvolution(3, 1)
    layer.fit(torch.full((5, 3, 9, 9), value))
    assert layer.weight.isfinite().all()
    layer.fit(torch.zeros(0, 3, 9, 9))
    assert layer.weight.isfinite().all()


def test_an_image_beyond_the_largest_patches_is_reduced_first():
    layer = WhiteningConvolution(1, 16)
    assert (layer.stride, layer.reduction) == (8, 2)
    images = smooth_images(2, 1, 128)
    layer.fit(images)
    with torch.no_grad():
        reduced = torch.nn.functional.avg_pool2d(images, 2)
        expected = torch.nn.functional.conv2d(reduced, layer.weight, stride=8)
        assert torch.equal(layer(images), expected)


@pytest.mark.parametrize("channels", [1, 3, 16])
@pytest.mark.parametrize("size", [9, 28, 49, 97])
def test_the_first_map_has_at_most_48_pixels_a_side(channels, size):
    backbone = Airbench(channels, size)
    first = backbone.stages[0][0](torch.randn(1, channels, size, size))
    assert 8 <= first.shape[2] <= 48
    assert first.shape[1] == 8 * channels


def test_convolutions_begin_by_passing_their_inputs_on():
    backbone = Airbench(3, 32)
    convolutions = [layer for layer in backbone.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256),
    ]  # fmt: skip
    for layer in convolutions:
        images = torch.randn(2, layer.in_channels, 5, 5)
        torch.testing.assert_close(layer(images)[:, : layer.in_channels], images)


def test_the_first_layer_comes_from_the_images_alone_and_is_never_trained():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), np.uint8)
    mean, std = pixel_statistics(pixels)
    weights = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = VisionModel(
            models.build("airbench", channels=3, size=12), size=12, mean=mean, std=std
        )
        net.fit(pixels)
        assert not any(key.endswith("0.0.weight") for key, _ in net.named_parameters())
        weights.append(net.state_dict()["body.stages.0.0.weight"])
    assert torch.equal(*weights)
    net.fit(pixels[::-1])
    torch.testing.assert_close(net.state_dict()["body.stages.0.0.weight"].abs(), weights[0].abs())


def test_an_encoder_of_a_unet_is_fitted_too():
    backbone = models.build("unet:airbench", channels=1, size=32)
    before = backbone.encoder.stages[0][0].weight.clone()
    backbone.fit(smooth_images(8, 1, 32))
    assert not torch.equal(backbone.encoder.stages[0][0].weight, before)


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_bits(colours, tmp_path, monkeypatch):
    settings = {"model": "airbench", "epochs": 3, "batch_size": 16, "save_seconds": 0.0}
    whole = fv.train(colours, out=tmp_path / "whole", **settings)
    interrupt_at(monkeypatch, 4)
    with pytest.raises(Interrupted):
        fv.train(colours, out=tmp_path / "run", **settings)
    monkeypatch.undo()
    resumed = fv.resume(tmp_path / "run")
    for name in ("best.safetensors", "last.safetensors"):
        mine, its = (checkpoint.read(run.path / name)[0] for run in (whole, resumed))
        assert mine.keys() == its.keys()
        assert all(torch.equal(value, its[key]) for key, value in mine.items())
    assert whole.results["valid"] == resumed.results["valid"]
