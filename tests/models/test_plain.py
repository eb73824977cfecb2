"""mlp and cnn, and finding models by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from foveate import models
from foveate.errors import SettingError
from foveate.models.backbone import count_parameters


def test_the_tutorial_net_has_its_1199882_weights():
    backbone = models.build("cnn", channels=1, size=28)
    assert count_parameters(backbone, backbone.classifier(10)) == 1_199_882


def test_shared_parameters_are_counted_once():
    layer = nn.Linear(3, 2)
    assert count_parameters(layer, nn.Sequential(layer, layer)) == 8


def test_any_depths_and_widths():
    for name, widths in {
        "mlp": [256, 256],
        "mlp:7": [7],
        "mlp:300-200-100": [300, 200, 100],
    }.items():
        backbone = models.build(name, channels=2, size=9)
        assert [
            layer.out_features for layer in backbone.layers if isinstance(layer, nn.Linear)
        ] == widths


@torch.no_grad()
def test_an_mlp_is_matrices_and_rectifiers():
    backbone = models.build("mlp:6-5", channels=2, size=3)
    images = torch.randn(4, 2, 3, 3)
    a, b = (layer for layer in backbone.layers if isinstance(layer, nn.Linear))
    hidden = (images.reshape(4, 18) @ a.weight.T + a.bias).clamp(min=0)
    expected = (hidden @ b.weight.T + b.bias).clamp(min=0)
    torch.testing.assert_close(backbone(images)[0], expected.reshape(4, 5, 1, 1))


@pytest.mark.parametrize(
    "name", ["mlp:", "mlp:0", "mlp:a", "mlp:3--4", "mlp:-1", "mlp:*", "mlp:4-", "mlp: 4", "mlp:４"]
)
def test_invalid_widths_are_refused_when_the_name_is_looked_up(name):
    with pytest.raises(SettingError, match=r"widths .* like mlp:512-256"):
        models.find(name)


@pytest.mark.parametrize(("name", "size"), [("mlp:99999-99999", 8), ("mlp", 4096), ("cnn", 1024)])
def test_a_net_that_would_fill_the_memory_is_refused(name, size):
    with pytest.raises(SettingError, match="at most 1,000,000,000 are expected"):
        models.build(name, channels=3, size=size)


def test_an_unknown_name_is_refused_with_the_list_of_models():
    with pytest.raises(SettingError, match="did you mean 'resnet18'") as refused:
        models.find("resnet-18")
    assert all(model.name in refused.value.remedy for model in models.all())
    for name in ("", "cnn:3", "Quick", "../x"):
        with pytest.raises(SettingError, match="no model is called"):
            models.find(name)
