"""What a server takes at most, and the answer to a request that it does not take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from foveate.errors import SettingError

MIB = 1 << 20
COLOURS = 3
"""Bytes of a pixel of an image in colour."""
MAX_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Limits:
    """What a server takes at most.

    Attributes:
        upload: Bytes of the body of a request.
        pixels: Pixels of an image.
        images: Images of a request.
        requests: Requests that a model has at once, from their arrival to their response.
        memory: Bytes that these requests hold, uploaded and decoded.
        batch: Images that are predicted at once.
        seconds: Time from the arrival of a request to its response.
    """

    upload: int = 32 * MIB
    pixels: int = 50_000_000
    images: int = 64
    requests: int = 128
    memory: int = 1024 * MIB
    batch: int = 32
    seconds: float = 30.0

    def check(self) -> None:
        """Raise SettingError if a request that one limit admits can never fit into the memory."""
        if 2 * self.upload > self.memory:  # its body, and what is decoded from it
            raise SettingError(
                f"at most {self.memory // 2 // MIB:,} MiB are expected, as all requests of a model "
                f"together hold {self.memory // MIB:,} MiB, got {self.upload // MIB:,}",
                where="--max-mb",
            )
        if self.upload + COLOURS * self.pixels > self.memory:
            most = (self.memory - self.upload) // COLOURS
            raise SettingError(
                f"at most {most:,} pixels are expected, as an image in colour has {COLOURS} bytes "
                f"for each and all requests of a model together hold {self.memory // MIB:,} MiB, "
                f"got {self.pixels:,}",
                where="--max-pixels",
            )


class RequestError(Exception):
    """A request that is not answered as it was meant.

    Args:
        status: The HTTP status.
        message: What was expected and what was found, in one sentence.
        retry_after: Seconds after which it may be sent again; None if that changes nothing.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


@dataclass
class Slot:
    """The place of one request among those that a model has.

    Attributes:
        admission: Who gave it.
        deadline: When the request must be answered, on the clock of `time.monotonic`.
        size: Bytes that it holds.
    """

    admission: Admission
    deadline: float
    size: int = 0

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, 0 if it has passed."""
        return max(0.0, self.deadline - time.monotonic())

    def hold(self, size: int) -> None:
        """Count bytes that the request holds from now on.

        Raises:
            RequestError: All requests together hold too many.
        """
        self.admission.add(size)
        self.size += size


@dataclass
class Admission:
    """Admits so many requests, so that nothing waits in a queue without bounds.

    Attributes:
        limits: What is admitted.
        requests: How many requests are admitted and not answered yet.
        size: How many bytes they hold.
    """

    limits: Limits
    requests: int = 0
    size: int = 0
    _pace: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Admit a request until the block ends.

        Raises:
            RequestError: There are too many.
        """
        with self._lock:
            if self.requests >= self.limits.requests:
                raise RequestError(
                    429,
                    f"the model has {self.requests} requests already, and takes no more at once",
                    self.retry_after,
                )
            self.requests += 1
        slot, start = Slot(self, time.monotonic() + self.limits.seconds), time.monotonic()
        try:
            yield slot
        finally:
            with self._lock:
                spent = (time.monotonic() - start) / self.requests  # they share the model
                self._pace += 0.1 * (spent - self._pace)
                self.requests -= 1
                self.size -= slot.size

    def add(self, size: int) -> None:
        """Count bytes that requests hold.

        Raises:
            RequestError: They would be too many.
        """
        with self._lock:
            if self.size + size > self.limits.memory:
                raise RequestError(
                    503,
                    "the images of all requests to this model do not fit into the memory that it "
                    "has",
                    self.retry_after,
                )
            self.size += size

    @property
    def retry_after(self) -> int:
        """Seconds after which the requests of now are probably answered."""
        return min(MAX_RETRY_SECONDS, 1 + int(self._pace * self.requests))
