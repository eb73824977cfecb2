"""Batches that a thread prepares ahead, while the device computes with the ones before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from threading import Event, Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 0.1  # after which each side checks whether the other one has ended


def prefetched(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield items in their order, prepared by a thread that is up to `count` items ahead.

    The thread ends when the caller stops iterating. Its errors are raised here, in their place.

    Args:
        items: What is prepared; its numbers must not depend on when that happens.
        count: Items that are prepared or under way beyond the last one that was taken; 0 prepares
            each one when it is asked for.
    """
    if not count:
        yield from items
        return
    ready: Queue[tuple[T | None, BaseException | None]] = Queue()
    places, ended = Semaphore(count), Event()

    def prepare() -> None:
        remaining = iter(items)
        while not ended.is_set():
            if not places.acquire(timeout=_SECONDS):
                continue
            try:
                ready.put((next(remaining), None))
            except BaseException as error:  # raised where the item is asked for
                ready.put((None, error))
                return

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
            places.release()
            yield item  # type: ignore[misc]
    finally:
        ended.set()
        thread.join()
