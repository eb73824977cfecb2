"""The thread of a model: what nobody waits for any more is dropped."""

from __future__ import annotations

import threading
import time

import numpy as np

from foveate.serving.batching import Worker


def test_requests_that_gave_up_leave_nothing_in_the_queue():
    begun, go_on = threading.Event(), threading.Event()

    def predict(images):
        begun.set()
        go_on.wait(30)
        return [image.sum() for image in images]

    worker = Worker("m", predict, batch=4)
    late = time.monotonic() + 60
    first = worker.predict([np.ones((2, 2, 3), np.uint8)], late)
    assert begun.wait(30)
    waiting = [worker.predict([np.ones((2, 2, 3), np.uint8)], late) for _ in range(20)]
    last = worker.predict([np.full((1, 1, 3), 2, np.uint8)], late)
    assert worker.waiting == 21
    assert all(one.cancel() for one in waiting)
    assert worker.waiting == 1
    go_on.set()
    assert first.result(30) == [12]
    assert last.result(30) == [6]
    worker.close()


def test_the_end_waits_no_longer_than_it_was_asked_to():
    begun, go_on = threading.Event(), threading.Event()

    def compute():
        begun.set()
        go_on.wait(30)

    worker = Worker("m", lambda images: images, batch=4)
    worker.call(compute, time.monotonic() + 60)
    assert begun.wait(30)
    start = time.monotonic()
    assert not worker.close(start + 0.2)
    assert time.monotonic() - start < 10
    go_on.set()
    assert worker.close()
