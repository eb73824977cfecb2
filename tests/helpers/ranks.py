"""Several connected processes in a test, as torchrun starts them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _on_rank(
    rank: int, local: int, size: int, port: int, function: Callable[..., Any], args: Any
) -> Any:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    import torch

    from foveate import processes

    torch.set_num_threads(1)
    with processes.connected(torch.device("cpu")):
        return function(*args)


def on_ranks(
    size: int,
    function: Callable[..., Any],
    *args: Any,
    local_ranks: Sequence[int] | None = None,
) -> list[Any]:
    """What a function of a module returns on each of `size` connected ranks.

    Args:
        size: Number of ranks.
        function: The function.
        *args: What it is called with.
        local_ranks: Number of each rank on its machine; by default there is one machine.
    """
    port, spawn = free_port(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(size, mp_context=spawn) as pool:
        jobs = [
            pool.submit(_on_rank, rank, local, size, port, function, args)
            for rank, local in enumerate(local_ranks or range(size))
        ]
        return [job.result(timeout=300) for job in jobs]


def torchrun(size: int, *words: str | Path, restarts: int = 0) -> list[str]:
    """The command line that starts `foveate` as `size` processes of this machine."""
    options = ["--nproc-per-node", str(size), "--max-restarts", str(restarts)]
    options += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    launcher = [sys.executable, "-m", "torch.distributed.run", *options]
    return [*launcher, "-m", "foveate", *map(str, words)]


def run_torchrun(
    size: int, *words: str | Path, folder: Path, restarts: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run such a command to its end."""
    return subprocess.run(
        torchrun(size, *words, restarts=restarts),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
