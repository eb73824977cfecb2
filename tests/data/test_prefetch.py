import threading
import time
from itertools import count, islice

import pytest

from foveate.data.prefetch import prefetched


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_items_come_once_and_in_order(ahead, length):
    assert list(prefetched(iter(range(length)), ahead)) == list(range(length))


def test_items_may_be_none():
    assert list(prefetched([None, 0, None], 2)) == [None, 0, None]


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_comes_in_its_place(ahead):
    def items():
        yield 1
        yield 2
        raise ValueError("the third")

    found = prefetched(items(), ahead)
    assert next(found) == 1
    assert next(found) == 2
    with pytest.raises(ValueError, match="the third"):
        next(found)


def test_no_more_is_prepared_than_asked_for_and_the_thread_ends():
    prepared = []

    def items():
        for number in count():
            prepared.append(number)
            yield number

    before = threading.active_count()
    found = prefetched(items(), 2)
    assert list(islice(found, 3)) == [0, 1, 2]
    time.sleep(0.3)
    assert len(prepared) == 3 + 2
    found.close()
    assert threading.active_count() == before
