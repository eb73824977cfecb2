"""A real PostgreSQL of this machine, in a folder of the tests, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _programs() -> Path:
    """The folder of initdb and pg_ctl: Debian keeps them out of PATH."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of an empty database; skips the test where there is no PostgreSQL."""
    pytest.importorskip("pg8000", reason="pg8000 is not installed: pip install pg8000")
    programs, root = _programs(), os.geteuid() == 0
    if root and (not shutil.which("runuser") or _fails("id", "postgres")):
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    as_user = ["runuser", "-u", "postgres", "--"] if root else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]

        def do(program: str, *words: str) -> None:
            command = [*as_user, str(programs / program), *words]
            done = subprocess.run(
                command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            assert done.returncode == 0, done.stderr

        data = str(folder / "data")
        do("initdb", "-D", data, "-U", "foveate", "-A", "trust", "--no-sync")
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
        do("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+pg8000://foveate@127.0.0.1:{port}/postgres"
        finally:
            do("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _fails(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode != 0
