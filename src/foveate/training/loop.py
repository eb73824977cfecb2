"""The training loop as a lecture shows it: forward, loss, backward, step, repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foveate.data.rng import derive_seed
from foveate.training import distributed
from foveate.training.device import autocast
from foveate.training.ema import ModelEMA
from foveate.training.finite import FiniteCheck


@dataclass(frozen=True, slots=True)
class Step:
    """One finished training step.

    Attributes:
        number: Its number, counted from 0.
        losses: Named scalar losses of the batch; `total` was minimised.
        output: What the net returned.
        target: What the loss compared it with.
        lr: The learning rate that the schedule gives the first parameter group.
    """

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
    scaler: torch.amp.GradScaler | None = None,
    ema: ModelEMA | None = None,
    forward: nn.Module | None = None,
    loss_weight: Callable[[int], float] = lambda step: 1.0,
    check: FiniteCheck | None = None,
) -> Iterator[Step]:
    """Train, one step each time the caller asks for it. To stop is to `break`.

    Args:
        net: The net; it is trained in place, on the device of its parameters.
        loss: (output, target) -> named scalar losses, of which `total` is minimised.
        batches: (inputs, target) for each step.
        optimizer: From `optim.optimizer`: each of its groups has a `peak_lr`.
        schedule: Step number -> factor of the peak learning rate.
        start: Number of the first step.
        seed: Seed of dropout and the like.
        clip: Largest norm of the whole gradient (Pascanu et al., 2013); None does not clip.
        accumulate: Batches whose gradients are summed before the weights change.
        amp: dtype of the forward pass in mixed precision; None is full precision.
        scaler: Scales the loss so that small gradients do not vanish in float16.
        ema: Moving average of the weights, updated after each change.
        forward: What computes the net's output: the net compiled, or shared by several processes;
            None is the net itself.
        loss_weight: Step number -> factor of the loss, where several processes share each batch.
        check: Checks losses and gradients; by default at each step.

    Yields:
        Each step, once it is finished.

    Raises:
        Diverged: The loss or the gradient is not finite. If it is checked at each step, the weights
            are those of the step before.
    """
    device = next(net.parameters()).device
    # torch.manual_seed formats a stack trace for each kind of GPU that is missing: 0.2 ms a call,
    # as long as the whole step of a small net.
    reseed = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
    check, own = check or FiniteCheck(), net
    net = net if forward is None else forward
    net.train()
    for number, (inputs, target) in enumerate(batches, start):
        reseed(
            derive_seed(seed, number)
        )  # a function of (seed, step): nothing to save for a resume
        changes = (number + 1) % accumulate == 0
        with nullcontext() if changes else distributed.unshared(net):
            with autocast(device, amp):
                moved = (tensor.to(device, non_blocking=True) for tensor in inputs)
                output = net(*moved)  # forward
                losses = loss(output, target)
            check.add(number, "loss", losses["total"])
            total = losses["total"] / (accumulate / loss_weight(number))
            if scaler is not None:
                total = scaler.scale(total)
            total.backward()  # type: ignore[no-untyped-call]  # backpropagation
        factor = schedule(number)
        if changes:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            if clip is not None:
                if scaler is not None:
                    scaler.unscale_(optimizer)
                norm = nn.utils.clip_grad_norm_(net.parameters(), clip)
                if scaler is None:  # which leaves out steps that overflow
                    check.add(number, "gradient", norm)
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
            optimizer.zero_grad(set_to_none=True)
            if ema is not None:
                ema.update(own)
        yield Step(number, losses, output, target, optimizer.param_groups[0]["peak_lr"] * factor)
