"""Features are computed once for the same images and weights, and anew if either changes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from foveate.experiment.feature_cache import cached_features
from foveate.models.features import features, last_layer
from foveate.progress import NullReporter


class Net(torch.nn.Module):
    """Stands for a net: only its size, its device and its tensors are asked for."""

    size = 8
    images_at_once = 4096

    def __init__(self, value: float, device: str = "cpu"):
        super().__init__()
        self.mean = torch.zeros(1, device=device)
        self.register_buffer("weight", torch.full((2,), value))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path))


def run(net=None, pixels=0, rows=(0, 1, 2), encoding="raw"):
    calls = []

    def compute(_net, images, _on_progress):
        calls.append(len(images))
        return np.arange(2 * len(images), dtype=np.float32).reshape(-1, 2)

    net = net or Net(1)
    images = SimpleNamespace(
        pixels=np.full((4, 8, 8, 3), pixels, np.uint8),
        hashes=[f"{pixels}{row}" for row in range(4)],
        encoding=encoding,
    )
    state = net.state_dict(keep_vars=True).items()
    rows = np.array(rows)
    found = cached_features(compute, net, state, images, rows, 2, NullReporter())
    return found, calls


def test_features_are_computed_once():
    first, second = run(), run()
    assert (first[1], second[1]) == ([3], [])
    np.testing.assert_array_equal(first[0], second[0])


@pytest.mark.parametrize(
    "change",
    [
        {"net": Net(2)},
        {"net": Net(1, "meta")},
        {"pixels": 1},
        {"rows": (0, 2, 1)},
        {"encoding": "jpeg"},
    ],
)
def test_what_changes_features_is_computed_anew(change):
    run()
    assert run(**change)[1] == [3]


def test_a_new_head_does_not_change_the_key_of_a_probe(monkeypatch):
    from foveate import models
    from foveate.experiment import probing
    from foveate.models.model import VisionModel
    from foveate.tasks.classification import Classification

    calls = []

    def compute(net, images, on_progress):
        calls.append(len(images))
        return features(net, images, on_progress)

    compute.__name__ = "features"
    monkeypatch.setattr(probing, "features", compute)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    decoded = SimpleNamespace(pixels=images, hashes=list("abcd"), encoding="raw")
    prepared = SimpleNamespace(images=decoded)
    backbone = models.build("tiny_cnn", channels=3, size=16)
    found = []
    for _ in range(2):
        net = VisionModel(
            Classification("ab").head(backbone), size=16, mean=(100,) * 3, std=(50,) * 3
        )
        torch.nn.init.normal_(last_layer(net).weight)
        found.append(probing._features(net, prepared, np.arange(4), NullReporter()))
    assert calls == [4]
    np.testing.assert_array_equal(*found)
