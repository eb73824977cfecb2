"""Loss and metric of a net on the validation split."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from foveate import processes
from foveate.training.device import autocast

BatchStream = Iterable[tuple[tuple[Tensor, ...], Any]]
"""(inputs, target) of each batch."""


class Trainable(Protocol):
    """The methods of a task that training needs."""

    @property
    def curve_metric(self) -> str:
        """Name of the metric that the learning curves show."""

    @property
    def kept_by(self) -> str:
        """The column of the learning curves that decides which weights are kept."""

    def loss(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Named scalar losses; `total` is minimised."""
        ...

    def batch_metric(self, output: Any, target: Any, *, quick: bool) -> float:
        """The curve metric of one batch, or of a few of its images; nan if nothing is scored."""
        ...


@torch.no_grad()
def validate(
    net: nn.Module, task: Trainable, batches: BatchStream, amp: torch.dtype | None = None
) -> tuple[float, float]:
    """Mean loss and metric over batches, each image with the same weight.

    Args:
        net: The net; it is left in evaluation mode.
        task: Gives the loss and the metric of a batch.
        batches: The validation split; if several processes share it, every n-th batch.
        amp: dtype of the forward pass, or None for full precision.

    Returns:
        (loss, metric); nan where there is nothing to score.
    """
    net.eval()
    device = next(net.parameters()).device
    rows: list[tuple[int, float, float]] = []
    for inputs, target in batches:
        with autocast(device, amp):
            output = net(*(tensor.to(device) for tensor in inputs))
            loss = task.loss(output, target)["total"].item()
        rows.append((len(inputs[0]), loss, task.batch_metric(output, target, quick=False)))
    loss_sum = metric_sum = 0.0
    images = scored = 0
    for row in processes.gather_in_turns(rows):
        size, loss, metric = row
        loss_sum += loss * size
        images += size
        if not math.isnan(metric):
            metric_sum += metric * size
            scored += size
    loss = loss_sum / images if images else math.nan
    return loss, metric_sum / scored if scored else math.nan
