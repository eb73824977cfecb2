"""The processes of one command: torchrun starts them, torch.distributed connects them.

Each process is a *rank*. Rank 0 alone writes files and reports. A process that torchrun did not
start is rank 0 of one; torch is not imported for it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from foveate.data.subset import part
from foveate.errors import FoveateError, RunError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""Longest time for which ranks wait for each other: rank 0 decodes and audits the data alone. A
rank that ends is noticed at once, as its connections close."""
_BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "xpu": "cpu:gloo,xpu:xccl"}


_first_ranks: list[int] = []
"""The first rank of each machine."""
_addresses: list[str] = []
"""The address of rank 0 as each rank knows it."""
_groups = count()
"""Numbers of the connections of this process. The addresses of each are a part of the store, which
outlives them, and the processes themselves if they are started again."""


@cache
def _rendezvous() -> Any:
    """The store in which the processes find each other, this rank, and the number of processes."""
    from torch.distributed.rendezvous import rendezvous

    return next(rendezvous("env://"))


def launched() -> bool:
    """Whether torchrun, or a program like it, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE") or "1") > 1 and "RANK" in os.environ


def local_rank() -> int:
    """Number of this process on its machine, counted from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() else 0


def size_here() -> int:
    """Number of processes that torchrun started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or "1") if launched() else 1


def _dist() -> Any:
    """torch.distributed while processes are connected; else None."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_initialized() else None


def size() -> int:
    """Number of processes that are connected; 1 if none are."""
    dist = _dist()
    return 1 if dist is None else int(dist.get_world_size())


def rank() -> int:
    """Number of this process among those that are connected, counted from 0."""
    dist = _dist()
    return 0 if dist is None else int(dist.get_rank())


def first_ranks() -> list[int]:
    """The first rank of each machine, in order; [0] for a single process."""
    return list(_first_ranks) if size() > 1 else [0]


def machine_number() -> int:
    """Number of this process's machine, counted from 0. Each has ranks that follow each other.

    Where LOCAL_RANK is not set, as in pods of one process each, every rank is a machine.
    """
    return sum(first <= rank() for first in first_ranks()) - 1


def reachable_host() -> str:
    """The name or the address by which the other machines reach this one."""
    main, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if is_main():
        return main
    family, _, _, _, address = socket.getaddrinfo(main, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)  # sends nothing: it chooses the interface
        return str(probe.getsockname()[0])


def are_here() -> bool:
    """Whether all processes reach each other without a network."""
    return {*_addresses} <= {"127.0.0.1", "::1", "localhost"}


def is_main() -> bool:
    """Whether this process writes files and reports: it is the only one, or rank 0."""
    return rank() == 0


@contextmanager
def connected(device: torch.device | None = None) -> Iterator[None]:
    """Connect the processes that torchrun started; nothing is done where it started none.

    Args:
        device: What this process computes with; None for the CPU.

    Raises:
        RunError: Another process of the run has ended, or the processes cannot reach each other.
    """
    if not launched() or _dist() is not None:
        yield
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore

    device = device or torch.device("cpu")
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
        found = gather((local_rank(), os.environ["MASTER_ADDR"]))
        _first_ranks[:] = [rank for rank, (local, _) in enumerate(found) if local == 0]
        _addresses[:] = [address for _, address in found]
        yield
    except (dist.DistError, RuntimeError) as error:
        if not is_lost_connection(error):
            raise
        raise RunError(
            f"another process of this run has ended ({_first_line(error)})",
            remedy="Its own message tells why. Start the same command again: a run goes on from "
            "its last checkpoint.",
        ) from None
    finally:
        dist.destroy_process_group()


def is_lost_connection(error: BaseException) -> bool:
    """Whether this error says that a process at the other end of a connection is gone."""
    import torch.distributed as dist

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
    import torch
    import torch.distributed as dist

    values = [value]
    dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def gather(value: T) -> list[T]:
    """The values of all ranks, in their order, on every rank."""
    if size() == 1:
        return [value]
    import torch.distributed as dist

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
        import torch.distributed as dist

        dist.gather_object(own, found if is_main() else None)
    return [result for results in found for result in results or ()]


def gather_numbers(values: list[float]) -> list[list[float]]:
    """Like `gather` for a few numbers; fast enough for every step."""
    if size() == 1:
        return [values]
    import torch
    import torch.distributed as dist

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
