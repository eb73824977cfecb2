"""Several machines in a test: torchrun once for each of them, each with a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.ranks import free_port


def start_machines(
    caches: list[Path], *words: str | Path, folder: Path, cache_gb: float, processes: int = 1
) -> list[subprocess.Popen[str]]:
    """`foveate` on as many machines as there are caches, all of them this one.

    Args:
        caches: FOVEATE_CACHE of each.
        *words: What follows `foveate`.
        folder: The working directory of all.
        cache_gb: FOVEATE_CACHE_GB of each.
        processes: Number of processes of each.
    """
    port, started = free_port(), []
    for number, cache in enumerate(caches):
        options = ["--nnodes", str(len(caches)), "--node-rank", str(number)]
        options += ["--nproc-per-node", str(processes)]
        options += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
        command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "foveate"]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "FOVEATE_CACHE": str(cache),
            "FOVEATE_CACHE_GB": str(cache_gb),
        }
        process = subprocess.Popen(
            [*command, *map(str, words)], cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
    return started


def run_machines(
    caches: list[Path], *words: str | Path, folder: Path, cache_gb: float, processes: int = 1
) -> list[subprocess.CompletedProcess[str]]:
    """Run such commands to their ends; they must succeed."""
    started = start_machines(caches, *words, folder=folder, cache_gb=cache_gb, processes=processes)
    done = []
    for process in started:
        out, err = process.communicate(timeout=300)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    for one in done:
        assert one.returncode == 0, "\n".join(other.stdout + other.stderr for other in done)
    return done
