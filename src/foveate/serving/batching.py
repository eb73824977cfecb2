"""A thread for each model, which predicts for the images of several requests at once.

Nothing waits for a batch to fill: while one is computed, the requests of the next one arrive.
A request is never divided, so that one which is alone is predicted as `foveate predict` would.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from foveate.data.dataset import Image
from foveate.serving.limits import RequestError

MAX_BATCH_BYTES = 1 << 28
"""Bytes of the images that are predicted at once, unless a single request has more."""

Predict = Callable[[list[Image]], Sequence[Any]]
OnBatch = Callable[[int, float], None]
"""Receives the number of images of a batch, and the seconds that it took."""


@dataclass(eq=False)
class _Job:
    """What a request waits for: predictions for images, or the result of a call."""

    deadline: float
    images: list[Image] = field(default_factory=list)
    call: Callable[[], Any] | None = None
    future: Future[Any] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return sum(image.nbytes for image in self.images)


class Worker:
    """Computes on one thread what the requests for a model ask.

    Args:
        name: The name of the model.
        predict: Predicts for images, an annotation each.
        batch: Images that are predicted at once, unless a single request has more.
        on_batch: See `OnBatch`.
    """

    def __init__(
        self,
        name: str,
        predict: Predict,
        batch: int,
        on_batch: OnBatch = lambda images, seconds: None,
    ):
        self._predict, self._batch, self.on_batch = predict, batch, on_batch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"model {name}", daemon=True)
        self._thread.start()

    def predict(self, images: list[Image], deadline: float) -> Future[Sequence[Any]]:
        """Predict for the images of a request.

        Args:
            images: (H, W, C) uint8 each.
            deadline: When it is too late to begin, on the clock of `time.monotonic`.
        """
        return self._put(_Job(deadline, images))

    def call(self, function: Callable[[], Any], deadline: float) -> Future[Any]:
        """Call a function that uses the model; for `deadline` see `predict`."""
        return self._put(_Job(deadline, call=function))

    @property
    def waiting(self) -> int:
        """The number of requests that are not begun."""
        return len(self._jobs)

    def close(self, deadline: float = float("inf")) -> bool:
        """Finish what waits, and end the thread.

        Args:
            deadline: When to wait no longer, on the clock of `time.monotonic`: a computation cannot
                be broken off from outside of its thread.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        seconds = deadline - time.monotonic()
        self._thread.join(max(0.0, seconds) if math.isfinite(seconds) else None)
        return not self._thread.is_alive()

    def _put(self, job: _Job) -> Future[Any]:
        with self._changed:
            if self._closed:
                raise RequestError(503, "the server is shutting down", 1)
            self._jobs.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda _: self._forget(job))
        return job.future

    def _forget(self, job: _Job) -> None:
        """Drop a job that nobody waits for any more, with its images."""
        with self._changed, contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def _work(self) -> None:
        while jobs := self._next():
            started = [job for job in jobs if _begin(job)]
            if not started:
                continue
            if call := started[0].call:
                _finish(started[0], call)
            else:
                self._predict_batch(started)
            del jobs, started  # their images, before waiting for others

    def _next(self) -> list[_Job]:
        """The next call, or the next predictions that fit into a batch; empty once closed."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return []
            jobs = [self._jobs.popleft()]
            count, size = len(jobs[0].images), jobs[0].size
            while jobs[0].call is None and self._jobs and self._jobs[0].call is None:
                count, size = count + len(self._jobs[0].images), size + self._jobs[0].size
                if count > self._batch or size > MAX_BATCH_BYTES:
                    break
                jobs.append(self._jobs.popleft())
            return jobs

    def _predict_batch(self, jobs: list[_Job]) -> None:
        """Predict for several requests at once; if that fails, for each of them alone."""
        images, start = [image for job in jobs for image in job.images], time.perf_counter()
        try:
            predictions = list(self._predict(images))
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:
                self._predict_batch([job])
            return
        self.on_batch(len(images), time.perf_counter() - start)
        first = 0
        for job in jobs:
            job.future.set_result(predictions[first : first + len(job.images)])
            first += len(job.images)


def _begin(job: _Job) -> bool:
    """Whether somebody still waits for a job."""
    if not job.future.set_running_or_notify_cancel():
        return False
    if time.monotonic() > job.deadline:
        job.future.set_exception(too_late())
        return False
    return True


def _finish(job: _Job, call: Callable[[], Any]) -> None:
    try:
        job.future.set_result(call())
    except Exception as error:
        job.future.set_exception(error)


def too_late() -> RequestError:
    """The error of a request that waited too long."""
    return RequestError(503, "the model was too busy to answer in time", 1)
