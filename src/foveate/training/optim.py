"""Optimizers by name, with the parameter groups that each needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.training.muon import Muon

OPTIMIZERS = {
    "sgd": "stochastic gradient descent with Nesterov momentum 0.9",
    "adam": "Adam (Kingma and Ba, 2015), weight decay added to the gradient",
    "adamw": "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)",
    "muon": "orthogonalised steps of weight matrices, AdamW for the rest (Jordan et al., 2024)",
}


def optimizer(
    name: str, net: nn.Module, *, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimizer of that name over all trainable parameters of a net.

    Biases and scales of normalisation layers are not decayed: pulling them to zero does not make a
    net simpler (Goyal et al., "Accurate, large minibatch SGD", 2017).

    Args:
        name: One of OPTIMIZERS.
        net: The net.
        lr: Peak learning rate. Each group has it as `peak_lr`, which the schedule scales.
        weight_decay: Weight decay of matrices.

    Raises:
        SettingError: No optimizer has that name.
    """
    if name not in OPTIMIZERS:
        raise SettingError(
            f"no optimizer is called {name!r}; there are: {', '.join(OPTIMIZERS)}",
            where="optimizer",
        )
    trainable = [p for p in net.parameters() if p.requires_grad]
    matrices, vectors = [p for p in trainable if p.ndim > 1], [p for p in trainable if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    built: torch.optim.Optimizer
    if name == "muon":
        built = Muon(matrices, vectors, lr=lr, weight_decay=weight_decay)
    elif name == "sgd":
        built = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
    else:
        adam = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        built = adam(groups, lr=lr, fused=True)
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
        names |= dict.fromkeys(optimizer.param_groups[0]["params"], frozenset({"momentum"}))
    return names
