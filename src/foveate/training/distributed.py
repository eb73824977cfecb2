"""Several processes that train one net: torchrun starts them, torch.distributed connects them.

Each process, a *rank*, computes its share of every batch; gradients are averaged over all ranks, so
that each of them takes the same step. Rank 0 alone writes files and reports.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import cache
from inspect import signature
from itertools import count, zip_longest
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from foveate.data.subset import part
from foveate.errors import FoveateError, RunError, SettingError

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""Longest time for which ranks wait for each other: rank 0 decodes and audits the data alone. A
rank that ends is noticed at once, as its connections close."""
_BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "xpu": "cpu:gloo,xpu:xccl"}


_groups = count()
"""Numbers of the connections of this process. The addresses of each are a part of the store, which
outlives them, and the processes themselves if they are started again."""


@cache
def _rendezvous() -> Any:
    """The store in which the processes find each other, this rank, and the number of processes."""
    return next(rendezvous("env://"))


def launched() -> bool:
    """Whether torchrun, or a program like it, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE") or "1") > 1 and "RANK" in os.environ


def local_rank() -> int:
    """Number of this process on its machine, counted from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() else 0


def size() -> int:
    """Number of processes that are connected; 1 if none are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among those that are connected, counted from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes files and reports: it is the only one, or rank 0."""
    return rank() == 0


@contextmanager
def connected(device: torch.device) -> Iterator[None]:
    """Connect the processes that torchrun started; nothing is done where it started none.

    Args:
        device: What this process computes with.

    Raises:
        RunError: Another process of the run has ended, or the processes cannot reach each other.
    """
    if not launched() or dist.is_initialized():
        yield
        return
    if device.type == "mps":
        raise RunError("processes cannot be connected on mps", remedy="Use --device cpu.")
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device.index or 0)
        store, number, world = _rendezvous()
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        dist.init_process_group(
            _BACKENDS.get(device.type, "gloo"),
            store=PrefixStore(f"foveate-{attempt}-{next(_groups)}", store),
            rank=number,
            world_size=world,
            timeout=PATIENCE,
        )
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise RunError(
            f"the processes that torchrun started cannot be connected ({_first_line(error)})",
            remedy="Check that every machine reaches MASTER_ADDR, and that MASTER_PORT is free.",
        ) from None
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        if not is_lost_connection(error):
            raise
        raise RunError(
            f"another process of this run has ended ({_first_line(error)})",
            remedy="Its own message tells why. Start the same command again: the run goes on from "
            "its last checkpoint.",
        ) from None
    finally:
        dist.destroy_process_group()


def is_lost_connection(error: BaseException) -> bool:
    """Whether this error says that a process at the other end of a connection is gone."""
    text = str(error)
    marks = ("Connection closed", "Connection reset", "Broken pipe", "Connection refused")
    return isinstance(error, dist.DistError) or (
        not isinstance(error, FoveateError) and any(mark in text for mark in marks)
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


# --- agreement


def broadcast(value: T) -> T:
    """The value of rank 0, on every rank.

    Args:
        value: What rank 0 sends; other ranks' values are ignored.
    """
    if size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def gather(value: T) -> list[T]:
    """The values of all ranks, in their order, on every rank."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size()
    dist.all_gather_object(values, value)
    return values


def gather_in_turns(own: list[T]) -> list[T]:
    """The items of all ranks, of which each has every n-th, in their order."""
    turns = zip_longest(*gather(own), fillvalue=None)
    return [item for turn in turns for item in turn if item is not None]


def map_shares(
    compute: Callable[[Any], Sequence[T]], items: Any, *, everywhere: bool = True
) -> Sequence[T]:
    """Compute something of each item: every rank of its share.

    Args:
        compute: From some of the items, in order, to a result of each.
        items: Images, or another sequence that gives slices of itself.
        everywhere: Whether all ranks get all results; else rank 0 does, and the others get none.
    """
    if size() == 1:
        return compute(items)
    first, last = (len(items) * number // size() for number in (rank(), rank() + 1))
    own = list(compute(part(items, range(first, last)))) if last > first else []
    found: list[Any] = [None] * size()
    if everywhere:
        found = gather(own)
    else:
        dist.gather_object(own, found if is_main() else None)
    return [result for results in found for result in results or ()]


def gather_numbers(values: list[float]) -> list[list[float]]:
    """Like `gather` for a few numbers; fast enough for every step."""
    if size() == 1:
        return [values]
    mine = torch.tensor(values, dtype=torch.float64)
    found = [torch.empty_like(mine) for _ in range(size())]
    dist.all_gather(found, mine)
    return [one.tolist() for one in found]


def wait() -> None:
    """Wait until every rank is here."""
    broadcast(None)


def check_equal(facts: Mapping[str, str]) -> None:
    """Check that all ranks agree.

    Args:
        facts: What must be equal, by names for people.

    Raises:
        RunError: Some differ; with both values and the ranks that have them.
    """
    found = gather(dict(facts))
    for name, expected in found[0].items():
        for number, other in enumerate(found):
            if other[name] != expected:
                raise RunError(
                    f"the processes of this run differ in {name}: rank 0 has {expected}, "
                    f"rank {number} has {other[name]}",
                    remedy="Give every machine the same data and the same packages.",
                )


# --- one net


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
