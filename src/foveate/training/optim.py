"""Optimizers by name, with the parameter groups that each needs.

Pretrained layers are trained at lower rates than new ones. `layer_rates` gives each weight of a
backbone a factor of the learning rate, and `optimizer` makes a parameter group of each factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models.backbone import Backbone
from foveate.training.muon import Muon

OPTIMIZERS = {
    "sgd": "stochastic gradient descent with Nesterov momentum 0.9",
    "adam": "Adam (Kingma and Ba, 2015), weight decay added to the gradient",
    "adamw": "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)",
    "muon": "orthogonalised steps of weight matrices, AdamW for the rest (Jordan et al., 2024)",
}


def layer_rates(backbone: Backbone, decay: float) -> dict[Tensor, float]:
    """The factor of the learning rate for each weight of a pretrained backbone.

    Rates that fall from layer to layer towards the image are discriminative fine-tuning (Howard and
    Ruder, "Universal language model fine-tuning", 2018).

    Args:
        backbone: The backbone; only the weights of its layer groups get a factor.
        decay: The factor from each layer group to the one before it; that of the last one is 1.
    """
    return {
        weight: decay**distance
        for distance, group in enumerate(reversed(backbone.layer_groups()))
        for weight in group.parameters()
    }


def optimizer(
    name: str,
    net: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    rates: Mapping[Tensor, float] | None = None,
) -> torch.optim.Optimizer:
    """The optimizer of that name over all trainable parameters of a net.

    Biases and scales of normalisation layers are not decayed: pulling them to zero does not make a
    net simpler (Goyal et al., "Accurate, large minibatch SGD", 2017).

    Args:
        name: One of OPTIMIZERS.
        net: The net.
        lr: Peak learning rate. Each group has it as `peak_lr`, which the schedule scales.
        weight_decay: Weight decay of matrices.
        rates: Factors of the learning rate for some of the parameters; 1 for the others, whose
            groups come first.

    Raises:
        SettingError: No optimizer has that name.
    """
    if name not in OPTIMIZERS:
        raise SettingError(
            f"no optimizer is called {name!r}; there are: {', '.join(OPTIMIZERS)}",
            where="optimizer",
        )
    by_rate: dict[float, list[Tensor]] = {1.0: []}
    for parameter in net.parameters():
        if parameter.requires_grad:
            by_rate.setdefault((rates or {}).get(parameter, 1.0), []).append(parameter)
    matrices: list[dict[str, Any]] = []
    vectors: list[dict[str, Any]] = []
    for rate, parameters in by_rate.items():
        for groups, decay, some in (
            (matrices, weight_decay, [p for p in parameters if p.ndim > 1]),
            (vectors, 0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            if some:
                groups.append({"params": some, "lr": lr * rate, "weight_decay": decay})
    built: torch.optim.Optimizer
    if name == "muon":
        built = Muon(matrices, vectors, lr=lr, weight_decay=weight_decay)
    elif name == "sgd":
        built = torch.optim.SGD(matrices + vectors, lr=lr, momentum=0.9, nesterov=True, fused=True)
    else:
        adam = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        built = adam(matrices + vectors, lr=lr, fused=True)
    for group in built.param_groups:
        group["peak_lr"] = group["lr"]
    return built


def state_names(optimizer: torch.optim.Optimizer) -> dict[Tensor, frozenset[str]]:
    """What an optimizer keeps for each parameter once that has had a gradient."""
    momentum, adam = frozenset({"momentum_buffer"}), frozenset({"step", "exp_avg", "exp_avg_sq"})
    names = {
        parameter: momentum if isinstance(optimizer, torch.optim.SGD) else adam
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    if isinstance(optimizer, Muon):
        for group in optimizer.matrix_groups:
            names |= dict.fromkeys(group["params"], frozenset({"momentum"}))
    return names
