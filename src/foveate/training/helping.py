"""Work of rank 0 that the other ranks help with: images to decode, features to compute.

Training and prediction run on every rank alike. What comes before is done by rank 0 alone, as by a
single process: it reads the data and writes the files. Meanwhile the others wait in `wait_and_help`
for a share of what takes long. They need to know nothing of the data: items and results travel.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from foveate import processes
from foveate.errors import FoveateError

T = TypeVar("T")
R = TypeVar("R")

_CPU = torch.device("cpu")
_others_wait = False


@dataclass(frozen=True)
class _Job:
    """What each rank does with its share of the items."""

    work: Callable[..., Iterator[Any]]
    args: tuple[Any, ...]


@contextmanager
def helped() -> Iterator[None]:
    """Let the other ranks help with what rank 0 does in this block.

    They call `wait_and_help` meanwhile, which ends with what rank 0 broadcasts after the block.
    """
    global _others_wait
    _others_wait = processes.size() > 1
    try:
        yield
    finally:
        _others_wait = False


def helpers() -> int:
    """Number of processes that can share work now, with this one."""
    return processes.size() if _others_wait else 1


def wait_and_help() -> Any:
    """Help rank 0 until it broadcasts something else than work.

    Returns:
        What it broadcasts.
    """
    while isinstance(message := processes.broadcast(None), _Job):
        for result in message.work(_receive(0), *message.args):
            _send(result, 0)
    return message


def in_turns(work: Callable[..., Iterator[R]], items: Sequence[T], *args: Any) -> Generator[R]:
    """Do something with each item: every rank has every n-th of them.

    Without helpers, this process does all of it.

    Args:
        work: A function of a module, from some of the items, and `args`, to a result of each.
        items: In order.
        *args: What else it needs.

    Yields:
        The results, in the order of the items.
    """
    ranks = helpers()
    if ranks == 1 or len(items) < 2:
        yield from work(items, *args)
        return
    processes.broadcast(_Job(work, args))
    for rank in range(1, ranks):
        _send(items[rank::ranks], rank)
    own, given = work(items[::ranks], *args), 0
    try:
        for number in range(len(items)):
            result = _receive(number % ranks) if number % ranks else next(own)
            given += 1
            yield result
    except GeneratorExit:  # nobody wants the rest, which would be taken for results of other work
        for number in range(given, len(items)):
            if number % ranks:
                _receive(number % ranks)
        raise


def machines() -> int:
    """Number of machines that can share work now, with this one."""
    return len(processes.first_ranks()) if _others_wait else 1


def on_machines(
    work: Callable[..., R],
    parts: Sequence[Sequence[T]],
    /,
    *args: Any,
    on_this: Callable[..., R] | None = None,
) -> list[R | None]:
    """Do something with a part of some items on each machine, by its first process.

    Args:
        work: A function of a module, from some of the items, and `args`, to a result.
        parts: The items of each of `machines()`.
        *args: What else it needs.
        on_this: Does the same on this machine; by default `work`.

    Returns:
        What each machine gives; None where it has no items.

    Raises:
        FoveateError: That of the first machine that has one, when all are done.
    """
    firsts = processes.first_ranks() if machines() > 1 else [0]
    if machines() > 1:
        processes.broadcast(_Job(_on_machine, (work, args)))
        for rank in range(1, processes.size()):
            _send(parts[firsts.index(rank)] if rank in firsts else [], rank)
    found = list(_on_machine(parts[0], on_this or work, args)) or [None]
    for rank, part in zip(firsts[1:], parts[1:], strict=True):
        found.append(_receive(rank) if len(part) else None)
    for one in found:
        if isinstance(one, FoveateError):
            raise one
    return found


def over_machines(work: Callable[..., R], items: Sequence[T], /, *args: Any) -> list[R | None]:
    """Do something with items that follow each other on each machine; see `on_machines`."""
    return on_machines(work, for_machines(items), *args)


def for_machines(items: Sequence[T]) -> list[Sequence[T]]:
    """Cut items into as many parts as there are machines."""
    ends = [len(items) * number // machines() for number in range(machines() + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def _on_machine(
    items: Sequence[Any], work: Callable[..., Any], args: tuple[Any, ...]
) -> Iterator[Any]:
    """The result, or the error; nothing where there are no items."""
    if len(items):
        try:
            yield work(items, *args)
        except FoveateError as error:  # rank 0 raises it, when all machines are done
            yield error


def _send(value: object, rank: int) -> None:
    dist.send_object_list([value], rank, device=_CPU)


def _receive(rank: int) -> Any:
    values: list[Any] = [None]
    dist.recv_object_list(values, rank, device=_CPU)
    return values[0]
