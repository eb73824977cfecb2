"""On a busy machine threads that wait sleep; on an idle one, or where the user decided, nothing."""

from __future__ import annotations

import os

import pytest

from foveate.cli import shared_cores


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes what Linux says of a machine with four cores; the environment says nothing."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(shared_cores, "LOAD", tmp_path / "loadavg")
    return (tmp_path / "loadavg").write_text


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("5.20 3.10 2.00 4/512 4211\n", True),
        ("2.00 1.00 1.00 2/512 4211\n", True),
        ("1.99 4.00 4.00 2/512 4211\n", False),
        ("5.20 3.10 2.00 1/512 4211\n", False),  # what kept it busy has ended
        ("0.00 0.00 0.00 1/80 12\n", False),
    ],
)
def test_threads_sleep_on_a_busy_machine_alone(load, text, busy):
    load(text)
    shared_cores.let_waiting_threads_sleep()
    assert os.environ.get("GOMP_SPINCOUNT") == ("1000" if busy else None)


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_set_stays(load, monkeypatch, name):
    monkeypatch.setenv(name, "7")
    load("5.20 3.10 2.00 4/512 4211\n")
    shared_cores.let_waiting_threads_sleep()
    assert os.environ[name] == "7"
    assert len({"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()) == 1


@pytest.mark.usefixtures("load")
def test_other_systems_are_left_alone():
    shared_cores.let_waiting_threads_sleep()
    assert "GOMP_SPINCOUNT" not in os.environ
