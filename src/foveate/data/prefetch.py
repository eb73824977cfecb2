"""Batches that a thread prepares ahead, while the device computes with the ones before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 0.1  # between two looks at whether the other side has ended


def prefetched(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield items in their order, prepared by a thread that is up to `count` items ahead.

    The thread ends when the caller stops iterating. Its errors are raised here, in their place.

    Args:
        items: What is prepared; its numbers must not depend on when that happens.
        count: Items ahead; 0 prepares each one when it is asked for.
    """
    if not count:
        yield from items
        return
    ready: Queue[tuple[T | None, BaseException | None]] = Queue(count)
    ended = Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not ended.is_set():
            try:
                ready.put((item, error), timeout=_SECONDS)
            except Full:
                continue
            return

    def prepare() -> None:
        try:
            for item in items:
                put(item, None)
                if ended.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = Thread(target=prepare, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error = ready.get(timeout=_SECONDS)
            except Empty:
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        ended.set()
        thread.join()
