"""The running average of the weights: a smoother net than the one that is being pushed about."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ModelEMA:
    """Exponential moving average of a net's floating-point state (Polyak and Juditsky, 1992; as in Tarvainen and
    Valpola, 2017), statistics of batch normalisation included.

    decay: the share that stays at each update. Early on it is smaller, (1 + t) / (10 + t), so that the average is
        not still full of the random first weights after a short run.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        self.updates += 1
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                mine.append(self.state[name])
                theirs.append(value)
            else:
                self.state[name].copy_(value)  # batch normalisation's count of batches
        torch._foreach_lerp_(mine, theirs, share)
