"""What SIGTERM does while a run ends."""

from __future__ import annotations

import signal

import pytest

from foveate.training.stopping import ended_by_sigterm, stop_requests


@pytest.fixture(autouse=True)
def _handler():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("launched", "reason", "ignored"),
    [
        (True, "Connection closed by peer [127.0.0.1]", True),
        (True, "a loss that is no number", False),
        (False, "Connection closed by peer [127.0.0.1]", False),
    ],
)
def test_a_rank_that_lost_another_is_not_ended_before_it_says_so(
    launched, reason, ignored, monkeypatch
):
    if launched:
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "0")
    else:
        monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(RuntimeError), ended_by_sigterm(), stop_requests():
        raise RuntimeError(reason)
    expected = signal.SIG_IGN if ignored else signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is expected


def stopped_twice(answers: list[bool]) -> None:
    with ended_by_sigterm(), stop_requests() as asked:
        answers.append(asked())
        signal.raise_signal(signal.SIGTERM)
        answers.append(asked())
        signal.raise_signal(signal.SIGTERM)


def test_a_stop_is_requested_once_and_the_second_signal_ends_the_block():
    answers: list[bool] = []
    with pytest.raises(SystemExit) as caught:
        stopped_twice(answers)
    assert answers == [False, True]
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
