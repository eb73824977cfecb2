"""The learning rate range test (Smith, "Cyclical learning rates for training neural networks", 2017)."""

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

LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 100


@dataclass(frozen=True)
class LRRange:
    """suggestion: the rate to train with; rates and losses: what was tried, losses smoothed."""

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
    """Train a copy of the net for 100 steps while the rate grows from 1e-5 to 10; the net itself is not touched.

    The suggestion is a tenth of the rate at which the smoothed loss was lowest: the lowest point itself lies at the
    edge of divergence. Ends early once the loss is four times its lowest.
    """
    trial = copy.deepcopy(net)
    growth = (HIGHEST / LOWEST) ** (1 / (STEPS - 1))
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    stream = steps(
        trial,
        loss,
        islice(batches(), STEPS),
        optimizer(trial, LOWEST),
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
        pass  # that is what the test looks for
    if not losses or not math.isfinite(min(losses)):
        raise Diverged("the loss is not finite even at a learning rate of 1e-5")
    return LRRange(float(f"{rates[losses.index(min(losses))] / 10:.2g}"), rates, losses)
