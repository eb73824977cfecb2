"""What rank 0 deals out comes back in order, whatever else it asks for before and after."""

from __future__ import annotations

import pytest

from foveate import processes
from foveate.errors import DataError
from foveate.training import helping
from helpers.ranks import on_ranks


def squares(items, add):
    for item in items:
        yield item**2 + add


def ranks_of(items):
    for item in items:
        yield item, processes.rank()


def led():
    """What rank 0 finds in three jobs, the second of which it leaves early."""
    if not processes.is_main():
        return helping.wait_and_help()
    with helping.helped():
        first = list(helping.in_turns(squares, list(range(10)), 1))
        stopped = helping.in_turns(squares, list(range(10)), 0)
        left = [next(stopped), next(stopped)]
        stopped.close()
        dealt = list(helping.in_turns(ranks_of, "abcdef"))
        short = [list(helping.in_turns(squares, items, 0)) for items in ([], [3])]
    alone = list(helping.in_turns(ranks_of, "ab"))  # they no longer wait
    processes.broadcast("done")
    return first, left, dealt, short, alone


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_every_rank_has_its_turns_and_results_come_in_order(size):
    (first, left, dealt, short, alone), *others = on_ranks(size, led)
    assert first == [number**2 + 1 for number in range(10)]
    assert left == [0, 1]
    assert dealt == [(letter, place % size) for place, letter in enumerate("abcdef")]
    assert short == [[], [9]]
    assert alone == [("a", 0), ("b", 0)]
    assert others == ["done"] * (size - 1)


def whole(items, add):
    return [(item + add, processes.rank()) for item in items]


def on_machines_of():
    """What machines give for six items, for one, and for none, and what rank 0 does itself."""
    if not processes.is_main():
        return helping.wait_and_help()
    with helping.helped():
        machines = helping.machines()
        found = [helping.over_machines(whole, list(range(count)), 10) for count in (7, 1, 0)]
        own = helping.on_machines(whole, [[1], [2], []], 0, on_this=lambda items, add: "here")
    processes.broadcast("done")
    return machines, found, own


@pytest.mark.slow
def test_the_first_process_of_each_machine_has_items_that_follow_each_other():
    # Two processes on the first machine, one on each of two others.
    (machines, found, own), *others = on_ranks(4, on_machines_of, local_ranks=[0, 1, 0, 0])
    assert machines == 3
    assert found[0] == [[(10, 0), (11, 0)], [(12, 2), (13, 2)], [(14, 3), (15, 3), (16, 3)]]
    assert found[1] == [None, None, [(10, 3)]]
    assert found[2] == [None, None, None]
    assert own == ["here", [(2, 2)], None]
    assert others == ["done"] * 3


def refuse(items):
    if items[0] in ("here", "there"):
        raise DataError("no good", where=items[0], remedy="Do better.")
    return items


def refusals():
    """The errors of a machine, of the other, and of both; then what is done after them."""
    if not processes.is_main():
        return helping.wait_and_help()
    found = []
    with helping.helped():
        for parts in (["here"], [1]), ([1], ["there"]), (["here"], ["there"]):
            try:
                helping.on_machines(refuse, parts)
            except DataError as error:
                found.append((error.message, error.where, error.remedy))
        after = helping.on_machines(refuse, ([1], [2]))
    processes.broadcast("done")
    return found, after


@pytest.mark.slow
def test_an_error_of_any_machine_is_raised_when_all_are_done():
    (found, after), other = on_ranks(2, refusals, local_ranks=[0, 0])
    assert found == [("no good", where, "Do better.") for where in ("here", "there", "here")]
    assert after == [[1], [2]]
    assert other == "done"


def test_one_process_does_all_itself():
    with helping.helped():
        assert helping.helpers() == 1
        assert list(helping.in_turns(ranks_of, "ab")) == [("a", 0), ("b", 0)]
        assert helping.machines() == 1
        assert helping.over_machines(whole, [1, 2], 10) == [[(11, 0), (12, 0)]]
        assert helping.over_machines(whole, [], 10) == [None]
