"""How many steps fit into a number of seconds on this machine, measured before training begins.

The answer becomes the run's number of steps, once and for all. A schedule that followed the clock while training would
make a run depend on what else the machine was doing, and then no run could be repeated or resumed to the same bit.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from foveate.data.batches import Batches
from foveate.training.loop import steps

_TRIAL_SECONDS, _LEAST_STEPS, _WARM_UP = 2.0, 4, 2


def steps_within(
    seconds: float,
    net: nn.Module,
    loss: Callable[[Any, Any], dict[str, Tensor]],
    batches: Batches,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    *,
    validated: int,
    amp: torch.dtype | None = None,
) -> int:
    """Steps that fit, at least one; validation of `validated` pictures after each epoch is allowed for.

    A copy of the net is trained for about two seconds; the first steps, in which memory is taken and kernels are
    chosen, are not counted.
    """
    trial = copy.deepcopy(net)
    took: list[float] = []
    began = last = time.monotonic()
    stream = steps(trial, loss, batches(0, 10**9), optimizer(trial), lambda step: 1e-3, amp=amp)
    for count, _ in enumerate(stream, 1):
        now = time.monotonic()
        if count > _WARM_UP:
            took.append(now - last)
        last = now
        if count >= _LEAST_STEPS + _WARM_UP and now - began > _TRIAL_SECONDS:
            break
    step = statistics.mean(took)
    # A forward pass is about a third of a step; validation comes once an epoch.
    pictures = max(1, len(batches.keys) // batches.per_epoch)
    step += step / 3 * (validated / pictures) / batches.per_epoch
    return max(1, int((seconds - (last - began)) / step))
