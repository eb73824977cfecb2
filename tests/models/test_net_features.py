"""Features are what the last layer of the net reads, whatever the batch size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate import models
from foveate.models import model
from foveate.models.features import features, last_layer, map_statistics
from foveate.models.model import VisionModel
from foveate.tasks.classification import Classification


@pytest.fixture
def net() -> VisionModel:
    torch.manual_seed(0)
    body = Classification(("a", "b", "c")).head(models.build("tiny_cnn", channels=3, size=16))
    built = VisionModel(body, size=16, mean=(100.0,) * 3, std=(50.0,) * 3)
    built(torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8))  # statistics of batch norm
    return built


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 16, 16, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("per_batch", [1, 3, 100])
def test_the_last_layer_turns_features_into_logits(net, monkeypatch, count, per_batch):
    monkeypatch.setattr(model, "_CACHED_PIXELS", per_batch * 16 * 16)
    found = features(net, images(count))
    layer = last_layer(net)
    with torch.no_grad():
        expected = net.eval()(net.batch(images(count)))
        assert found.dtype == np.float32
        torch.testing.assert_close(layer(torch.from_numpy(found)), expected, rtol=1e-3, atol=1e-3)


def test_the_net_is_not_changed_and_progress_ends_with_all_images(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    training, done = net.training, []
    features(net, images(5), done.append)
    assert done[-1] == 5
    assert net.training == training
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_no_image_has_no_features(net):
    assert features(net, images(5)[:0]).shape == (0, last_layer(net).in_features)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_map_statistics_are_those_of_each_channel_of_each_map(net, monkeypatch, count):
    monkeypatch.setattr(model, "_CACHED_PIXELS", 3 * 16 * 16)
    found = map_statistics(net, images(count))
    assert found.dtype == np.float32
    assert found.shape == (count, 2 * sum(net.backbone.channels))
    net.eval()
    for row, image in enumerate(images(count)):
        with torch.no_grad():
            maps = net.backbone(net.normalise(net.batch(image[None])))
        expected = [
            f(channel.numpy()) for f in (np.mean, np.std) for one in maps for channel in one[0]
        ]
        np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-4)
