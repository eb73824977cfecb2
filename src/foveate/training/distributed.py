"""One net that several processes train, each with its share of every batch; see `processes`.

Gradients are averaged over all ranks, so that each of them takes the same step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from foveate.errors import SettingError
from foveate.processes import size


def copy_from_main(net: nn.Module) -> None:
    """Give a net the weights and buffers that it has on rank 0."""
    if size() > 1:
        for value in net.state_dict().values():
            dist.broadcast(value, 0)


def shared(net: nn.Module) -> nn.Module | None:
    """The net as all ranks compute it; None if this process is alone.

    Weights and buffers become those of rank 0, gradients are averaged over the ranks, and batch
    normalisation uses the statistics of the whole batch.
    """
    if size() == 1:
        return None
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            _share_statistics(module)
    # Depthwise weights in channels_last have two equal strides: torch warns that it picks the other
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # No buffer differs between ranks. The option has another name since torch 2.14.
    names = ("forward_sync_buffers", "broadcast_buffers")
    known = signature(DistributedDataParallel).parameters
    options: dict[str, Any] = {next(name for name in names if name in known): False}
    return DistributedDataParallel(net, **options)


def unshared(net: nn.Module) -> AbstractContextManager[None]:
    """Keep gradients on this rank: they are summed until the weights change."""
    plain = getattr(net, "_orig_mod", net)  # torch.compile wraps the net
    return plain.no_sync() if isinstance(plain, DistributedDataParallel) else nullcontext()


def _share_statistics(norm: nn.Module) -> None:
    """Let a batch normalisation use the statistics of all ranks' images."""
    if type(norm) is nn.BatchNorm2d:
        norm.__class__ = SharedBatchNorm2d
    elif isinstance(norm, nn.BatchNorm2d) and dict(norm.named_children()).keys() == {"drop", "act"}:
        norm.__class__ = SharedBatchNormAct2d
    elif not isinstance(norm, SharedBatchNorm2d):
        raise SettingError(
            f"several processes cannot share the statistics of a {type(norm).__name__}, which this "
            "model has",
            where="model",
            remedy="Train it with one process, or choose another model.",
        )


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all ranks; the gradient is summed as well."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


_sum: Callable[[Tensor], Tensor] = torch.compiler.disable(_Sum.apply)  # type: ignore[no-untyped-call]
"""The sum over all ranks. Compiled, its gradient would be wrong."""


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of all ranks' images in training.

    torch.nn.SyncBatchNorm does the same and refuses to run on CPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if not self.training:
            return super().forward(x)
        wide, channels = x.float(), x.shape[1]
        # Around a value near the mean, the variance is no small difference of large numbers.
        around = (
            wide.new_zeros(channels) if self.running_mean is None else self.running_mean.clone()
        )
        centred = wide - around[:, None, None]
        count = wide.new_tensor([wide.numel() / channels])
        sums = torch.cat([centred.sum((0, 2, 3)), centred.square().sum((0, 2, 3)), count])
        sums = _sum(sums)
        count = sums[-1]
        mean = sums[:channels] / count
        variance = (sums[channels:-1] / count - mean.square()).clamp(min=0)
        self._follow((around + mean).detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        normalised: Tensor = centred * scale[:, None, None] + shift[:, None, None]
        return normalised.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of the batch."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None, "it is kept with the statistics"
        self.num_batches_tracked.add_(1)
        weight = self.momentum
        if weight is None:  # the mean over all batches
            weight = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)


class SharedBatchNormAct2d(SharedBatchNorm2d):
    """The same with the activation that timm's BatchNormAct2d holds."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) and apply the activation."""
        activated: Tensor = self.act(self.drop(super().forward(x)))
        return activated
