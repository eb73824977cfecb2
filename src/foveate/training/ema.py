"""EMA: the exponential moving average of the weights, often a better model than the last step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ModelEMA:
    """Exponential moving average of a net's floating-point state, batch statistics included.

    Polyak and Juditsky, 1992; as in Tarvainen and Valpola, "Mean teachers", 2017.

    Attributes:
        decay: Share that stays at each update. Early updates use the smaller (1 + t) / (10 + t), so
            that a short run does not end full of its random first weights.
        updates: Updates so far.
        state: The averaged state dict.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move the average a little towards the weights of the net."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                averages.append(self.state[name])
                values.append(value)
            else:
                self.state[name].copy_(value)  # batch normalisation's counter
        torch._foreach_lerp_(averages, values, weight)
