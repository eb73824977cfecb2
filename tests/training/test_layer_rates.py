"""Lower rates for pretrained layers: which parameters move how far, with every optimizer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from foveate import models
from foveate.models.backbone import StagedBackbone
from foveate.training.optim import OPTIMIZERS, layer_rates, optimizer

pytestmark = pytest.mark.usefixtures("one_thread")


class Three(StagedBackbone):
    channels, strides = (4, 4, 4), (1, 1, 1)

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(3))


def net_of_three():
    torch.manual_seed(0)
    return nn.ModuleDict({"backbone": Three(), "head": nn.Conv2d(4, 4, 1)})


def with_equal_gradients(net):
    for weight in net.parameters():
        weight.grad = torch.linspace(-1, 1, weight.numel()).reshape(weight.shape)


def test_rates_fall_by_one_factor_from_group_to_group():
    backbone = Three()
    rates = layer_rates(backbone, 0.1)
    for stage, rate in zip(backbone.stages, (0.01, 0.1, 1.0), strict=True):
        assert [rates[weight] for weight in stage.parameters()] == pytest.approx([rate, rate])
    assert rates.keys() == set(backbone.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_is_in_one_group_at_its_rate(name):
    net = net_of_three()
    rates = layer_rates(net["backbone"], 0.1)
    net["backbone"].freeze(1)
    built = optimizer(name, net, lr=0.01, weight_decay=0.1, rates=rates)
    seen = [weight for group in built.param_groups for weight in group["params"]]
    expected = [weight for weight in net.parameters() if weight.requires_grad]
    assert len(seen) == len(expected)
    assert set(seen) == set(expected)
    for group in built.param_groups:
        for weight in group["params"]:
            assert group["peak_lr"] == pytest.approx(0.01 * rates.get(weight, 1.0))
            assert group["weight_decay"] == (0.1 if weight.ndim > 1 else 0.0)
    assert built.param_groups[0]["peak_lr"] == 0.01  # the rate that is reported


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_as_long_as_its_rate_says(name):
    """All have the same gradient and no decay, so the steps differ by the rate alone."""
    net = net_of_three()
    with_equal_gradients(net)
    before = copy.deepcopy(net)
    rates = layer_rates(net["backbone"], 0.1)
    optimizer(name, net, lr=0.01, weight_decay=0.0, rates=rates).step()
    steps = {
        key: (weight - old).detach()
        for (key, weight), old in zip(net.named_parameters(), before.parameters(), strict=True)
    }
    for kind in ("weight", "bias"):
        for stage, rate in enumerate((0.01, 0.1, 1.0)):
            torch.testing.assert_close(
                steps[f"backbone.stages.{stage}.{kind}"], rate * steps[f"head.{kind}"],
                atol=1e-6, rtol=1e-2,
            )  # fmt: skip
    assert steps["head.weight"].abs().max() > 1e-3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equal_rates_train_as_no_rates_do(name):
    plain, grouped = net_of_three(), net_of_three()
    given = dict.fromkeys(grouped["backbone"].parameters(), 1.0)
    for net, rates in ((plain, None), (grouped, given)):
        built = optimizer(name, net, lr=0.01, weight_decay=0.1, rates=rates)
        for _ in range(3):
            with_equal_gradients(net)
            built.step()
    for one, other in zip(plain.parameters(), grouped.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["tiny_cnn", "resnet18", "yolo", "unet:tiny_encoder", "mlp"])
def test_the_layer_groups_of_a_backbone_share_no_weight(name):
    backbone = models.build(name, channels=3, size=67)
    groups = backbone.layer_groups()
    weights = [weight for group in groups for weight in group.parameters()]
    assert len(set(weights)) == len(weights)
    owned = backbone.encoder if name.startswith("unet:") else backbone
    assert set(weights) == set(owned.parameters())


def test_frozen_groups_keep_their_weights_and_their_statistics():
    backbone = models.build("tiny_encoder", channels=3, size=64)
    backbone.freeze(2)
    before = copy.deepcopy(backbone.state_dict())
    built = optimizer("adamw", backbone.train(), lr=0.1, weight_decay=0.1)
    sum(one.square().mean() for one in backbone(torch.randn(4, 3, 64, 64))).backward()
    built.step()
    for name, value in backbone.state_dict().items():
        frozen = name.startswith(("stages.0.", "stages.1."))
        assert torch.equal(value, before[name]) == frozen, name
    assert backbone.training
    assert not any(module.training for module in backbone.stages[1].modules())
    assert all(module.training for module in backbone.stages[2].modules())
    assert not any(module.training for module in backbone.eval().modules())
