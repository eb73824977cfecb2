"""The attacked process: becomes a foveate of its own, is watched, and dies where it is told to."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from foveate.errors import FoveateError

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
"""Events that, beside opening a file for writing, count as writes."""
MAX_VIRTUAL = 6 << 30
"""Bytes of address space that a command may take beside what importing foveate takes."""


def become(
    words: tuple[str, ...],
    folder: Path,
    record: Path,
    env: Mapping[str, str],
    terminal: int | None,
) -> None:
    """Make this process a foveate of its own: session, folder, variables, streams."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(env)
    sys.argv = ["foveate", *words]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    out = os.open(record / "out", flags) if terminal is None else terminal
    err = os.open(record / "err", flags) if terminal is None else terminal
    (record / "err").touch()
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    # New streams: those of the parent belong to another kind of file.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler
        )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _virtual_bytes() + MAX_VIRTUAL
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def act(
    record: Path, function: Callable[[], object] | None, die_at: int | None, watch: bool
) -> NoReturn:
    """Run the command line, or a function, and end the process as Python would."""
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    writes, opened = 0, dict[str, None]()
    me = os.getpid()

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal writes
        if os.getpid() != me:
            return
        if event == "open":
            path, _, flags = arguments
            if watch and isinstance(path, str | bytes):
                opened[os.path.realpath(os.fsdecode(path))] = None
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in WRITES:
            return
        if writes == die_at:
            os.kill(me, signal.SIGKILL)
        writes += 1

    sys.addaudithook(on_event)
    code = 1
    try:
        code = _call(function)
        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        die_at = None
        (record / "watched").write_text(json.dumps({"writes": writes, "opened": list(opened)}))
        os._exit(code)


def _call(function: Callable[[], object] | None) -> int:
    from foveate.cli.main import main

    try:
        if function is None:
            main()
        else:
            function()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except FoveateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
