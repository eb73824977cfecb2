"""The command that begins a run, as it was typed, for the record of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TYPED: ContextVar[str | None] = ContextVar("typed command", default=None)


@contextmanager
def recorded(command: str) -> Iterator[None]:
    """Record this command in the runs that are begun within the context."""
    token = _TYPED.set(command)
    try:
        yield
    finally:
        _TYPED.reset(token)


def typed() -> dict[str, str]:
    """The setting that records the command; empty where a run is begun from Python."""
    command = _TYPED.get()
    return {} if command is None else {"command": command}
