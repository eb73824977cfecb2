"""Look at each path once: all formats look at the same folders when data is recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

A = TypeVar("A")
R = TypeVar("R")

_found: ContextVar[dict[Any, Any] | None] = ContextVar("_found", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Keep what functions marked with `once` return until the block ends, so that none is stale."""
    token = _found.set({})
    try:
        yield
    finally:
        _found.reset(token)


def once(function: Callable[[A], R]) -> Callable[[A], R]:
    """Let a function look at each place once within `looking_once`.

    Callers share what it returns, and so do not change it.
    """

    @wraps(function)
    def look(place: A) -> R:
        found = _found.get()
        if found is None:
            return function(place)
        key = function, place
        if key not in found:
            found[key] = function(place)
        result: R = found[key]
        return result

    return look
