"""The lecture's loop: feed forward, loss, backpropagation, update, repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foveate.data.rng import seed_of
from foveate.errors import Diverged
from foveate.training.ema import ModelEMA


@dataclass(frozen=True, slots=True)
class Step:
    """What one step leaves to whoever iterates: its number, the batch's losses and output, the learning rate used."""

    number: int
    losses: dict[str, Tensor]
    output: Any
    target: Any
    lr: float


def steps(
    net: nn.Module,
    loss: Callable[[Any, Any], dict[str, Tensor]],
    batches: Iterable[tuple[tuple[Tensor, ...], Any]],
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    *,
    start: int = 0,
    seed: int = 0,
    clip: float | None = None,
    accumulate: int = 1,
    amp: torch.dtype | None = None,
    average: ModelEMA | None = None,
) -> Iterator[Step]:
    """Train, one step each time the caller asks for it. Stopping is `break`.

    schedule: step number -> learning rate factor; each group's `peak` is multiplied with it
    clip: the largest allowed norm of the whole gradient (Pascanu et al., 2013)
    accumulate: batches whose gradients are summed before the weights change
    amp: dtype of the mixed-precision forward pass, or None for full precision
    average: running mean of the weights, updated after each change
    Raises Diverged before the weights are touched, when the loss or the gradient is not finite.
    """
    device = next(net.parameters()).device
    # torch.manual_seed formats a stack trace a call for each kind of GPU that is not there, 0.2 ms: as much as a small net's step.
    reseed = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
    net.train()
    for number, (inputs, target) in enumerate(batches, start):
        reseed(seed_of(seed, number))  # dropout: a function of (seed, step), so nothing to save
        with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
            output = net(*(part.to(device, non_blocking=True) for part in inputs))  # feed forward
            losses = loss(output, target)  # how wrong
        _refuse_nan(losses["total"].detach(), f"the loss of step {number}")
        (losses["total"] / accumulate).backward()  # backpropagation
        factor = schedule(number)
        if (number + 1) % accumulate == 0:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            if clip is not None:
                _refuse_nan(
                    nn.utils.clip_grad_norm_(net.parameters(), clip),
                    f"the gradient of step {number}",
                )
            optimizer.step()  # update the weights
            optimizer.zero_grad(set_to_none=True)
            if average is not None:
                average.update(net)
        yield Step(number, losses, output, target, optimizer.param_groups[0]["lr"])


def _refuse_nan(value: Tensor, what: str) -> None:
    if not torch.isfinite(value):
        raise Diverged(f"{what} is {value.item()}, not a finite number")
