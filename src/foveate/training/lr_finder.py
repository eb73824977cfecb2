"""The learning rate range test.

Smith, "Cyclical learning rates for training neural networks", 2017.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from foveate.data.batches import Batches
from foveate.errors import Diverged
from foveate.training.loop import steps

MIN_LR, MAX_LR, STEPS = 1e-5, 10.0, 100


@dataclass(frozen=True)
class LRRange:
    """The result of a range test.

    Attributes:
        suggestion: The learning rate to train with.
        rates: The rates that were tried, rising.
        losses: The smoothed loss at each of them.
    """

    suggestion: float
    rates: list[float]
    losses: list[float]


def find_lr(
    net: nn.Module,
    loss: Callable[[Any, Any], dict[str, Tensor]],
    batches: Batches,
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer],
    *,
    seed: int = 0,
) -> LRRange:
    """Train a copy of the net for 100 steps while the learning rate grows from 1e-5 to 10.

    The suggestion is a tenth of the rate with the lowest smoothed loss: that one lies at the edge
    of divergence. The test ends early once the loss is four times its lowest value.

    Args:
        net: The net; it is not changed.
        loss: (output, target) -> named scalar losses.
        batches: The train split.
        optimizer: (net, learning rate) -> the optimizer.
        seed: Seed of dropout and the like.

    Raises:
        Diverged: The loss is not finite even at the lowest rate.
    """
    trial = copy.deepcopy(net)
    growth = (MAX_LR / MIN_LR) ** (1 / (STEPS - 1))
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    stream = steps(
        trial,
        loss,
        islice(batches(), STEPS),
        optimizer(trial, MIN_LR),
        lambda step: growth**step,
        seed=seed,
    )
    try:
        for step in stream:
            mean = 0.9 * mean + 0.1 * step.losses["total"].item()
            losses.append(mean / (1 - 0.9 ** (step.number + 1)))
            rates.append(step.lr)
            if losses[-1] > 4 * min(losses):
                break
    except Diverged:
        pass  # the range test goes on until this happens
    if not losses or not math.isfinite(min(losses)):
        raise Diverged("the loss is not finite even at a learning rate of 1e-5")
    return LRRange(float(f"{rates[losses.index(min(losses))] / 10:.2g}"), rates, losses)
