"""How torch's threads wait for each other where other programs want the cores too."""

from __future__ import annotations

import os
from pathlib import Path

LOAD = Path("/proc/loadavg")
"""Linux's file of how busy the machine is: "1.52 0.80 0.61 3/512 4211"."""
SPINS = "1000"
"""Turns that a thread waits before it sleeps."""


def let_waiting_threads_sleep() -> None:
    """Let threads that wait sleep soon, if the machine is busy. Call it before torch is imported.

    By default they spin for some milliseconds, which is faster on idle cores. Beside other programs
    they take the cores that they wait for, and training can take twice as long and more
    (benchmarks/README.md). No result changes. A setting of the user's is left alone.
    """
    if is_busy() and not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS


def is_busy() -> bool:
    """Whether other programs run now and kept half of the cores busy in the last minute."""
    try:
        mean, _, _, threads, _ = LOAD.read_text().split()
    except (OSError, ValueError):  # another system, whose threads wait in another way
        return False
    running = int(threads.split("/")[0]) - 1  # one of them is this program's
    return running > 0 and float(mean) >= (os.cpu_count() or 1) / 2
